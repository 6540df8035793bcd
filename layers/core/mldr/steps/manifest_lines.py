"""Read the lines of a sealed manifest, one shard in memory at a time, each with the version that stands for it now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mldr.domain.manifests import Entry, ShardRef, decode, digest_of
from mldr.domain.repairs import repaired
from mldr.errors import ChecksumMismatch, MissingArtifact
from mldr.ports.vault import Vault
from mldr.steps.early import early
from mldr.steps.repairs import load_repairs


def lines(vault: Vault, refs: Iterable[ShardRef], *, after: str = "", prefix: str = "") -> Iterator[Entry]:
    """Yield the entries whose name follows `after` and begins with `prefix`, in order; other shards are not read.

    Raises MissingArtifact when a shard is gone, ChecksumMismatch when it is not what was sealed.
    """
    wanted = list(refs)
    if not wanted:
        return
    repairs = early(lambda: load_repairs(vault))  # while the first shard is read
    for ref in wanted:
        if ref.last <= after or ref.last < prefix or not (ref.first <= prefix or ref.first.startswith(prefix)):
            continue
        for entry in shard(vault, ref):
            if entry.name > after and entry.name.startswith(prefix):
                yield repaired(entry, repairs())


def shard(vault: Vault, ref: ShardRef) -> Iterator[Entry]:
    """Yield the entries of one shard as they were sealed, read by its exact version."""
    content = vault.read(ref.key, ref.version_id)
    if content is None:
        raise MissingArtifact(f"the manifest shard {vault.uri(ref.key)} (version {ref.version_id}) cannot be read")
    if digest_of(content) != ref.digest:
        raise ChecksumMismatch(
            f"the manifest shard {vault.uri(ref.key)} (version {ref.version_id}) is not what was sealed; "
            "use another recovery point"
        )
    yield from decode(content)


def entry_named(vault: Vault, refs: Iterable[ShardRef], name: str) -> Entry | None:
    """Return the entry of one name, or None. Reads one shard at the most."""
    spanning = [ref for ref in refs if ref.first <= name <= ref.last]
    return next((entry for entry in lines(vault, spanning, prefix=name) if entry.name == name), None)
