"""Find what a dataset held at one instant: by what events named, or by listing every key."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from heapq import merge
from itertools import islice

from mldr.domain.datasets import DatasetRule
from mldr.domain.manifests import Entry, ShardRef, pooled_key
from mldr.domain.model_rules import Digest
from mldr.domain.snapshots import SnapshotRecord, spans
from mldr.domain.transfers import PlanState, WorkItem, matched, same_content
from mldr.errors import BaseUnreadable, ChecksumMismatch, MissingArtifact
from mldr.ports.sources import FoundObject, Listed, Sources
from mldr.ports.vault import Copier, Vault
from mldr.steps.early import begun
from mldr.steps.manifest_lines import lines
from mldr.steps.plan_transfer import Keep, entry_of, plan_transfer, reusing

THREADS = 16
WINDOW = 256  # keys asked for at the same time
RANGE = 4  # shards of the snapshot before whose keys one thread lists
AHEAD = 8  # ranges that are listed before they are needed


class Planner:
    """Plans one snapshot with what the world gives; `keep_until` is what reused bytes must be locked for."""

    def __init__(
        self,
        record: SnapshotRecord,
        base: Sequence[ShardRef],
        keep_until: dt.datetime,
        *,
        sources: Sources,
        vault: Vault,
        copier: Copier,
        out_of_time: Callable[[], bool],
        keep: Keep,
    ) -> None:
        self._record, self._base, self._keep_until, self._keep = record, base, keep_until, keep
        self._sources, self._vault, self._copier, self._out_of_time = sources, vault, copier, out_of_time

    def by_listing(self, state: PlanState) -> PlanState:
        """Return the plan carried on, from a listing of every key as of the instant. Raises BaseUnreadable."""
        old = self._before(self._base, state.cursor)
        found = begun(_listed(self._record, self._base, self._sources, after=state.cursor))
        return self._plan(state, matched(found, old), self._base)

    def by_events(self, state: PlanState, names: Sequence[str]) -> PlanState:
        """Return the plan carried on, from the snapshot before and what became of these names.

        A shard in which none of them falls is not read, unless its locks must be renewed. Raises BaseUnreadable.
        """
        for shards, inside in spans(names, self._base):
            if shards and shards[-1].last <= state.cursor and (not inside or inside[-1] <= state.cursor):
                continue
            if not inside and shards[0].locked_until >= self._keep_until:
                state = _carried(state, shards[0])
                continue
            fresh = [name for name in inside if name > state.cursor]
            old = self._before(shards, state.cursor)
            state = self._plan(state, _replaced(old, fresh, begun(self._current(fresh))), shards)
            if not state.complete:
                return state
            state = state.model_copy(update={"complete": False})
            if self._out_of_time():
                return state
        return state.model_copy(update={"complete": True})

    def _before(self, shards: Sequence[ShardRef], cursor: str) -> Iterator[Entry]:
        return begun(readable(self._vault, shards, cursor))

    def _plan(
        self, state: PlanState, pairs: Iterable[tuple[Entry, Entry | None]], known: Sequence[ShardRef]
    ) -> PlanState:
        digest = self._record.rule.digest
        if digest is Digest.SHA256:
            pairs = _by_content(pairs, self._sources)
        return plan_transfer(
            state,
            _placed(reusing(pairs, digest, self._sources)),
            [],
            known=known,
            keep=self._keep,
            keep_until=self._keep_until,
            sources=self._sources,
            vault=self._vault,
            copier=self._copier,
            out_of_time=self._out_of_time,
        )

    def _current(self, names: Iterable[str]) -> Iterator[Entry]:
        """Yield what each name was at the instant, in order; what was not there is not yielded. Each is asked once."""
        rest = iter(names)
        with ThreadPoolExecutor(THREADS) as pool:
            while window := list(islice(rest, WINDOW)):
                for found in pool.map(lambda name: _asked(name, self._record, self._sources), window):
                    if found:
                        yield found


def _listed(record: SnapshotRecord, base: Sequence[ShardRef], sources: Sources, *, after: str) -> Iterator[Entry]:
    """List in ranges, several at once, cut where the snapshot before had its shards."""
    rule = record.rule
    ends = [ref.last for ref in base[RANGE - 1 :: RANGE] if ref.last > after]
    starts = [after, *ends]
    ranges = iter(zip(starts, [*ends, ""], strict=True))

    def one(begin: str, end: str) -> Iterator[Listed]:
        bound = rule.prefix + end
        first = rule.prefix + begin if begin else ""
        for found in sources.list(rule.bucket, rule.prefix, after=first, as_of=record.as_of):
            if end and found.key > bound:
                return
            yield found

    with ThreadPoolExecutor(AHEAD) as pool:
        waiting: deque[Future[list[Listed]]] = deque()
        for begin, end in ranges:
            if not end:
                break
            waiting.append(pool.submit(lambda begin, end: list(one(begin, end)), begin, end))
            if len(waiting) == AHEAD:
                yield from _entries(waiting.popleft().result(), rule)
        while waiting:
            yield from _entries(waiting.popleft().result(), rule)
        yield from _entries(one(starts[-1], ""), rule)  # behind the last known key there may be anything


def _entries(found: Iterable[Listed], rule: DatasetRule) -> Iterator[Entry]:
    bucket, skipped = rule.bucket, len(rule.prefix)  # parsed once, not for every line
    for listed in found:
        if len(listed.key) > skipped:
            yield entry_of(listed, bucket, name=listed.key[skipped:], key="")


def _asked(name: str, record: SnapshotRecord, sources: Sources) -> Entry | None:
    """Return what a name was at the instant, or None. What changed later, is gone or has no version is looked up.

    Raises SourceNotVersioned.
    """
    rule = record.rule
    key = rule.prefix + name
    try:
        found = sources.find(rule.bucket, key)
    except MissingArtifact:
        found = None
    changed_later = found is not None and found.modified > int(record.as_of.timestamp()) * 1_000_000
    if found is None or changed_later or found.source.version_id == "null":
        then = next(sources.list(rule.bucket, key, as_of=record.as_of), None)
        return _keyed(entry_of(then, rule.bucket, name=name, key="")) if then and then.key == key else None
    return _keyed(_entry(name, found))


def _entry(name: str, found: FoundObject) -> Entry:
    source = found.source
    return Entry(
        name=name,
        bucket=source.bucket,
        source_key=source.key,
        source_version=source.version_id,
        etag=found.etag,
        modified=found.modified,
        size=found.size,
        key="",
        version_id="",
        digests={found.checksum.algorithm: found.checksum.value} if found.checksum else {},
    )


def _keyed(entry: Entry, *, by_content: bool = True) -> Entry:
    """Return an entry with its place in the pool. `null` names whatever was written last without a version."""
    pin = entry.source_version
    if pin == "null":
        pin = f"null {entry.etag} {entry.modified}"
    sha256 = entry.digests.get("SHA256") if by_content else None
    return entry._replace(key=pooled_key(entry.bucket, entry.source_key, pin, sha256))


def _placed(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries, each with its place in the pool: what reuses a copy has one, and needs no hash."""
    for entry in entries:
        yield entry if entry.key else _keyed(entry, by_content=False)


