"""Seal the lines of one shard: written once under their digest, locked, and found again by whoever seals them anew."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from mldr.domain.manifests import Entry, ShardRef, digest_of, encode
from mldr.domain.recovery_point import Retention
from mldr.domain.transfers import Transfer, shard_key
from mldr.errors import ChecksumMismatch, LostRace
from mldr.ports.vault import Copier, Vault


def seal_shard(
    entries: Sequence[Entry],
    transfer: Transfer,
    retention: Retention,
    locked_until: dt.datetime,
    *,
    vault: Vault,
    copier: Copier,
) -> ShardRef:
    """Return the sealed shard. One whose bytes the vault has lost is sealed beside it. Raises ChecksumMismatch."""
    content = encode(entries)
    digest = digest_of(content)
    for name in (digest, f"{digest}-{transfer.plan}"):
        key = shard_key(transfer, name)
        version = _sealed_once(key, content, retention, vault, copier)
        if version:
            return ShardRef(
                digest=digest,
                key=key,
                version_id=version,
                first=entries[0].name,
                last=entries[-1].name,
                objects=len(entries),
                bytes=sum(entry.size for entry in entries),
                locked_until=locked_until,
            )
    raise ChecksumMismatch(f"what the vault holds as {shard_key(transfer, digest)} is not what was sealed there")


def _sealed_once(key: str, content: bytes, retention: Retention, vault: Vault, copier: Copier) -> str | None:
    """Return the version that holds these lines, locked for as long as asked at least; None when another's are there.

    A delete marker does not count as being there: the lines are then written once more, under a lock of their own.
    """
    try:
        return vault.seal(key, content, retention)
    except LostRace:
        there = vault.versions(key)
        if not there:
            raise
    same = next((version for version in there if vault.read(key, version) == content), None)
    if same:
        copier.extend([_NOTHING._replace(key=key, version_id=same)], retention)
    return same


_NOTHING = Entry("", "", "", "", "", 0, 0, "", "", {})
