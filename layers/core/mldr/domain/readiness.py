"""Whether this region could take a model over, and what a person should know of how that would go.

Only without a recovery point nothing can be served. What makes a failover slower, smaller or older than promised holds
none up, because that is better than no answer at all: it is told with the decision.
"""

from __future__ import annotations

import datetime as dt

from mldr.domain.capacity import STALE, Capacity
from mldr.domain.endpoint_status import answers
from mldr.domain.evacuation import lack
from mldr.domain.identity import Frozen
from mldr.domain.recovery_point import Record
from mldr.domain.serving_state import Refusal

LONGEST = 300  # characters that are told of a refusal; `mldr status` has all of it


class Stands(Frozen):
    """The endpoint that is to stand by for a tier, and what SageMaker says of it."""

    tier: str
    endpoint: str
    status: str
    reason: str = ""


class Known(Frozen):
    """What a region knows of itself, for one model. `own` is a model's home: its own endpoint is there."""

    point: Record | None
    own: bool = False
    stands: Stands | None = None
    captured_at: dt.datetime | None = None
    refusal: Refusal | None = None
    instances: dict[str, int] = {}  # that a failover would have to start, by type
    capacity: Capacity | None = None


class Readiness(Frozen):
    """Whether a failover may begin, and why not or what to expect of it."""

    ready: bool
    reason: str = ""


def readiness(known: Known, now: dt.datetime) -> Readiness:
    """Return how ready this region is; of what is as promised nothing is said."""
    if known.point is None:
        return Readiness(ready=False, reason="no sealed recovery point")
    if known.own:
        return Readiness(ready=True)
    told = (_slower(known.stands), _older(known), _smaller(known, now))
    return Readiness(ready=True, reason="; ".join(one for one in told if one))


def _slower(stands: Stands | None) -> str:
    if stands is None or answers(stands.status):
        return ""
    said = f"its {stands.tier} endpoint {stands.endpoint} is {stands.status} ({stands.reason})"
    return f"{said}: a failover takes as long as a cold one"


def _older(known: Known) -> str:
    if known.refusal is None or not known.refusal.reason:
        return ""
    at = known.captured_at
    what = (
        f"is restored as captured at {at:%Y-%m-%d %H:%M:%S}" if at else "was never captured: the policy's is restored"
    )
    return f"how it serves {what}, a later look was refused: {known.refusal.reason[:LONGEST]}"


def _smaller(known: Known, now: dt.datetime) -> str:
    if not known.instances:
        return ""
    if known.capacity is None:
        return "whether the quotas of this region leave it instances is not known: they were never read"
    if missing := lack(known.instances, known.capacity.free):
        return f"{missing} (quotas read at {known.capacity.read_at:%Y-%m-%d %H:%M:%S})"
    if now - known.capacity.read_at > STALE:
        return f"the quotas of this region were last read at {known.capacity.read_at:%Y-%m-%d %H:%M:%S}"
    return ""
