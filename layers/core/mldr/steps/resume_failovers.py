"""Go on with what holds an open epoch after its execution died: start it again, or have it told that it failed."""

from __future__ import annotations

from typing import Any

from mldr.domain.failover import ABANDONED, Epoch, Kind, Takeover
from mldr.domain.identity import Frozen, ModelKey
from mldr.errors import ExecutionLost, MldrError
from mldr.events.failover import Claimed, FailoverTask
from mldr.events.message import TaskError
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Clock, Pager, Status, Workflows
from mldr.steps.executions import TRIES, given_up, newest_status, start_unless
from mldr.steps.start_failover import CONCLUDED, payload_of


class Resumed(Frozen):
    """An execution that was started for a claim that nothing worked for."""

    model: ModelKey
    epoch: int
    execution: str
    reason: str


def resume_failovers(*, catalog: Catalog, workflows: Workflows, pager: Pager, clock: Clock) -> list[Resumed]:
    """Return what was started. Raises the first error, once all open claims were looked at.

    A lost execution is started again with what it was given, under its own claim: nothing is done twice. One that was
    lost three times, or an hour after a claim that switched nothing, is not: another one only tells that it failed. A
    claim that stands open though its work has ended is concluded.
    """
    done: list[Resumed] = []
    failed: list[MldrError] = []
    for model in catalog.open_claims():
        try:
            epoch = catalog.epoch(model)
            if epoch and not epoch.concluded:
                done += _look(model, epoch, catalog, workflows, pager, clock)
        except MldrError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return done


def _look(
    model: ModelKey, epoch: Epoch, catalog: Catalog, workflows: Workflows, pager: Pager, clock: Clock
) -> list[Resumed]:
    status = newest_status(workflows, epoch.failover_id)
    if status in CONCLUDED:  # the claim was written after its work had ended: an answer got lost, and the write did not
        catalog.conclude(model, epoch)
        return []
    old = clock.now() - epoch.claimed_at >= ABANDONED
    if status not in (None, Status.LOST) or (status is None and not old):
        return []
    knowledge = catalog.leadership(model)
    switch = next((one for one in (knowledge.takeover, knowledge.former) if one and one.epoch == epoch.number), None)
    hopeless = _hopeless(epoch, workflows, status, over=old and switch is None)
    given = workflows.given(epoch.failover_id) or _guessed(model, epoch, switch)
    payload = {**given, **_failure(model, epoch, switch, hopeless)} if hopeless else given
    started = start_unless(workflows, epoch.failover_id, payload, final=CONCLUDED)
    if started is None:  # a request that came again was faster
        return []
    reason = hopeless or (
        f"the execution that holds epoch {epoch.number} of {model} died. It goes on as {started}, and does nothing "
        f'twice; to end it instead: `mldr epoch {model.name} --clear --reason "why"`'
    )
    if not hopeless:
        pager.page(f"mldr: the failover of {model} died, and goes on", reason)
    return [Resumed(model=model, epoch=epoch.number, execution=started, reason=reason)]


def _hopeless(epoch: Epoch, workflows: Workflows, status: Status | None, *, over: bool) -> str:
    """Return why a claim's work is not done again, '' when it is. Conditions change: old decisions move no traffic."""
    if status is None:
        return "no execution of it is found, an hour after the claim"
    if given_up(workflows, epoch.failover_id):
        return f"{TRIES} executions of it died"
    return "its execution died, and the claim is more than an hour old" if over else ""


def _failure(model: ModelKey, epoch: Epoch, switch: Takeover | None, why: str) -> dict[str, Any]:
    """Return what *failover* is given besides, to tell a failure and nothing else."""
    where = (
        f"its switch is on since {switch.flipped_at:%Y-%m-%d %H:%M:%S}; nobody looked whether clients arrive"
        if switch
        else f"nothing was switched by it; if it is still wanted, ask again. `mldr epoch {model.name}` says who serves"
    )
    claim = Claimed(
        epoch=epoch.number,
        recovery_point=epoch.recovery_point,
        endpoint=switch.endpoint if switch else "",
        at=epoch.claimed_at,
    )
    lost = ExecutionLost(f"{why}: {where}")
    told = TaskError(Error=type(lost).__name__, Cause=str(lost))
    return {"claim": claim.model_dump(mode="json"), "error": told.model_dump(mode="json")}


def _guessed(model: ModelKey, epoch: Epoch, switch: Takeover | None) -> dict[str, Any]:
    """Return what an execution was given that is not found any more, as far as its claim says."""
    task = FailoverTask(
        model=model,
        failover_id=epoch.failover_id,
        kind=switch.kind if switch else Kind.FAILOVER,
        reason="unknown",
        requested_by="unknown",
        requested_at=epoch.claimed_at,
    )
    return payload_of(task, poll_seconds=0)
