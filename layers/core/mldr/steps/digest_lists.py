"""The lists of objects whose checksum S3 is to compute, and what it told: working files of the shard that asked."""

from __future__ import annotations

from collections.abc import Sequence

from mldr.domain.digest_jobs import Results, results_key, wanted_key
from mldr.domain.manifests import Entry, decode, encode
from mldr.ports.vault import Vault


def keep_wanted(vault: Vault, work: str, algorithm: str, item: str, entries: Sequence[Entry]) -> None:
    """List what a shard waits for."""
    vault.keep(wanted_key(work, algorithm, item), encode(entries))


def load_wanted(vault: Vault, key: str) -> list[Entry]:
    """Return what a shard waits for; nothing when it has what it wanted."""
    content = vault.read(key)
    return list(decode(content)) if content else []


def load_results(vault: Vault, wanted: str) -> Results | None:
    """Return what a job told of a list, or None before it did, and after it was taken."""
    content = vault.read(results_key(wanted))
    return Results.model_validate_json(content) if content else None


def keep_results(vault: Vault, wanted: str, results: Results) -> None:
    """Keep what a job told of a list."""
    vault.keep(results_key(wanted), results.model_dump_json().encode())


def taken(vault: Vault, wanted: str, *, again: bool = False) -> None:
    """Note that a shard has what it wanted; or, when `again`, that another job is to compute it."""
    if not again:
        vault.keep(wanted, b"")
    vault.keep(results_key(wanted), b"")
