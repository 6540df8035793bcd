"""Start the failover of one model of an evacuation, once, and say whether it has ended."""

from __future__ import annotations

import datetime as dt

from mldr.domain.identity import ModelKey
from mldr.domain.leadership import role
from mldr.events.evacuation import RecoverTask
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Clock, Status, Workflows
from mldr.steps.executions import newest_status, start_unless
from mldr.steps.know_leader import home_known
from mldr.steps.start_failover import CONCLUDED, payload_of

TRIES = 3  # executions that may be lost before the model is given up


def recover_model(
    task: RecoverTask, *, region: str, peer: str, catalog: Catalog, workflows: Workflows, clock: Clock
) -> bool:
    """Return whether the model's failover has ended. A lost execution is started again, three times at the most.

    A failover of the model that is under way already is followed; nothing is started beside it, or after it took over.
    """
    status = newest_status(workflows, task.failover_id)
    if status is Status.SUCCEEDED or (status is Status.LOST and _given_up(task, workflows)):
        return True
    if status is Status.FAILED:  # refused, perhaps, because another one was a moment faster
        return not _under_way(task.model, catalog, workflows)
    if status is Status.RUNNING:
        return False
    if status is None:
        if _under_way(task.model, catalog, workflows):
            return False
        if _serves(task.model, region, peer, catalog, clock):
            return True
    start_unless(workflows, task.failover_id, payload_of(task, task.poll_seconds), final=CONCLUDED)
    return False


def _given_up(task: RecoverTask, workflows: Workflows) -> bool:
    return workflows.status(f"{task.failover_id}-{TRIES}") is not None


def _under_way(model: ModelKey, catalog: Catalog, workflows: Workflows) -> bool:
    epoch = catalog.epoch(model)
    return bool(epoch and not epoch.concluded and newest_status(workflows, epoch.failover_id) is Status.RUNNING)


def _serves(model: ModelKey, region: str, peer: str, catalog: Catalog, clock: Clock) -> bool:
    knowledge = catalog.leadership(model)
    home = home_known(region, model, knowledge, catalog)
    return role(region, home or peer, knowledge, now=clock.now(), drain=dt.timedelta(0)).serving
