"""Claim the epoch for one failover, after making sure that there is something to recover."""

from __future__ import annotations

import datetime as dt

from mldr.domain.failover import Epoch, Kind, next_epoch
from mldr.domain.leadership import Leadership, role
from mldr.domain.recovery_point import Record, newest_restorable
from mldr.domain.serving import endpoint_name
from mldr.errors import AlreadyServing, NothingToClear, NotRestorable
from mldr.events.failover import Claimed, MoveTask
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Clock, Status, Workflows
from mldr.ports.vault import Vault
from mldr.steps.executions import newest_status
from mldr.steps.know_leader import home_known
from mldr.steps.seal_recovery_point import read_manifest


def claim_epoch(
    task: MoveTask,
    *,
    region: str,
    catalog: Catalog,
    vault: Vault,
    workflows: Workflows,
    clock: Clock,
) -> Claimed:
    """Return the claim. Raises NotRestorable, AlreadyServing, EpochTaken or NothingToClear before anything is touched.

    A claim whose execution is dead is superseded at once, any other one after an hour, or when a person clears it.
    """
    current = catalog.epoch(task.model)
    knowledge = catalog.leadership(task.model)
    home = home_known(region, task.model, knowledge, catalog)
    if task.kind is Kind.CLEAR:
        return _clear(task, current, knowledge, region, home, catalog, clock)
    held = current is not None and current.failover_id == task.failover_id
    if not held:
        _refuse_while_serving(task, region, home, knowledge, clock)
    point = _point(task, current, catalog)
    if not home:
        raise NotRestorable(
            f"{task.model} was never onboarded, so no traffic can be switched; "
            f"`mldr protect {task.model.name}` finishes that"
        )
    epoch = next_epoch(
        current,
        failover_id=task.failover_id,
        region=region,
        recovery_point=point.recovery_point,
        now=clock.now(),
        known=knowledge.epoch,
        is_home=home == region,
        free=current is not None and not held and _dead(current, workflows),
    )
    if epoch != current:
        catalog.claim(task.model, epoch, current)
    return Claimed(
        epoch=epoch.number,
        recovery_point=point.recovery_point,
        endpoint=endpoint_name(read_manifest(vault, point), epoch.number),
        at=epoch.claimed_at,
        at_home=home == region,
    )


def _refuse_while_serving(task: MoveTask, region: str, home: str, knowledge: Leadership, clock: Clock) -> None:
    """Without a home there is no graph either, which is told instead."""
    now = role(region, home or "nobody", knowledge, now=clock.now(), drain=dt.timedelta(0))
    takeover = knowledge.takeover
    if now.serving and takeover:
        raise AlreadyServing(
            f"{region} serves {task.model} since {takeover.flipped_at:%Y-%m-%d %H:%M:%S}, epoch {takeover.epoch}"
        )
    if now.serving:
        raise AlreadyServing(f"{task.model}: {now.reason}; its standby takes over, not its home")


def _clear(
    task: MoveTask,
    current: Epoch | None,
    knowledge: Leadership,
    region: str,
    home: str,
    catalog: Catalog,
    clock: Clock,
) -> Claimed:
    """End an open claim by a newer one that nobody serves by: whatever still works for the old one is refused."""
    mine = current is not None and current.failover_id == task.failover_id
    if current is None or (current.concluded and not mine):
        raise NothingToClear(f"no claim of {task.model} is open in {region}; look at `mldr epoch {task.model.name}`")
    epoch = next_epoch(
        current,
        failover_id=task.failover_id,
        region=region,
        recovery_point=current.recovery_point,
        now=clock.now(),
        known=knowledge.epoch,
        is_home=home == region,
        free=True,
    )
    if epoch != current:
        catalog.claim(task.model, epoch, current)
    return Claimed(epoch=epoch.number, recovery_point=epoch.recovery_point, endpoint="", at=epoch.claimed_at)


def _dead(epoch: Epoch, workflows: Workflows) -> bool:
    """Return whether no execution works for a claim any more. One that cannot be found is not called dead."""
    return newest_status(workflows, epoch.failover_id) not in (None, Status.RUNNING)


def _point(task: MoveTask, current: Epoch | None, catalog: Catalog) -> Record:
    """Return the point that this failover claimed before, or that its gate chose, else the newest.

    One failover restores one point.
    """
    records = catalog.records(task.model)
    held = current.recovery_point if current and current.failover_id == task.failover_id else None
    held = held or (task.gate.recovery_point if task.gate else None)
    point = next((one for one in records if one.recovery_point == held), None) or newest_restorable(records)
    if point is None:
        states = (
            ", ".join(f"{one.recovery_point} is {one.damaged or one.withdrawn or one.phase}" for one in records)
            or "it was never captured"
        )
        raise NotRestorable(
            f"{task.model} has no sealed recovery point in this region ({states}); "
            f"look at `mldr status {task.model.name}`"
        )
    return point
