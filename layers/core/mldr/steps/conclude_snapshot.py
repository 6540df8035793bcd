"""Record how a snapshot ended, count what it changed, tell the bus, and ask for the one that waited behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import OVERLAP, Changed, Difference, How, SnapshotRecord, compare
from mldr.events import detail_types
from mldr.events.message import TaskError
from mldr.events.snapshots import SnapshotConclusion, SnapshotFailedDetail, SnapshotSealedDetail
from mldr.ports.datasets import Datasets
from mldr.ports.stack import Bus
from mldr.ports.vault import Vault
from mldr.steps.manifest_lines import shard
from mldr.steps.snapshot_state import current_snapshot, load_state, shards_of
from mldr.steps.working_files import last_trouble

RESERVE = 30_000  # milliseconds that a function must have left to go on counting
MOST_NAMES = 100_000  # names held in memory to look for what no event told of
GRACE = 300_000_000  # microseconds before the instant, of which an event may still be under way


def conclude_snapshot(
    task: SnapshotConclusion, *, datasets: Datasets, vault: Vault, bus: Bus, remaining: Callable[[], int]
) -> SnapshotRecord:
    """Return the record as it ended. Concluding twice tells twice, and changes nothing else."""
    record = current_snapshot(datasets, task)
    if task.error is None or record.phase is Phase.SEALED:
        if record.difference is None:
            record = record.model_copy(update={"difference": _difference(record, datasets, vault, remaining)})
            datasets.annotate(record)
        bus.put(detail_types.SNAPSHOT_SEALED, SnapshotSealedDetail.of(record).model_dump(mode="json"))
    else:
        if record.phase is not Phase.FAILED:
            record = record.model_copy(update={"phase": Phase.FAILED, "reason": _reason(task.error, record, vault)})
            datasets.advance(record)
        failed = SnapshotFailedDetail(dataset=record.dataset, snapshot=record.snapshot, reason=record.reason)
        bus.put(detail_types.SNAPSHOT_FAILED, failed.model_dump(mode="json"))
    again = current_snapshot(datasets, task).again
    if again:
        bus.put(detail_types.SNAPSHOT_REQUESTED, {"dataset": record.dataset, "reason": again})
    return record


def _reason(error: TaskError, record: SnapshotRecord, vault: Vault) -> str:
    """Return why it failed. A Distributed Map names no cause; the piece of work that failed has noted it."""
    state = load_state(vault, record) if error.Error.startswith("States.") else None
    trouble = last_trouble(vault, state.transfer) if state else None
    return trouble.reason if trouble else error.sentence


def _difference(record: SnapshotRecord, datasets: Datasets, vault: Vault, remaining: Callable[[], int]) -> Difference:
    """Return what changed since the snapshot before; of a listing, how much of that no event had told of."""
    previous = datasets.record(record.dataset, record.previous) if record.previous else None
    before = shards_of(vault, previous) if previous else ()
    kinds: Counter[str] = Counter()
    silent: set[str] = set()
    counted = True
    for changed in compare(before, shards_of(vault, record), lambda ref: shard(vault, ref)):
        if remaining() < RESERVE:
            counted = False
            break
        kinds[changed.kind] += 1
        if previous and record.how is not How.EVENTS and _expected(changed, record):
            counted = counted and len(silent) < MOST_NAMES
            if len(silent) < MOST_NAMES:
                silent.add(changed.name)
    if silent and previous:
        for change in datasets.changes(record.dataset, previous.as_of - OVERLAP):
            silent.discard(change.name)
    return Difference(**kinds, missed=len(silent), counted=counted)


def _expected(changed: Changed, record: SnapshotRecord) -> bool:
    """Whether an event should have told of a change by now."""
    return changed.after is None or changed.after.modified <= record.as_of.timestamp() * 1_000_000 - GRACE
