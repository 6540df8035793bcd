"""Plan a transfer: what is there now against what a manifest holds already; what moves, and in which pieces.

A transfer fills one manifest: a model's recovery point or a dataset's snapshot. Its plan is made of work items: shards,
each copied, verified and sealed by one function, and, before them, ranges of parts of objects that are too large for
one call. Limits: CopyObject takes 5 GB at the most; a multipart upload has 10,000 parts of 5 MiB to 5 GiB
(docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from mldr.domain.identity import Frozen
from mldr.domain.manifests import Entry, Line, ShardRef, digest_of, encode
from mldr.domain.model_rules import Digest
from mldr.domain.recovery_point import Retention
from mldr.errors import ChecksumMismatch

MIB = 1024 * 1024
COPY = Entry._fields.index("key")  # what follows in a line is about the vault's copy
PARTS_PER_ITEM = 16  # 8 GiB of 512 MiB parts: what one function copies and checks well within its time


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


class Transfer(Frozen):
    """The filling of one manifest, by one plan. A new plan replaces the one before; work of an older one is refused."""

    owner: str  # model/sagemaker/churn | dataset/images
    id: str  # of the recovery point or the snapshot
    plan: str
    started_at: dt.datetime
    items: int = 0
    objects: int = 0  # in the whole manifest
    bytes: int = 0
    moving: int = 0  # bytes that are not in the vault yet
    digest: Digest = Digest.CRC64NVME  # what every copy must have


class WorkItem(Frozen):
    """One piece of a plan, and what came of it once it is done."""

    item: str  # parts/000001 | shards/000001
    objects: int
    bytes: int  # that move with this item
    first: str = ""  # the names that it spans
    last: str = ""
    done_at: dt.datetime | None = None
    ref: ShardRef | None = None  # of a shard that is done


class ShardItem(Frozen):
    """What a function needs to copy and seal one shard: small, for the map that reads it."""

    item: str
    plan_key: str  # where the planned entries are
    extend: bool  # whether what is in the vault already must be locked for longer
    locked_until: dt.datetime | None = None  # what is in the vault already, at the least


class PartsItem(Frozen):
    """What a function needs to copy a range of parts of one large object: from part `first` to part `last`."""

    item: str
    entry: Entry
    upload: str
    first: int
    last: int


class PlanState(Frozen):
    """How far a plan is made: what one call of a function leaves to the next, and one attempt to the next."""

    transfer: Transfer
    retention: Retention
    cursor: str = ""  # the last name that is planned
    complete: bool = False
    shared: int = 0  # entries that reuse a copy of another manifest
    cuts: int = 0  # shards so far, those that need no work among them
    work: tuple[WorkItem, ...] = ()
    shards: tuple[ShardItem, ...] = ()
    parts: tuple[PartsItem, ...] = ()
    lost: tuple[str, ...] = ()  # names that changed without an event, as an inventory showed


class Progress(Frozen):
    """How far a transfer is."""

    objects: int
    objects_done: int
    bytes: int  # that move
    bytes_done: int
    missing: tuple[WorkItem, ...]
    rate: float | None  # bytes per second
    expected_at: dt.datetime | None

    @property
    def complete(self) -> bool:
        """Whether everything has arrived."""
        return not self.missing


def matched(found: Iterable[Entry], base: Iterable[Entry]) -> Iterator[tuple[Entry, Entry | None]]:
    """Yield each found entry with the entry of the same name in `base`, or None. Both come in the order of names."""
    rest = iter(base)
    old = next(rest, None)
    for entry in found:
        while old is not None and old.name < entry.name:
            old = next(rest, None)
        yield entry, old if old is not None and old.name == entry.name else None


def same_content(found: Entry, old: Entry) -> bool:
    """Return whether the vault's copy of `old` is the content of `found`: the same pinned version, or the same SHA-256.

    An ETag or a CRC alone never proves it.
    """
    if found.source_version != "null" and (found.bucket, found.source_key, found.source_version) == (
        old.bucket,
        old.source_key,
        old.source_version,
    ):
        return True
    mine, theirs = found.digests.get("SHA256"), old.digests.get("SHA256")
    return bool(mine) and mine == theirs and found.size == old.size


def may_be_same(found: Entry, old: Entry) -> bool:
    """Return whether asking the source for its SHA-256 could prove that `old` is the content of `found`."""
    return found.size == old.size and found.digests.get("SHA256") == "" and bool(old.digests.get("SHA256"))


def reused(found: Entry, old: Entry | None, digest: Digest) -> Entry:
    """Return `found` with the vault's copy of `old`, if that is the same content and has the digest asked for."""
    if old is None or found.copied or not same_content(found, old):
        return found
    if digest is Digest.SHA256 and not old.digests.get("SHA256"):
        return found
    if found[:COPY] == old[:COPY]:
        return old
    return found._replace(key=old.key, version_id=old.version_id, digests=old.digests)


