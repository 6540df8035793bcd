"""Decide whether bytes in the vault are the bytes that were pinned."""

from __future__ import annotations

from mldr.domain.recovery_point import Checksum, PinnedObject, SealedObject
from mldr.errors import ChecksumMismatch


def verify(pinned: PinnedObject, *, version_id: str, size: int, checksum: Checksum) -> SealedObject:
    """Return the object as sealed. Raises ChecksumMismatch naming the object; nothing else makes an object verified."""
    if size != pinned.size:
        raise ChecksumMismatch(
            f"{pinned.key}: {size} bytes in the vault, {pinned.size} in {pinned.source}; protect the model again"
        )
    if (checksum.algorithm, checksum.value) != (pinned.checksum.algorithm, pinned.checksum.value):
        raise ChecksumMismatch(
            f"{pinned.key}: {checksum.algorithm} is {checksum.value} in the vault, "
            f"{pinned.checksum.algorithm} {pinned.checksum.value} in {pinned.source}; protect the model again"
        )
    return SealedObject(
        key=pinned.key, version_id=version_id, size=size, checksum=pinned.checksum, source=pinned.source
    )
