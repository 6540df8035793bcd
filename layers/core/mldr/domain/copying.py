"""Plan a copy: which objects travel together, and how a large one is cut into parts.

Limits: CopyObject takes 5 GB at the most; a multipart upload has 10,000 parts of 5 MiB to 5 GiB
(docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mldr.domain.identity import Frozen
from mldr.domain.recovery_point import Algorithm, Checksum, PinnedObject

MIB = 1024 * 1024
# Checksums that S3 computes over a whole object that arrives in parts
# (docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html).
WHOLE_BY_PARTS = {"CRC64NVME", "CRC32", "CRC32C"}
BATCH_OBJECTS = 40  # a batch is one Lambda payload: two keys of 1 KiB each stay far below 256 KiB
BATCH_BYTES = 64 * 1024 * MIB  # so that one function's share of a large model fits its time


class CopyLimits(Frozen):
    """Where one call stops and parts begin, in bytes."""

    single_copy: int = 5 * 1000**3
    part: int = 512 * MIB
    parts: int = 10_000


class Part(Frozen):
    """One range of a multipart copy: number from 1, first and last byte."""

    number: int
    first: int
    last: int


def batches(objects: Iterable[PinnedObject]) -> Iterator[tuple[PinnedObject, ...]]:
    """Yield the objects in groups that one function copies. An object larger than a group travels alone."""
    group: list[PinnedObject] = []
    size = 0
    for item in objects:
        if group and (len(group) == BATCH_OBJECTS or size + item.size > BATCH_BYTES):
            yield tuple(group)
            group, size = [], 0
        group.append(item)
        size += item.size
    if group:
        yield tuple(group)


def carried_algorithm(item: PinnedObject, limits: CopyLimits) -> Algorithm:
    """Return the checksum that S3 computes on a copy of this object: the pinned one, where parts can have it."""
    if item.size <= limits.single_copy or item.checksum.algorithm in WHOLE_BY_PARTS:
        return item.checksum.algorithm
    return "CRC64NVME"


def is_copied(item: PinnedObject, size: int, checksum: Checksum | None, limits: CopyLimits) -> bool:
    """Return whether what is in the vault is a copy of these pins, as far as its description tells.

    Verification has the last word; this only spares a copy, and has one made again that was damaged.
    """
    carried = carried_algorithm(item, limits)
    if size != item.size or checksum is None or checksum.algorithm != carried:
        return False
    return carried != item.checksum.algorithm or checksum.value == item.checksum.value


def parts(size: int, limits: CopyLimits) -> list[Part]:
    """Return the ranges that cover `size` bytes, none of them empty, at most `limits.parts` of them."""
    step = max(limits.part, -(-size // limits.parts))
    return [
        Part(number=number, first=first, last=min(first + step, size) - 1)
        for number, first in enumerate(range(0, size, step), start=1)
    ]
