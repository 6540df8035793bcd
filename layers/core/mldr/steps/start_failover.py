"""Turn a request into one execution of the state machine *failover*."""

from __future__ import annotations

from mldr.events import FailoverRequested
from mldr.ports import Status, Workflows
from mldr.steps.executions import start_unless


def start_failover(requested: FailoverRequested, *, workflows: Workflows, poll_seconds: int) -> str:
    """Return the failover's id. The same request again starts nothing, unless its execution was lost."""
    detail = requested.detail
    start_unless(
        workflows,
        requested.failover_id,
        {
            "model": str(detail.model),
            "failover_id": requested.failover_id,
            "reason": detail.reason,
            "requested_by": detail.requested_by,
            "requested_at": requested.time.isoformat(),
            "first_failure_at": detail.first_failure_at.isoformat() if detail.first_failure_at else None,
            "poll_seconds": poll_seconds,
        },
        final=(Status.SUCCEEDED, Status.FAILED),
    )
    return requested.failover_id
