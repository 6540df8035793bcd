"""Start the failover of one model of an evacuation, once, and say whether its slot is free again."""

from __future__ import annotations

import datetime as dt

from mldr.domain.failover import FOLLOW_LOOKS, looking
from mldr.domain.health import stands
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import role
from mldr.events.evacuation import RecoverTask
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Clock, Status, Workflows
from mldr.steps.executions import given_up, newest_status, start_unless
from mldr.steps.know_leader import home_known
from mldr.steps.start_failover import CONCLUDED, payload_of


class Look(Frozen):
    """How one model's failover stands, and since when it is followed."""

    ended: bool
    since: dt.datetime


def recover_model(
    task: RecoverTask, *, region: str, peer: str, catalog: Catalog, workflows: Workflows, clock: Clock
) -> Look:
    """Return whether the next model may begin: this one's failover has ended, or takes twice as long as expected.

    That one goes on by itself. A lost execution is started again, three times at the most. A failover of the model that
    is under way already is followed; nothing is started beside it, or after it took over.
    """
    now = clock.now()
    since = task.failover.since or now
    ended = _ended(task, region, peer, catalog, workflows, clock)
    patience = min(dt.timedelta(seconds=task.patience), looking(FOLLOW_LOOKS, task.poll_seconds))
    return Look(ended=ended or now - since > patience, since=since)


def _ended(task: RecoverTask, region: str, peer: str, catalog: Catalog, workflows: Workflows, clock: Clock) -> bool:
    status = newest_status(workflows, task.failover_id)
    if status is Status.RUNNING:
        return False
    # One that failed was refused, perhaps, because another one was a moment faster.
    if status in (None, Status.FAILED) and under_way(task.model, catalog, workflows):
        return False
    if status in CONCLUDED or (status is Status.LOST and given_up(workflows, task.failover_id)):
        return True
    if status is None and _serves(task.model, region, peer, catalog, clock):
        return True
    if task.listed and not stands(catalog.health(task.model), task.failover_id, task.evacuation):
        return True  # it answers again, or a later evacuation has it in its order
    start_unless(workflows, task.failover_id, payload_of(task, task.poll_seconds), final=CONCLUDED)
    return False


def under_way(model: ModelKey, catalog: Catalog, workflows: Workflows) -> bool:
    """Return whether an execution works for a claim of the model, whoever asked for it."""
    epoch = catalog.epoch(model)
    return bool(epoch and not epoch.concluded and newest_status(workflows, epoch.failover_id) is Status.RUNNING)


def _serves(model: ModelKey, region: str, peer: str, catalog: Catalog, clock: Clock) -> bool:
    knowledge = catalog.leadership(model)
    home = home_known(region, model, knowledge, catalog)
    return role(region, home or peer, knowledge, now=clock.now(), drain=dt.timedelta(0)).serving
