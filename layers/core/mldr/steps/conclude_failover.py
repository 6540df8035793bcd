"""Record what a failover did, as evidence, and tell the bus."""

from __future__ import annotations

from typing import Literal

from mldr import events
from mldr.domain.evidence import GENESIS, Evidence, phase_times
from mldr.events import FailoverConclusion
from mldr.ports import Bus, Catalog, Clock, EvidenceStore, Pager
from mldr.steps.restore_serving import IN_SERVICE

_REFUSALS = {"NotRestorable", "AlreadyServing", "EpochTaken"}


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
    """Return the evidence. Concluding twice is one record; a failover that did not complete pages a person."""
    record = evidence.append(_evidence(task, region, clock))
    epoch = catalog.epoch(task.model)
    if epoch and epoch.failover_id == task.failover_id and not epoch.concluded:
        catalog.conclude(task.model, epoch)
    bus.put(events.FAILOVER_COMPLETED, events.detail(events.FailoverCompletedDetail.of(record)))
    if record.outcome != "completed":
        pager.page(f"mldr: failover of {task.model} {record.outcome}", record.reason)
    return record


def _evidence(task: FailoverConclusion, region: str, clock: Clock) -> Evidence:
    claim = task.claim
    marks = [
        ("first failure", task.first_failure_at),
        ("detect", task.requested_at),
        ("decide", claim.at if claim else None),
        *((name, mark.at if mark and mark.status == IN_SERVICE else None) for name, mark in _marks(task)),
    ]
    return Evidence(
        sequence=0,
        previous=GENESIS,
        kind="failover",
        id=task.failover_id,
        model=task.model,
        outcome=_outcome(task),
        reason=task.error.sentence if task.error else task.reason,
        region=region,
        epoch=claim.epoch if claim else None,
        recovery_point=claim.recovery_point if claim else None,
        phases=phase_times(marks if task.first_failure_at else marks[1:]),
        recorded_at=clock.now(),
    )


def _marks(task: FailoverConclusion) -> list[tuple[str, events.Mark | None]]:
    return [
        ("restore", task.serving),
        ("warm", task.warm),
        ("verify", task.verify),
        ("switch", task.switch),
        ("confirm", task.confirm),
    ]


def _outcome(task: FailoverConclusion) -> Literal["completed", "refused", "failed"]:
    if task.error is None:
        return "completed"
    return "refused" if task.error.Error in _REFUSALS else "failed"