def parts(size: int, limits: CopyLimits) -> list[Part]:
    """Return the ranges that cover `size` bytes, none of them empty, at most `limits.parts` of them."""
    step = max(limits.part, -(-size // limits.parts))
    return [
        Part(number=number, first=first, last=min(first + step, size) - 1)
        for number, first in enumerate(range(0, size, step), start=1)
    ]


def ranges(size: int, limits: CopyLimits) -> Iterator[tuple[Part, ...]]:
    """Yield the parts of one large object in the groups that one function copies each."""
    every = parts(size, limits)
    for start in range(0, len(every), PARTS_PER_ITEM):
        yield tuple(every[start : start + PARTS_PER_ITEM])


def is_large(entry: Entry, limits: CopyLimits) -> bool:
    """Return whether an entry has to be copied in parts, by functions of their own."""
    return not entry.copied and entry.size > limits.single_copy


def shard_work(item: str, shard: Sequence[Entry], limits: CopyLimits) -> WorkItem:
    """Return a planned shard as a piece of work; the bytes of large objects belong to their parts."""
    moving = sum(entry.size for entry in shard if not entry.copied and not is_large(entry, limits))
    return WorkItem(item=item, objects=len(shard), bytes=moving, first=shard[0].name, last=shard[-1].name)


def same_shard(shard: Sequence[Entry], base: Sequence[ShardRef]) -> ShardRef | None:
    """Return the sealed shard that says exactly the same, or None."""
    first, last, objects = shard[0].name, shard[-1].name, len(shard)
    likely = [ref for ref in base if (ref.first, ref.last, ref.objects) == (first, last, objects)]
    if not likely or not all(entry.copied for entry in shard):
        return None
    if len(likely) == 1 and _as_sealed(shard, likely[0], base):
        return likely[0]
    digest = digest_of(encode(shard))
    return next((ref for ref in likely if ref.digest == digest), None)


def _as_sealed(shard: Sequence[Entry], ref: ShardRef, base: Iterable[ShardRef]) -> bool:
    """Return whether all lines are of one sealed shard, unchanged; as many as it has, they are all that it has."""
    touched = [one for one in base if one.first <= ref.last and ref.first <= one.last]
    return touched == [ref] and all(type(entry) is Line for entry in shard)


def lock_ends_before(moment: dt.datetime, shard: Sequence[Entry], base: Iterable[ShardRef]) -> bool:
    """Return whether copies that a shard reuses are locked for less long than until `moment`."""
    return any(entry.copied for entry in shard) and any(
        ref.locked_until < moment for ref in base if ref.first <= shard[-1].name and shard[0].name <= ref.last
    )


def reused_until(shard: Sequence[Entry], base: Iterable[ShardRef]) -> dt.datetime | None:
    """Return until when all copies that a shard reuses are locked, at the least; None when it reuses none."""
    if not any(entry.copied for entry in shard):
        return None
    held = (ref.locked_until for ref in base if ref.first <= shard[-1].name and shard[0].name <= ref.last)
    return min(held, default=None)


def sealed_shards(transfer: Transfer, items: Iterable[WorkItem]) -> tuple[ShardRef, ...]:
    """Return the shards of a finished transfer, in the order of names. Raises ChecksumMismatch while one is missing."""
    held = list(items)
    missing = [item.item for item in held if not item.done_at]
    refs = tuple(sorted((item.ref for item in held if item.ref), key=lambda ref: ref.first))
    objects, size = sum(ref.objects for ref in refs), sum(ref.bytes for ref in refs)
    if missing or len(held) != transfer.items or (objects, size) != (transfer.objects, transfer.bytes):
        raise ChecksumMismatch(
            f"{transfer.owner} {transfer.id}: {objects} of {transfer.objects} objects ({size} of {transfer.bytes} "
            f"bytes) are verified, {', '.join(missing[:3]) or 'a shard'} is missing; ask for it again"
        )
    return refs


def owner_of(kind: Literal["model", "dataset"], name: str) -> str:
    """Return how the catalog and the working files call the owner of a transfer."""
    return f"{kind}/{name}"


def work_key(owner: str, filled: str, name: str) -> str:
    """Return the vault key of a working file of what a transfer has `filled`: a point, or a snapshot.

    Recovery never reads these; a lifecycle rule removes them.
    """
    return f"in-progress/{owner}/{filled}/{name}"


def plan_key(transfer: Transfer, name: str) -> str:
    """Return the vault key of a working file of one plan."""
    return work_key(transfer.owner, transfer.id, f"{transfer.plan}/{name}")


def shard_key(transfer: Transfer, digest: str) -> str:
    """Return where a sealed shard is kept: a model's with its recovery point, a dataset's for all its snapshots."""
    kind, _, name = transfer.owner.partition("/")
    if kind == "dataset":
        return f"snapshots/{name}/shards/{digest}.avro"
    return f"recovery-points/{name}/{transfer.id}/shards/{digest}.avro"


def progress(transfer: Transfer, items: Iterable[WorkItem], now: dt.datetime) -> Progress:
    """Return how far a transfer is, how fast it moves and when it will be complete at that rate."""
    pieces = list(items)
    done = [piece for piece in pieces if piece.done_at]
    moved = sum(piece.bytes for piece in done)
    passed = (now - transfer.started_at).total_seconds()
    rate = moved / passed if moved and passed > 0 else None
    left = transfer.moving - moved
    arrives = now + dt.timedelta(seconds=left / rate) if rate else None
    missing = tuple(piece for piece in pieces if not piece.done_at)
    return Progress(
        objects=transfer.objects,
        objects_done=transfer.objects - sum(piece.objects for piece in missing),
        bytes=transfer.moving,
        bytes_done=moved,
        missing=missing,
        rate=rate,
        expected_at=arrives if missing else None,
    )
