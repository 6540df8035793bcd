"""Claim the epoch for one failover, after making sure that there is something to recover."""

from __future__ import annotations

from mldr.domain.failover import Epoch, next_epoch
from mldr.domain.recovery_point import Record, newest_restorable
from mldr.domain.serving import plan_serving
from mldr.errors import AlreadyServing, NotRestorable
from mldr.events import Claimed, FailoverTask
from mldr.ports import Catalog, Clock, Vault
from mldr.steps.seal_recovery_point import read_manifest


def claim_epoch(
    task: FailoverTask, *, region: str, default_role: str, catalog: Catalog, vault: Vault, clock: Clock
) -> Claimed:
    """Return the claim. Raises NotRestorable, AlreadyServing or EpochTaken before anything is touched."""
    current = catalog.epoch(task.model)
    takeover = catalog.takeover(task.model)
    if takeover and (current is None or current.failover_id != task.failover_id):
        raise AlreadyServing(
            f"{region} serves {task.model} since {takeover.flipped_at:%Y-%m-%d %H:%M:%S}, epoch {takeover.epoch}"
        )
    point = _point(task, current, catalog)
    if catalog.route(task.model) is None:
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
    )
    if epoch != current:
        catalog.claim(task.model, epoch, current)
    plan = plan_serving(read_manifest(vault, point), epoch=epoch.number, default_role=default_role)
    return Claimed(epoch=epoch.number, recovery_point=point.recovery_point, endpoint=plan.name, at=epoch.claimed_at)


def _point(task: FailoverTask, current: Epoch | None, catalog: Catalog) -> Record:
    """Return the point that this failover claimed before, else the newest: one failover restores one point."""
    records = catalog.records(task.model)
    held = current.recovery_point if current and current.failover_id == task.failover_id else None
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
