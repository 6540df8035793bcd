"""Record what a failover did, as evidence, and tell the bus."""

from __future__ import annotations

from typing import Literal

from mldr.domain.endpoint_status import IN_SERVICE
from mldr.domain.evidence import GENESIS, Evidence, phase_times
from mldr.domain.failover import Kind
from mldr.events import detail_types
from mldr.events.failover import FailoverCompletedDetail, FailoverConclusion, Mark, WarmMark
from mldr.events.message import detail
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Bus, Clock, Pager
from mldr.ports.vault import EvidenceStore
from mldr.steps.page_completion import Completion, page_completion

_REFUSALS = {
    "NotRestorable",
    "AlreadyServing",
    "EpochTaken",
    "StaleEpoch",
    "WrongDirection",
    "PeerSilent",
    "PeerLagging",
    "DrainTooShort",
    "NothingToClear",
    "RequestTooLate",
    "PromotedMeanwhile",
}


def conclude_failover(
    task: FailoverConclusion,
    *,
    region: str,
    catalog: Catalog,
    evidence: EvidenceStore,
    bus: Bus,
    pager: Pager,
    clock: Clock,
) -> Evidence:
    """Return the evidence. Concluding twice is one record. What did not complete pages, or only with a warning, and
    what nobody asked for: the last page of an outage must not be that something is wrong. Whoever planned a move is
    not paged for what was known by day.

    What is part of an evacuation is told by the page of its region.
    """
    record = evidence.append(_evidence(task, region, clock))
    epoch = catalog.epoch(task.model)
    if epoch and epoch.failover_id == task.failover_id and not epoch.concluded:
        catalog.conclude(task.model, epoch)
    told = detail_types.FAILBACK_COMPLETED if task.kind is Kind.FAILBACK else detail_types.FAILOVER_COMPLETED
    bus.put(told, detail(FailoverCompletedDetail.of(record)))
    if task.evacuation:
        return record  # a page for each of a thousand models would be read by nobody: its region's page names it
    if record.outcome != "completed":
        pager.page(f"mldr: {task.kind} of {task.model} {record.outcome}", record.reason)
    else:
        page_completion(_completion(task, record), pager)
    return record


def _completion(task: FailoverConclusion, record: Evidence) -> Completion:
    took = round(sum(phase.seconds for phase in record.phases))
    return Completion(
        of=f"{task.kind} of {task.model}",
        said="; ".join(record.told),
        clients=(
            f"{record.region} serves {record.model} by epoch {record.epoch}, from {record.recovery_point}, {took} s "
            "after the first failure that was seen. Its clients are there"
        ),
        home=f"When its home is well again: `mldr failback {record.model.name} --plan`",
        warned=bool(record.told),
        by_itself=task.first_failure_at is not None,
        untold=bool(task.switch and task.switch.note),
    )


def _evidence(task: FailoverConclusion, region: str, clock: Clock) -> Evidence:
    claim = task.claim
    marks = [
        ("first failure", task.first_failure_at),
        ("detect", task.requested_at),
        *([("gate", task.gate.at)] if task.gate else []),
        ("decide", claim.at if claim else None),
        *((name, mark.at if mark and _ended(mark) else None) for name, mark in _marks(task)),
    ]
    return Evidence(
        sequence=0,
        previous=GENESIS,
        kind=task.kind.value,
        id=task.failover_id,
        model=task.model,
        outcome=_outcome(task),
        reason=_reason(task),
        region=region,
        epoch=claim.epoch if claim else None,
        recovery_point=claim.recovery_point if claim else None,
        phases=phase_times(marks if task.first_failure_at else marks[1:]),
        warnings=_warnings(task),
        foreseen=_foreseen(task),
        recorded_at=clock.now(),
        requested_at=task.requested_at,
    )


def _warnings(task: FailoverConclusion) -> tuple[str, ...]:
    """What the traffic moved in spite of, in the order in which it came up."""
    restored = (*task.serving.foreseen, *task.serving.warnings) if task.serving else ()
    later = [mark.warning for mark in (task.warm, task.verify) if mark]
    return tuple(one for one in (*restored, *later, task.switch.note if task.switch else "") if one)


def _foreseen(task: FailoverConclusion) -> tuple[str, ...]:
    """What the plan of the endpoint says, and that there is nothing to prove its answers by, is known on any day."""
    unproven = (task.verify.warning,) if task.verify and task.verify.warning else ()
    return (*(task.serving.foreseen if task.serving else ()), *unproven)


def _reason(task: FailoverConclusion) -> str:
    said = task.error.sentence if task.error else task.reason
    return f"{said} ({task.switch.note})" if task.switch and task.switch.note else said


def _marks(task: FailoverConclusion) -> list[tuple[str, Mark | None]]:
    """Nothing is restored where the model's own endpoint serves the version already."""
    reused = task.claim is not None and task.claim.reuse
    return [
        *([] if reused else [("restore", task.serving)]),
        ("warm", task.warm),
        ("verify", task.verify),
        ("switch", task.switch),
        ("confirm", task.confirm),
    ]


def _ended(mark: Mark) -> bool:
    return mark.status == IN_SERVICE and not (isinstance(mark, WarmMark) and mark.more)


def _outcome(task: FailoverConclusion) -> Literal["completed", "refused", "failed"]:
    if task.error is None:
        return "completed"
    return "refused" if task.error.Error in _REFUSALS else "failed"
