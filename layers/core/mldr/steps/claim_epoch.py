"""Claim the epoch for one failover, after making sure that there is something to recover."""

from __future__ import annotations

import datetime as dt

from mldr.domain.failover import Epoch, Kind, check_age, next_epoch
from mldr.domain.identity import Frozen
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
    """Return the claim. Raises NotRestorable, AlreadyServing, EpochTaken, NothingToClear or RequestTooLate before
    anything is touched.

    A claim whose execution is dead is superseded at once, any other one after an hour, or when a person clears it.
    """
    asked = _asked(task, region, catalog)
    if not asked.held:
        check_age(task.requested_at, task.received_at, observed=task.first_failure_at is not None)
    if task.kind is Kind.CLEAR:
        return _clear(asked, catalog, clock)
    if not asked.held:
        _refuse_while_serving(asked, clock)
    point = _point(asked, catalog)
    if not asked.home:
        raise NotRestorable(
            f"{task.model} was never onboarded, so no traffic can be switched; "
            f"`mldr protect {task.model.name}` finishes that"
        )
    free = asked.current is not None and not asked.held and _dead(asked.current, workflows)
    epoch = _claimed(asked, point.recovery_point, free, catalog, clock)
    return Claimed(
        epoch=epoch.number,
        recovery_point=point.recovery_point,
        endpoint=endpoint_name(read_manifest(vault, point), epoch.number),
        at=epoch.claimed_at,
        at_home=asked.at_home,
    )


class _Asked(Frozen):
    """A claim that is asked for, and what stands in its way: the claim there is, and who is known to serve."""

    task: MoveTask
    region: str
    current: Epoch | None
    knowledge: Leadership
    home: str

    @property
    def held(self) -> bool:
        """Whether the claim there is is this failover's own, from an earlier try."""
        return self.current is not None and self.current.failover_id == self.task.failover_id

    @property
    def at_home(self) -> bool:
        return self.home == self.region


def _asked(task: MoveTask, region: str, catalog: Catalog) -> _Asked:
    current, knowledge = catalog.epoch(task.model), catalog.leadership(task.model)
    home = home_known(region, task.model, knowledge, catalog)
    return _Asked(task=task, region=region, current=current, knowledge=knowledge, home=home)


def _claimed(asked: _Asked, recovery_point: str, free: bool, catalog: Catalog, clock: Clock) -> Epoch:
    """Return the epoch, having claimed it unless an earlier try did. Raises EpochTaken."""
    epoch = next_epoch(
        asked.current,
        failover_id=asked.task.failover_id,
        region=asked.region,
        recovery_point=recovery_point,
        now=clock.now(),
        known=asked.knowledge.epoch,
        is_home=asked.at_home,
        free=free,
    )
    if epoch != asked.current:
        catalog.claim(asked.task.model, epoch, asked.current)
    return epoch


def _refuse_while_serving(asked: _Asked, clock: Clock) -> None:
    """Without a home there is no graph either, which is told instead."""
    model, knowledge = asked.task.model, asked.knowledge
    now = role(asked.region, asked.home or "nobody", knowledge, now=clock.now(), drain=dt.timedelta(0))
    takeover = knowledge.takeover
    if now.serving and takeover:
        raise AlreadyServing(
            f"{asked.region} serves {model} since {takeover.flipped_at:%Y-%m-%d %H:%M:%S}, epoch {takeover.epoch}"
        )
    if now.serving:
        raise AlreadyServing(f"{model}: {now.reason}; its standby takes over, not its home")


def _clear(asked: _Asked, catalog: Catalog, clock: Clock) -> Claimed:
    """End an open claim by a newer one that nobody serves by: whatever still works for the old one is refused."""
    model, current = asked.task.model, asked.current
    if current is None or (current.concluded and not asked.held):
        raise NothingToClear(f"no claim of {model} is open in {asked.region}; look at `mldr epoch {model.name}`")
    if not asked.held and asked.task.clears not in (None, current.failover_id):
        raise NothingToClear(
            f"the claim of {asked.task.clears} is over; {current.failover_id} holds epoch {current.number} of {model} "
            f"by now, and is left alone: look at `mldr epoch {model.name}`"
        )
    epoch = _claimed(asked, current.recovery_point, True, catalog, clock)
    return Claimed(epoch=epoch.number, recovery_point=epoch.recovery_point, endpoint="", at=epoch.claimed_at)


def _dead(epoch: Epoch, workflows: Workflows) -> bool:
    """Return whether no execution works for a claim any more. One that cannot be found is not called dead."""
    return newest_status(workflows, epoch.failover_id) not in (None, Status.RUNNING)


def _point(asked: _Asked, catalog: Catalog) -> Record:
    """Return the point that this failover claimed before, or that its gate chose, else the newest.

    One failover restores one point.
    """
    task = asked.task
    records = catalog.records(task.model)
    held = asked.current.recovery_point if asked.current and asked.held else None
    held = held or (task.gate.recovery_point if task.gate else None)
    point = next((one for one in records if one.recovery_point == held), None) or newest_restorable(records)
    if point is None:
        states = ", ".join(f"{one.recovery_point} is {one.condition}" for one in records) or "it was never captured"
        raise NotRestorable(
            f"{task.model} has no sealed recovery point in this region ({states}); "
            f"look at `mldr status {task.model.name}`"
        )
    return point