def _by_content(pairs: Iterable[tuple[Entry, Entry | None]], sources: Sources) -> Iterator[tuple[Entry, Entry | None]]:
    """Ask for the SHA-256 of what is new and has one, so that equal content is kept once whatever its name."""
    rest = iter(pairs)
    with ThreadPoolExecutor(THREADS) as pool:
        while window := list(islice(rest, WINDOW)):
            found = pool.map(lambda pair: _with_sha256(pair[0], pair[1], sources), window)
            yield from zip(found, (old for _, old in window), strict=True)


def _with_sha256(found: Entry, old: Entry | None, sources: Sources) -> Entry:
    known = found.copied or found.digests.get("SHA256") != ""
    if known or (old is not None and same_content(found, old)):
        return found
    try:
        seen = sources.find(found.bucket, found.source_key, found.source_version)
    except MissingArtifact:  # gone since it was listed: the copy will say so
        return found
    if seen.checksum is None or seen.checksum.algorithm != "SHA256":
        return found
    return _keyed(found._replace(digests=found.digests | {"SHA256": seen.checksum.value}))


def _replaced(
    old: Iterable[Entry], names: Sequence[str], current: Iterable[Entry]
) -> Iterator[tuple[Entry, Entry | None]]:
    """Yield the old lines with what the asked names are now in the place of what they were, each with what it was."""
    asked = set(names)
    sides = merge(((entry.name, 0, entry) for entry in old), ((entry.name, 1, entry) for entry in current), key=_place)
    before: Entry | None = None
    for name, is_now, entry in sides:
        if is_now:
            yield entry, before if before is not None and before.name == name else None
        elif name in asked:
            before = entry
        else:
            yield entry, None


def _place(side: tuple[str, int, Entry]) -> tuple[str, int]:
    return side[:2]


def readable(vault: Vault, shards: Sequence[ShardRef], cursor: str) -> Iterator[Entry]:
    """Yield lines of the snapshot before. Raises BaseUnreadable where the vault has lost them: the source has not."""
    last = cursor
    try:
        for entry in lines(vault, shards, after=cursor):
            last = entry.name
            yield entry
    except (MissingArtifact, ChecksumMismatch) as error:
        lost = next(ref for ref in shards if ref.last > last)
        raise BaseUnreadable(str(error), (lost.key, lost.version_id)) from error


def _carried(state: PlanState, ref: ShardRef) -> PlanState:
    """Return the plan with a shard of the snapshot before, unread."""
    before = state.transfer
    work = WorkItem(
        item=f"shards/{state.cuts + 1:06d}",
        objects=ref.objects,
        bytes=0,
        first=ref.first,
        last=ref.last,
        done_at=before.started_at,
        ref=ref,
    )
    transfer = before.model_copy(
        update={
            "items": before.items + 1,
            "objects": before.objects + ref.objects,
            "bytes": before.bytes + ref.bytes,
        }
    )
    return state.model_copy(
        update={
            "transfer": transfer,
            "cursor": ref.last,
            "cuts": state.cuts + 1,
            "shared": state.shared + ref.objects,
            "work": (*state.work, work),
        }
    )
