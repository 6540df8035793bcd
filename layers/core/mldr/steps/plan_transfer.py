"""Plan a transfer from a stream of what there is: reuse what the vault holds, cut the rest into pieces of work."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from mldr.domain.manifests import Entry, ShardRef, cut, encode
from mldr.domain.model_rules import Digest
from mldr.domain.transfers import (
    PartsItem,
    PlanState,
    ShardItem,
    WorkItem,
    is_large,
    lock_ends_before,
    matched,
    may_be_same,
    plan_key,
    ranges,
    reused,
    reused_until,
    same_content,
    same_shard,
    shard_work,
)
from mldr.errors import MissingArtifact
from mldr.ports.sources import Listed, Sources
from mldr.ports.vault import Copier, Vault
from mldr.steps.manifest_lines import lines

THREADS = 16
WINDOW = 256  # entries whose source may be asked for its SHA-256 at the same time
Keep = Callable[[str, list[Entry]], None]


def plan_transfer(
    state: PlanState,
    found: Iterable[Entry],
    bases: Sequence[Sequence[ShardRef]],
    *,
    keep_until: dt.datetime,
    sources: Sources,
    vault: Vault,
    copier: Copier,
    out_of_time: Callable[[], bool],
    known: Sequence[ShardRef] = (),
    keep: Keep | None = None,
) -> PlanState:
    """Return the plan carried on from its cursor: complete, or as far as time allows, which is one shard at the least.

    `found` and the `bases`, manifests whose copies may be reused, come in the order of names; `found` begins after the
    cursor. `known` are the shards whose copies it names already. What is reused must stay locked until `keep_until`.
    What is planned of a shard is handed to `keep`, which writes it to the vault. One shard of each is in memory.
    """
    for base in bases:
        old = lines(vault, base, after=state.cursor)
        found = reusing(matched(found, old), state.transfer.digest, sources)
    held = [*known, *(ref for base in bases for ref in base)]
    keep = keep or (lambda key, shard: vault.keep(key, encode(shard)))
    for shard in cut(found):
        state = _with_shard(state, shard, held, keep_until, keep, copier)
        if out_of_time():
            return state
    return state.model_copy(update={"complete": True})


def entry_of(listed: Listed, bucket: str, *, name: str, key: str) -> Entry:
    """Return a listed object as a line that is not copied yet; of its checksums only the algorithms are known."""
    return Entry(
        name=name,
        bucket=bucket,
        source_key=listed.key,
        source_version=listed.version_id,
        etag=listed.etag,
        modified=listed.modified,
        size=listed.size,
        key=key,
        version_id="",
        digests=dict.fromkeys(listed.algorithms, ""),
    )


def reusing(pairs: Iterable[tuple[Entry, Entry | None]], digest: Digest, sources: Sources) -> Iterator[Entry]:
    """Yield what was found, with the vault's copy of what was there before where that is the same content."""
    with ThreadPoolExecutor(THREADS) as pool:
        rest = iter(pairs)
        while window := list(islice(rest, WINDOW)):
            described = [_told(pool, found, old, sources) for found, old in window]
            for tell, (_, old) in zip(described, window, strict=True):
                yield reused(tell(), old, digest)


def _told(pool: ThreadPoolExecutor, found: Entry, old: Entry | None, sources: Sources) -> Callable[[], Entry]:
    """Return how to get the entry: with its source's SHA-256, if that can spare the copy; many are asked at once."""
    if old is None or found.copied or same_content(found, old) or not may_be_same(found, old):
        return lambda: found
    return pool.submit(_described, found, sources).result


def _described(found: Entry, sources: Sources) -> Entry:
    try:
        seen = sources.find(found.bucket, found.source_key, found.source_version)
    except MissingArtifact:  # gone since it was listed: the copy will say so, and have it planned anew
        return found
    checksum = seen.checksum
    if seen.etag != found.etag or checksum is None or checksum.algorithm != "SHA256":
        return found
    return found._replace(digests=found.digests | {"SHA256": checksum.value})


def _with_shard(
    state: PlanState, shard: list[Entry], known: list[ShardRef], keep_until: dt.datetime, keep: Keep, copier: Copier
) -> PlanState:
    limits = copier.limits
    item = f"shards/{state.cuts + 1:06d}"
    work = shard_work(item, shard, limits)
    extend = lock_ends_before(keep_until, shard, known)
    carried = None if extend else same_shard(shard, known)
    if carried:
        work = work.model_copy(update={"done_at": state.transfer.started_at, "ref": carried})
        return _advanced(state, shard, [work], (), ())
    key = plan_key(state.transfer, f"{item}.avro")
    keep(key, shard)
    large = list(_large(state, shard, copier))
    planned = ShardItem(item=item, plan_key=key, extend=extend, locked_until=reused_until(shard, known))
    pieces, parts = [piece for piece, _ in large], tuple(one for _, one in large)
    return _advanced(state, shard, [work, *pieces], (planned,), parts)


def _large(state: PlanState, shard: list[Entry], copier: Copier) -> Iterator[tuple[WorkItem, PartsItem]]:
    number = len(state.parts)
    for entry in shard:
        if not is_large(entry, copier.limits):
            continue
        upload = copier.open_upload(entry, state.retention)
        for group in ranges(entry.size, copier.limits):
            number += 1
            item, first, last = f"parts/{number:06d}", group[0], group[-1]
            work = WorkItem(item=item, objects=0, bytes=last.last - first.first + 1, first=entry.name, last=entry.name)
            yield work, PartsItem(item=item, entry=entry, upload=upload, first=first.number, last=last.number)


def _advanced(
    state: PlanState,
    shard: list[Entry],
    work: list[WorkItem],
    shards: tuple[ShardItem, ...],
    parts: tuple[PartsItem, ...],
) -> PlanState:
    before = state.transfer
    transfer = before.model_copy(
        update={
            "items": before.items + len(work),
            "objects": before.objects + len(shard),
            "bytes": before.bytes + sum(entry.size for entry in shard),
            "moving": before.moving + sum(piece.bytes for piece in work),
        }
    )
    return state.model_copy(
        update={
            "transfer": transfer,
            "cursor": shard[-1].name,
            "cuts": state.cuts + 1,
            "shared": state.shared + sum(entry.copied for entry in shard),
            "work": (*state.work, *work),
            "shards": (*state.shards, *shards),
            "parts": (*state.parts, *parts),
        }
    )
