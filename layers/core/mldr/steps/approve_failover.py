"""Turn a person's approval into the request for the failover that the person was asked about."""

from __future__ import annotations

from mldr.domain.approvals import Approval, objection
from mldr.domain.identity import Frozen
from mldr.errors import LostRace
from mldr.events import detail_types
from mldr.events.health import FailoverApproved
from mldr.ports.health import Decisions
from mldr.ports.stack import Bus, Clock


class Answered(Frozen):
    """What became of an approval: the failover that it started, or why it does not count."""

    failover_id: str = ""
    refused: str = ""


def approve_failover(approved: FailoverApproved, *, decisions: Decisions, bus: Bus, clock: Clock) -> Answered:
    """Return the failover that follows, or the objection. The same approval again asks for the same failover again."""
    detail, now = approved.detail, clock.now()
    approval = decisions.approval(detail.model)
    if why := objection(approval, detail.token, approved.approval_id, now):
        return Answered(refused=why)
    if approval and approval.open:
        approval = approval.use(detail.approved_by, approved.approval_id, now)
        try:
            decisions.settle(detail.model, approval)
        except LostRace:
            return _second(approved, decisions, clock)
    if approval is None:
        return Answered(refused="no failover of this model waits for an approval")
    bus.put(detail_types.FAILOVER_REQUESTED, _request(approved, approval))
    return Answered(failover_id=approval.failover_id)


def _second(approved: FailoverApproved, decisions: Decisions, clock: Clock) -> Answered:
    """Another approval, or the end of the outage, came between the look and the write: its word stands."""
    held = decisions.approval(approved.detail.model)
    why = objection(held, approved.detail.token, approved.approval_id, clock.now())
    return Answered(failover_id=held.failover_id if held and not why else "", refused=why)


def _request(approved: FailoverApproved, approval: Approval) -> dict[str, object]:
    first = approval.first_failure_at
    return {
        "model": str(approved.detail.model),
        "reason": f"approved by {approval.used_by}: {approval.reason}",
        "requested_by": approval.used_by,
        "failover_id": approval.failover_id,
        "first_failure_at": first.isoformat() if first else None,
    }
