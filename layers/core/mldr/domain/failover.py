"""Who serves a model: epochs, the takeover switch, and what a failover may do.

Law 7: an epoch only grows, is claimed by a conditional write, and work of an older epoch is refused. Of the two regions
the standby claims odd numbers and the home even ones, so that no epoch is ever claimed in both.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from enum import StrEnum

from mldr.domain.identity import Frozen, ModelKey
from mldr.errors import EpochTaken, RequestTooLate

# One look at something that is waited for (Task, Choice, Wait) is nine events of its execution's history, which holds
# 25,000: step-functions/latest/dg/service-quotas. One that is full ends the execution without telling anybody.
RESTORE_LOOKS, WARM_LOOKS, VERIFY_LOOKS, FOLLOW_LOOKS = 1_600, 700, 250, 2_400
ABANDONED = dt.timedelta(hours=1)  # a claim older than this, never concluded, may be superseded
# What a queue or a dead-letter queue gave back later than this after it was asked for is not done any more.
OBSERVATION_HOLDS = dt.timedelta(minutes=15)  # the watch looks again, and asks again
WISH_HOLDS = dt.timedelta(hours=1)


class Kind(StrEnum):
    """Why a region holds an epoch."""

    HOME = "home"  # epoch 0: nobody ever took over
    FAILOVER = "failover"  # the region that served was down
    FAILBACK = "failback"  # planned, to the home
    MOVE = "move"  # planned, to the standby
    CLEAR = "clear"  # a person ended a claim that did not end by itself; nothing is served by it

    @property
    def planned(self) -> bool:
        """Whether the region that served is well, and hands over."""
        return self in (Kind.FAILBACK, Kind.MOVE)


class Epoch(Frozen):
    """The generation of "who serves this model", which failover claimed it, and the recovery point that it restores."""

    number: int
    failover_id: str
    region: str
    recovery_point: str
    claimed_at: dt.datetime
    concluded: bool = False


class Takeover(Frozen):
    """What the takeover switch says: this region serves the model, at this epoch, with this endpoint."""

    epoch: int
    endpoint: str
    recovery_point: str
    flipped_at: dt.datetime
    home: str = ""
    kind: Kind = Kind.FAILOVER
    component: str = ""  # of the endpoint, where inference components answer


def automatic_id(model: ModelKey, current: Epoch | None, first_failure_at: dt.datetime) -> str:
    """Return the id of an automatic failover: one per model, epoch and outage, however often it is requested.

    The name is only for the reader; the digest keeps models apart whose long names begin alike.
    """
    digest = hashlib.sha256(str(model).encode()).hexdigest()[:8]
    number = (current.number if current else 0) + 1
    return f"auto-{model.name[:20]}-{digest}-e{number}-{first_failure_at:%Y%m%dT%H%M%S}"


def check_age(requested_at: dt.datetime, received_at: dt.datetime | None, *, observed: bool) -> None:
    """Raise RequestTooLate for what arrived long after it was asked for: by then it may move healthy traffic.

    `observed` says that it rests on an outage that was seen. What nobody received by a queue has no such age.
    """
    holds = OBSERVATION_HOLDS if observed else WISH_HOLDS
    if received_at and received_at - requested_at > holds:
        raise RequestTooLate(
            f"asked for at {requested_at:%Y-%m-%d %H:%M:%S}, it arrived at {received_at:%Y-%m-%d %H:%M:%S}, and what "
            f"was true then holds for {holds} only; look at `mldr status`, and ask again if it is still wanted"
        )


def looking(looks: int, poll_seconds: int) -> dt.timedelta:
    """Return for how long something can be waited for by so many looks."""
    return dt.timedelta(seconds=looks * poll_seconds)


def ballot(known: int, *, is_home: bool) -> int:
    """Return the next epoch that this side may claim, above every one it knows: odd for the standby, even at home."""
    return known + 1 if (known + 1) % 2 == (0 if is_home else 1) else known + 2


def next_epoch(
    current: Epoch | None,
    *,
    failover_id: str,
    region: str,
    recovery_point: str,
    now: dt.datetime,
    known: int = 0,
    is_home: bool = False,
    free: bool = False,
) -> Epoch:
    """Return the epoch that this failover holds: the one it already has, or the next. Raises EpochTaken.

    `known` is the highest epoch that was seen flipped anywhere; `free` says that the current claim's execution is dead.
    """
    if current and current.failover_id == failover_id:
        return current
    if current and not free and not current.concluded and now - current.claimed_at < ABANDONED:
        raise EpochTaken(
            f"epoch {current.number} is held by failover {current.failover_id} "
            f"since {current.claimed_at:%Y-%m-%d %H:%M:%S}; "
            "watch it with `mldr status`, or ask again after it has concluded"
        )
    return Epoch(
        number=ballot(max(current.number if current else 0, known), is_home=is_home),
        failover_id=failover_id,
        region=region,
        recovery_point=recovery_point,
        claimed_at=now,
    )
