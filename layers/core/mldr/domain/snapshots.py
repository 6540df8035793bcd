"""A dataset's snapshot: its record, the manifest that seals it, when the next is due, and how two of them differ."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from heapq import merge
from itertools import groupby
from typing import Literal, NamedTuple

from mldr.domain.datasets import DatasetRule
from mldr.domain.identity import Frozen
from mldr.domain.manifests import Entry, ShardRef
from mldr.domain.recovery_point import Phase, Retention
from mldr.domain.transfers import same_content

# Events are read again from this long before the last instant: clocks of two regions differ, and writers overlap.
OVERLAP = dt.timedelta(minutes=15)
LOG_KEPT = dt.timedelta(days=35)  # then an event is forgotten, and only a listing knows what changed
MOST_CHANGES = 100_000  # names held in memory; more of them are listed
FEW_CHANGES = 1_000  # asked for one by one even where they are most of the dataset
SHARE = 20  # where more than one object in so many has changed, a listing asks less
FEW_SHARDS = 8  # of which a record holds a copy: some 3 KiB
DUE = "the policy's reconcile is due"
SLACK = dt.timedelta(days=1)  # locks begin before the seal, which may take as long as an attempt may run


class How(StrEnum):
    """How a snapshot learnt what is there."""

    EVENTS = "events"  # what storage events named was asked for, the rest taken from the previous snapshot
    LISTING = "listing"  # every key of the bucket was listed
    INVENTORY = "inventory"  # as by events, and what an S3 Inventory says differs was listed


class Difference(Frozen):
    """How many objects two manifests do not share. `missed`: those of them that no event had told of."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    missed: int = 0
    counted: bool = True  # False: there was no time to count all; these are the least

    @property
    def total(self) -> int:
        """Return how many names differ."""
        return self.added + self.removed + self.changed


class SnapshotRecord(Frozen):
    """What the catalog knows about a snapshot."""

    dataset: str
    snapshot: str
    phase: Phase
    attempt: int
    as_of: dt.datetime  # the instant whose versions are pinned
    rule: DatasetRule  # as it was when the snapshot was begun
    how: How
    why: str = ""  # it was listed
    listed_at: dt.datetime | None = None  # of the newest listing or inventory: its own, or one before
    started_at: dt.datetime
    requested_by: str = ""  # schedule | a promotion | a training job | a person: why it was begun
    reason: str = ""  # why it is not further
    again: str = ""  # why another one was asked for while this one ran
    previous: str = ""
    objects: int = 0
    bytes: int = 0
    copied: int = 0  # bytes that moved
    sealed_at: dt.datetime | None = None
    kept_until: dt.datetime | None = None
    manifest_version: str | None = None
    shards: tuple[ShardRef, ...] | None = None  # of its manifest, where they are few: the next one need not read it
    difference: Difference | None = None

    @property
    def over(self) -> bool:
        """Whether no attempt runs any more."""
        return self.phase in (Phase.SEALED, Phase.FAILED)

    def restorable(self, now: dt.datetime) -> bool:
        """Return whether it can be restored: sealed, and within its retention."""
        return self.phase is Phase.SEALED and self.kept_until is not None and now < self.kept_until


class SnapshotManifest(Frozen):
    """The sealed statement of what a dataset held at one instant. Written last, once, and locked."""

    schema_version: Literal[1] = 1
    dataset: str
    snapshot: str
    source: str  # the dataset's URI; a line's name is a key relative to it
    source_region: str
    as_of: dt.datetime
    how: How
    previous: str
    standby_region: str
    sealed_at: dt.datetime
    kept_until: dt.datetime  # until then everything that it names is locked
    retention: Retention  # of the bytes that came with it
    rule: DatasetRule
    objects: int
    bytes: int
    shards: tuple[ShardRef, ...]


class RestoreRecord(Frozen):
    """What the catalog knows about bringing a snapshot back."""

    dataset: str
    restore: str
    snapshot: str
    to: str
    prefix: str = ""
    phase: Literal["RUNNING", "COMPLETED", "FAILED"] = "RUNNING"
    started_at: dt.datetime
    objects: int = 0
    bytes: int = 0
    reason: str = ""
    ended_at: dt.datetime | None = None


class Changed(NamedTuple):
    """One name that two manifests do not share: what it was and what it is, None where it is not there."""

    name: str
    before: Entry | None
    after: Entry | None

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """Return what happened to the name."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


def snapshot_id(told_at: dt.datetime, request: str) -> str:
    """Return the id of the snapshot that a request makes: the same for every delivery, in the order of time."""
    return f"{told_at.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-{hashlib.sha256(request.encode()).hexdigest()[:8]}"


def manifest_key(dataset: str, snapshot: str) -> str:
    """Return the vault key of a snapshot's manifest."""
    return f"snapshots/{dataset}/{snapshot}/manifest.json"


