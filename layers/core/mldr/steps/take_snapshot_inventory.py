"""Find what a dataset held at the instant of its snapshot, and plan the copy of what the vault does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from mldr.domain.manifests import ShardRef
from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import (
    MOST_CHANGES,
    OVERLAP,
    How,
    SnapshotRecord,
    lock_of,
    manifest_key,
    reused_until,
    too_many,
)
from mldr.domain.transfers import PlanState, Transfer, owner_of
from mldr.errors import ArtifactChanged, BaseUnreadable, InventoryUnusable, MissingArtifact, NotAllowed
from mldr.events.snapshots import SnapshotTask
from mldr.ports.catalog import Catalog
from mldr.ports.datasets import Datasets
from mldr.ports.sources import Sources
from mldr.ports.stack import Clock
from mldr.ports.vault import Copier, Vault
from mldr.steps.list_work import Inventory, put_in_force
from mldr.steps.plan_snapshot import Planner
from mldr.steps.seal_snapshot import finish_seal
from mldr.steps.search_inventory import newest_inventory, search_inventory
from mldr.steps.snapshot_state import current_snapshot, load_state, shards_of, state_key
from mldr.steps.take_short_snapshot import TIME, Drafts, take_short_snapshot
from mldr.steps.working_files import forget_trouble, stale

RESERVE = 60_000  # milliseconds that a function must have left to plan one more shard
READING = 300_000  # and to go on reading an inventory: then there is time to plan


class SnapshotInventory(Inventory):
    """What the state machine needs to copy, and what of the snapshot before is lost."""

    unreadable: str = ""  # it was not compared with that


def take_snapshot_inventory(
    task: SnapshotTask,
    *,
    region: str,
    datasets: Datasets,
    catalog: Catalog,
    sources: Sources,
    vault: Vault,
    copier: Copier,
    clock: Clock,
    remaining: Callable[[], int],
) -> SnapshotInventory:
    """Return the inventory of one attempt; an earlier call's or attempt's plan is carried on, of the same instant.

    Where little moves, this call copies and seals it at once.
    """
    record = current_snapshot(datasets, task)
    if record.phase is Phase.SEALED or finish_seal(record, datasets, vault):
        return SnapshotInventory(sealed=True)
    plan = partial(
        _planned, datasets=datasets, sources=sources, vault=vault, copier=copier, clock=clock, remaining=remaining
    )
    rebase = partial(_on_another_base, datasets=datasets, vault=vault, clock=clock)
    found = _on_what_can_be_read(record, _kept_state(record, vault), vault, plan, rebase)
    _refuse_nothing(found.state, found.record)
    short = found.drafts.short(found.state) if remaining() > TIME else None
    if short is not None:
        take_short_snapshot(
            found.record, found.state, short, region=region, datasets=datasets, vault=vault, copier=copier, clock=clock
        )
        return SnapshotInventory(sealed=True, unreadable=found.unreadable)
    found.drafts.write()
    record = _keep_state(found.state, found.record, datasets, vault)
    if not found.state.complete:
        return SnapshotInventory(more=True, cursor=found.state.cursor, unreadable=found.unreadable)
    return _put_in_force(found.state, record, datasets, catalog, vault, found.unreadable)


@dataclass(frozen=True)
class _Found:
    """How far the plan of a snapshot is made, and what it could not be compared with."""

    record: SnapshotRecord
    state: PlanState
    drafts: Drafts
    unreadable: str = ""


def _on_what_can_be_read(
    record: SnapshotRecord,
    kept: PlanState | None,
    vault: Vault,
    plan: Callable[[SnapshotRecord, PlanState | None, Drafts], tuple[SnapshotRecord, PlanState]],
    rebase: Callable[[SnapshotRecord, str, set[tuple[str, str]]], SnapshotRecord],
) -> _Found:
    """Return the plan, made anew against another snapshot for each that cannot be read."""
    if kept and kept.complete:
        return _Found(record, kept, Drafts(vault))
    unreadable, lost = "", set[tuple[str, str]]()
    while True:
        drafts = Drafts(vault)
        try:
            return _Found(*plan(record, kept, drafts), drafts, unreadable)
        except BaseUnreadable as error:
            unreadable = str(error)
            lost.add(error.version)
            record, kept = rebase(record, unreadable, lost), None


def _kept_state(record: SnapshotRecord, vault: Vault) -> PlanState | None:
    """Return the plan as far as an earlier call has written it. Raises ArtifactChanged when it cannot be finished."""
    # Who writes a plan says COPYING before: in a first attempt that has not, there is nothing to read.
    if record.phase is Phase.CAPTURING and record.attempt == 1:
        return None
    state = load_state(vault, record)
    if state:
        _refuse_stale(record, state, vault)
    return state


def _keep_state(state: PlanState, record: SnapshotRecord, datasets: Datasets, vault: Vault) -> SnapshotRecord:
    """Write the plan as far as it is made; returns the record, which says before that there is one."""
    if record.phase is Phase.CAPTURING:
        record = record.model_copy(update={"phase": Phase.COPYING})
        datasets.advance(record)
    vault.keep(state_key(record), state.model_dump_json().encode())
    return record


def _planned(
    record: SnapshotRecord,
    state: PlanState | None,
    drafts: Drafts,
    *,
    datasets: Datasets,
    sources: Sources,
    vault: Vault,
    copier: Copier,
    clock: Clock,
    remaining: Callable[[], int],
) -> tuple[SnapshotRecord, PlanState]:
    """Return the plan carried on, and the record, which may have turned to a listing. Raises BaseUnreadable."""
    previous = datasets.record(record.dataset, record.previous) if record.previous else None
    base = _base(vault, previous) if previous else ()
    lost: tuple[str, ...] = () if state is None else state.lost
    if state is None and record.how is How.INVENTORY:
        record, lost = _searched(record, previous, base, datasets, sources, vault, remaining)
    names = [] if record.how is How.LISTING else sorted({*_names(record, previous, datasets), *lost})
    if state is None:
        record = _decided(record, names, previous, datasets)
        state = _first_state(record, clock).model_copy(update={"lost": lost})
    planner = Planner(
        record,
        base,
        reused_until(record.rule, previous.rule if previous else None, record.as_of),
        sources=sources,
        vault=vault,
        copier=copier,
        out_of_time=lambda: remaining() < RESERVE,
        keep=drafts.keep,
    )
    return record, planner.by_listing(state) if record.how is How.LISTING else planner.by_events(state, names)


def _searched(
    record: SnapshotRecord,
    previous: SnapshotRecord | None,
    base: Sequence[ShardRef],
    datasets: Datasets,
    sources: Sources,
    vault: Vault,
    remaining: Callable[[], int],
) -> tuple[SnapshotRecord, tuple[str, ...]]:
    """Return the record and what no event told of, by the newest inventory; or the record, changed to a listing."""
    try:
        inventory = newest_inventory(record, previous, sources)
        found = record.model_copy(update={"listed_at": inventory.begun_at})
        told = _names(found, previous, datasets)
        lost = search_inventory(
            found,
            inventory,
            base,
            told,
            sources=sources,
            vault=vault,
            out_of_time=lambda: remaining() < READING,
        )
    except (InventoryUnusable, NotAllowed) as error:
        return _listed(record, f"{record.why}, but not by its inventory: {error}", datasets), ()
    when = f"{inventory.begun_at:%Y-%m-%d %H:%M}"
    why = f"{record.why}: the inventory of {when} differed in {lost.listed} of {len(base)} ranges"
    datasets.advance(found := found.model_copy(update={"why": why}))
    return found, lost.names


def _listed(record: SnapshotRecord, why: str, datasets: Datasets) -> SnapshotRecord:
    """Return the record, changed to a listing."""
    decided = record.model_copy(update={"how": How.LISTING, "why": why, "listed_at": record.as_of})
    datasets.advance(decided)
    return decided


def _base(vault: Vault, previous: SnapshotRecord) -> tuple[ShardRef, ...]:
    try:
        return shards_of(vault, previous)
    except MissingArtifact as error:
        place = manifest_key(previous.dataset, previous.snapshot), previous.manifest_version or ""
        raise BaseUnreadable(str(error), place) from error


def _on_another_base(
    record: SnapshotRecord,
    why: str,
    lost: set[tuple[str, str]],
    datasets: Datasets,
    vault: Vault,
    clock: Clock,
) -> SnapshotRecord:
    """Return the record, changed to a listing against the newest snapshot that names nothing of what is lost, or none.

    What the pool holds is found there by its key, whatever is compared with: nothing is stored twice.
    """
    base = next(_readable_before(record, lost, datasets, vault, clock), "")
    known = f"it is compared with {base}" if base else "it is compared with no other one"
    update = {"how": How.LISTING, "why": f"{why}; {known}", "listed_at": record.as_of, "previous": base}
    changed = record.model_copy(update=update)
    datasets.advance(changed)
    return changed


def _readable_before(
    record: SnapshotRecord, lost: set[tuple[str, str]], datasets: Datasets, vault: Vault, clock: Clock
) -> Iterator[str]:
    for one in datasets.records(record.dataset):
        usable = one.restorable(clock.now()) and one.rule.uri == record.rule.uri and one.as_of < record.as_of
        if not usable or one.snapshot >= record.previous:
            continue
        try:
            named = {(ref.key, ref.version_id) for ref in _base(vault, one)}
        except BaseUnreadable:
            continue
        if not named & lost:
            yield one.snapshot


def _names(record: SnapshotRecord, previous: SnapshotRecord | None, datasets: Datasets) -> list[str]:
    """Return what events named since the snapshot before, or some of it when that is too much to ask for."""
    if previous is None:
        raise MissingArtifact(f"{record.previous}, the snapshot before, is unknown; ask for a snapshot again")
    since = previous.as_of
    if record.how is How.INVENTORY and record.listed_at:  # what was written while it was made is in it or not
        since = min(since, record.listed_at)
    names: set[str] = set()
    for change in datasets.changes(record.dataset, since - OVERLAP):
        names.add(change.name)
        if len(names) > MOST_CHANGES:
            break
    return sorted(names)


def _decided(
    record: SnapshotRecord, names: Sequence[str], previous: SnapshotRecord | None, datasets: Datasets
) -> SnapshotRecord:
    """Return the record, changed to a listing where that asks less."""
    if record.how is How.LISTING or previous is None or not too_many(len(names), previous.objects):
        return record
    return _listed(record, f"{len(names)} of {previous.objects} objects have changed", datasets)


def _refuse_nothing(state: PlanState, record: SnapshotRecord) -> None:
    if state.complete and not state.transfer.objects and not record.previous:
        raise MissingArtifact(
            f"nothing is stored under {record.rule.uri}; upload the dataset, or mend its uri in the policy"
        )


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
    state: PlanState,
    record: SnapshotRecord,
    datasets: Datasets,
    catalog: Catalog,
    vault: Vault,
    unreadable: str,
) -> SnapshotInventory:
    transfer = state.transfer
    if record.attempt > 1:
        forget_trouble(vault, transfer)
    inventory = SnapshotInventory(**dict(put_in_force(state, catalog, vault)), unreadable=unreadable)
    moving = {"objects": transfer.objects, "bytes": transfer.bytes, "copied": transfer.moving}
    datasets.advance(record.model_copy(update={"phase": Phase.COPYING, **moving}))
    return inventory
