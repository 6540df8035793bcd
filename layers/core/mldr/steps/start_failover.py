"""Turn a request into one execution: of *failover* for a model, of *evacuate* for all models of a region."""

from __future__ import annotations

from typing import Any

from mldr.events.evacuation import RegionRequested
from mldr.events.failover import FailoverRequested, FailoverTask
from mldr.ports.stack import Clock, Status, Workflows
from mldr.steps.executions import start_unless

CONCLUDED = (Status.SUCCEEDED, Status.FAILED)


def start_failover(
    requested: FailoverRequested | RegionRequested,
    *,
    workflows: Workflows,
    evacuations: Workflows,
    poll_seconds: int,
    clock: Clock,
) -> str:
    """Return the failover's id. The same request again starts nothing, unless its execution was lost."""
    if isinstance(requested, RegionRequested):
        payload = {
            **requested.detail.model_dump(mode="json"),
            "failover_id": requested.failover_id,
            "kind": requested.kind.value,
            "requested_at": requested.time.isoformat(),
            "received_at": clock.now().isoformat(),
            "poll_seconds": poll_seconds,
        }
        start_unless(evacuations, requested.failover_id, payload, final=CONCLUDED)
        return requested.failover_id
    detail = requested.detail
    task = FailoverTask(
        model=detail.model,
        failover_id=requested.failover_id,
        kind=requested.kind,
        reason=detail.reason,
        requested_by=detail.requested_by,
        requested_at=requested.time,
        first_failure_at=detail.first_failure_at,
        received_at=clock.now(),
        clears=detail.clears,
    )
    start_unless(workflows, requested.failover_id, payload_of(task, poll_seconds), final=CONCLUDED)
    return requested.failover_id


def payload_of(task: FailoverTask, poll_seconds: int) -> dict[str, Any]:
    """Return the input of *failover*."""
    return {
        "model": str(task.model),
        "failover_id": task.failover_id,
        "kind": task.kind.value,
        "reason": task.reason,
        "requested_by": task.requested_by,
        "requested_at": task.requested_at.isoformat(),
        "first_failure_at": task.first_failure_at.isoformat() if task.first_failure_at else None,
        "received_at": task.received_at.isoformat() if task.received_at else None,
        "clears": task.clears,
        "evacuation": task.evacuation,
        "poll_seconds": poll_seconds,
    }
