"""Find what a dataset held at the instant of its snapshot, and plan the copy of what the vault does not have."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mldr.domain.identity import Frozen
from mldr.domain.recovery_point import Phase, Retention
from mldr.domain.snapshots import (
    MOST_CHANGES,
    OVERLAP,
    How,
    SnapshotManifest,
    SnapshotRecord,
    lock_of,
    manifest_key,
    reused_until,
    too_many,
)
from mldr.domain.transfers import PlanState, Transfer, owner_of, work_key
from mldr.errors import ArtifactChanged, LostRace, MissingArtifact
from mldr.events import SnapshotTask
from mldr.ports import Catalog, Clock, Copier, Datasets, Sources, Vault
from mldr.steps.plan_snapshot import Planner
from mldr.steps.working_files import forget_trouble, keep_items, stale

RESERVE = 60_000  # milliseconds that a function must have left to plan one more shard


class SnapshotInventory(Frozen):
    """What the state machine needs to copy: where the work is listed, and until when the copies are locked."""

    sealed: bool = False
    more: bool = False  # the planning ran out of time and goes on after the cursor
    cursor: str = ""
    transfer: Transfer | None = None
    parts_key: str = ""
    parts: int = 0
    shards_key: str = ""
    shards: int = 0
    retention: Retention | None = None


def take_snapshot_inventory(
    task: SnapshotTask,
    *,
    datasets: Datasets,
    catalog: Catalog,
    sources: Sources,
    vault: Vault,
    copier: Copier,
    clock: Clock,
    remaining: Callable[[], int],
) -> SnapshotInventory:
    """Return the inventory of one attempt; an earlier call's or attempt's plan is carried on, of the same instant."""
    record = current_snapshot(datasets, task)
    if record.phase is Phase.SEALED:
        return SnapshotInventory(sealed=True)
    state = load_state(vault, record)
    names = _names(record, datasets) if record.how is How.EVENTS else []
    if state is None:
        record = _decided(record, names, datasets)
        state = _first_state(record, clock)
    else:
        _refuse_stale(record, state, vault)
    if not state.complete:
        previous = datasets.record(record.dataset, record.previous) if record.previous else None
        planner = Planner(
            record,
            read_snapshot(vault, previous).shards if previous else (),
            reused_until(record.rule, previous.rule if previous else None, record.as_of),
            sources=sources,
            vault=vault,
            copier=copier,
            out_of_time=lambda: remaining() < RESERVE,
        )
        state = planner.by_events(state, names) if record.how is How.EVENTS else planner.by_listing(state)
        vault.keep(_state_key(record), state.model_dump_json().encode())
    if not state.complete:
        return SnapshotInventory(more=True, cursor=state.cursor)
    return _put_in_force(state, record, datasets, catalog, vault)


def current_snapshot(datasets: Datasets, task: SnapshotTask) -> SnapshotRecord:
    """Return the record while this attempt is the current one. Raises LostRace when it is not."""
    record = datasets.record(task.dataset, task.snapshot)
    if record is None or record.attempt != task.attempt:
        raise LostRace(f"{task.snapshot}: attempt {task.attempt} was superseded")
    return record


def read_snapshot(vault: Vault, record: SnapshotRecord) -> SnapshotManifest:
    """Return the manifest of a sealed snapshot, by its exact version. Raises MissingArtifact."""
    key = manifest_key(record.dataset, record.snapshot)
    content = vault.read(key, record.manifest_version)
    if content is None:
        raise MissingArtifact(f"the manifest {vault.uri(key)} (version {record.manifest_version}) cannot be read")
    return SnapshotManifest.model_validate_json(content)


def load_state(vault: Vault, record: SnapshotRecord) -> PlanState | None:
    """Return the plan of a snapshot, as far as it is made, or None."""
    content = vault.read(_state_key(record))
    return PlanState.model_validate_json(content) if content else None


def _state_key(record: SnapshotRecord) -> str:
    return work_key(owner_of("dataset", record.dataset), record.snapshot, "plan.json")


def _names(record: SnapshotRecord, datasets: Datasets) -> list[str]:
    """Return what events named since the snapshot before, or some of it when that is too much to ask for."""
    previous = datasets.record(record.dataset, record.previous)
    if previous is None:
        raise MissingArtifact(f"{record.previous}, the snapshot before, is unknown; ask for a snapshot again")
    names: set[str] = set()
    for change in datasets.changes(record.dataset, previous.as_of - OVERLAP):
        names.add(change.name)
        if len(names) > MOST_CHANGES:
            break
    return sorted(names)


def _decided(record: SnapshotRecord, names: Sequence[str], datasets: Datasets) -> SnapshotRecord:
    """Return the record, changed to a listing where that asks less."""
    previous = datasets.record(record.dataset, record.previous)
    if record.how is How.LISTING or previous is None or not too_many(len(names), previous.objects):
        return record
    why = f"{len(names)} of {previous.objects} objects have changed"
    decided = record.model_copy(update={"how": How.LISTING, "why": why, "listed_at": record.as_of})
    datasets.advance(decided)
    return decided


def _first_state(record: SnapshotRecord, clock: Clock) -> PlanState:
    # One plan is all that a snapshot ever has: its instant does not move.
    transfer = Transfer(
        owner=owner_of("dataset", record.dataset),
        id=record.snapshot,
        plan=f"{record.as_of:%Y%m%dT%H%M%SZ}",
        started_at=clock.now(),
        digest=record.rule.digest,
    )
    return PlanState(transfer=transfer, retention=lock_of(record.rule, record.as_of))


def _refuse_stale(record: SnapshotRecord, state: PlanState, vault: Vault) -> None:
    gone = stale(vault, state.transfer)
    if gone:
        raise ArtifactChanged(
            f"{gone.reason}; what {record.dataset} held at {record.as_of:%Y-%m-%d %H:%M:%S} cannot be had any more: "
            f"`mldr snapshot {record.dataset}` takes what it holds now"
        )


def _put_in_force(
    state: PlanState, record: SnapshotRecord, datasets: Datasets, catalog: Catalog, vault: Vault
) -> SnapshotInventory:
    transfer = state.transfer
    if not transfer.objects and not record.previous:
        raise MissingArtifact(
            f"nothing is stored under {record.rule.uri}; upload the dataset, or mend its uri in the policy"
        )
    if record.attempt > 1:
        forget_trouble(vault, transfer)
    catalog.open_transfer(transfer, state.work)
    done = {item.item for item in catalog.items(transfer) if item.done_at}
    parts = [one for one in state.parts if one.item not in done]
    shards = [one for one in state.shards if one.item not in done]
    inventory = SnapshotInventory(
        transfer=transfer,
        parts_key=keep_items(vault, transfer, "parts.json", parts),
        parts=len(parts),
        shards_key=keep_items(vault, transfer, "shards.json", shards),
        shards=len(shards),
        retention=state.retention,
    )
    moving = {"objects": transfer.objects, "bytes": transfer.bytes, "copied": transfer.moving}
    datasets.advance(record.model_copy(update={"phase": Phase.COPYING, **moving}))
    return inventory