def is_wanted(rule: DatasetRule, newest: SnapshotRecord | None, now: dt.datetime) -> bool:
    """Return whether the policy wants a dataset's next snapshot by now, or its next listing."""
    if newest is None or newest.listed_at is None:
        return True
    return newest.as_of + rule.every <= now or newest.listed_at + rule.reconcile <= now


def needs_listing(rule: DatasetRule, newest: SnapshotRecord | None, now: dt.datetime) -> str:
    """Return why events are not enough for the next snapshot; empty when they are."""
    if newest is None:
        return "it is the first snapshot"
    missed = newest.difference.missed if newest.difference and newest.how is not How.EVENTS else 0
    moved = (newest.rule.uri, newest.rule.region) != (rule.uri, rule.region)
    reasons = {
        f"the dataset was {newest.rule.uri} before": moved,
        f"the digest was {newest.rule.digest} before": newest.rule.digest != rule.digest,
        f"the retention of {newest.snapshot}, the one before, is over": not newest.restorable(now + SLACK),
        f"{newest.snapshot}, the one before, is older than the events": newest.as_of - OVERLAP <= now - LOG_KEPT,
        f"{missed} changes that no event told of were found before": missed > 0,
        DUE: newest.listed_at is None or newest.listed_at + rule.reconcile <= now,
    }
    return next((sentence for sentence, holds in reasons.items() if holds), "")


def how_to(rule: DatasetRule, why: str) -> How:
    """Return how the next snapshot learns what is there, by why events are not enough for it."""
    if not why:
        return How.EVENTS
    return How.INVENTORY if why == DUE and rule.inventory else How.LISTING


def too_many(changes: int, objects: int) -> bool:
    """Return whether listing a dataset asks less than asking for every name that changed."""
    return changes > MOST_CHANGES or changes > max(FEW_CHANGES, objects // SHARE)


def kept_until(rule: DatasetRule, now: dt.datetime) -> dt.datetime:
    """Return until when a snapshot that is begun now can be restored."""
    return now + rule.retention.period + SLACK


def lock_of(rule: DatasetRule, now: dt.datetime) -> Retention:
    """Return the lock of new bytes: a period longer than its snapshot needs, so that few have to be renewed."""
    mode: Literal["GOVERNANCE", "COMPLIANCE"] = "COMPLIANCE" if rule.retention.mode == "compliance" else "GOVERNANCE"
    return Retention(mode=mode, until=now + 2 * rule.retention.period + SLACK)


def reused_until(rule: DatasetRule, before: DatasetRule | None, at: dt.datetime) -> dt.datetime:
    """Return until when bytes of the snapshot before must be locked to be reused as they are.

    When the policy has become stricter all of them are locked again: a mode cannot be seen from a manifest.
    """
    stricter = before is not None and before.retention.mode != "compliance" and rule.retention.mode == "compliance"
    return lock_of(rule, at).until if stricter else kept_until(rule, at)


def spans(names: Sequence[str], shards: Sequence[ShardRef]) -> Iterator[tuple[list[ShardRef], list[str]]]:
    """Yield neighbouring shards with the names that fall among them, everything in order; each shard once.

    A shard without names comes alone: nobody has to read it. A name between two shards belongs to the first of them.
    """
    rest, position = sorted(names), 0
    touched: list[ShardRef] = []
    inside: list[str] = []
    for index, shard in enumerate(shards):
        end = shards[index + 1].first if index + 1 < len(shards) else None
        begin = position
        while position < len(rest) and (end is None or rest[position] < end):
            position += 1
        if position == begin:
            if touched:
                yield touched, inside
                touched, inside = [], []
            yield [shard], []
        else:
            touched, inside = [*touched, shard], [*inside, *rest[begin:position]]
    if touched:
        yield touched, inside
    elif not shards and rest:
        yield [], rest


def compare(
    before: Sequence[ShardRef], after: Sequence[ShardRef], read: Callable[[ShardRef], Iterable[Entry]]
) -> Iterator[Changed]:
    """Yield what two manifests do not share, in the order of names. Shards that both have are not read."""
    shared = {ref.digest for ref in before} & {ref.digest for ref in after}
    old = _lines((ref for ref in before if ref.digest not in shared), read)
    new = _lines((ref for ref in after if ref.digest not in shared), read)
    both = merge(((entry.name, 0, entry) for entry in old), ((entry.name, 1, entry) for entry in new), key=_place)
    for name, found in groupby(both, key=lambda line: line[0]):
        sides = {side: entry for _, side, entry in found}
        changed = Changed(name, sides.get(0), sides.get(1))
        if not _same(changed.before, changed.after):
            yield changed


def _place(line: tuple[str, int, Entry]) -> tuple[str, int]:
    return line[:2]


def _same(before: Entry | None, after: Entry | None) -> bool:
    if before is None or after is None:
        return False
    return same_content(after, before) or (before.key, before.version_id) == (after.key, after.version_id)


def _lines(shards: Iterable[ShardRef], read: Callable[[ShardRef], Iterable[Entry]]) -> Iterator[Entry]:
    for shard in shards:
        yield from read(shard)
