"""Decide whether a model's active region is down, from what several vantage points saw.

Law 6: "cannot observe" is not "down". A model fails over only after consecutive rounds in which at least two vantage
points saw it fail and none saw it work; anything else that is not health is unknown, and unknown pages a person.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

from mldr.domain.identity import Frozen

QUORUM = 2
COOL_DOWN = dt.timedelta(minutes=15)


class Sight(StrEnum):
    """What one vantage point saw, or health as judged from all of them."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class Observation(Frozen):
    """One look at the active region: from where, what it saw, and why it says so."""

    vantage: str
    sight: Sight
    detail: str


class HealthState(Frozen):
    """What is remembered of a model between rounds."""

    verdict: Sight = Sight.HEALTHY
    unhealthy_rounds: int = 0
    unknown_rounds: int = 0
    first_unhealthy_at: dt.datetime | None = None
    requested_at: dt.datetime | None = None
    paged: bool = False
    reason: str = ""


class Action(StrEnum):
    """What follows from a decision."""

    NONE = "none"
    FAIL_OVER = "fail over"
    PAGE = "page"


class Rules(Frozen):
    """How a policy wants this model decided."""

    automatic: bool
    consecutive: int


class Standby(Frozen):
    """Whether the standby could take over now, and why not."""

    ready: bool
    serving: bool
    reason: str = ""


class Decision(Frozen):
    """What to do, the new state, and the sentence that an operator reads."""

    action: Action
    state: HealthState
    reason: str


def read_canary(name: str, text: str | None) -> Observation:
    """Return what Route 53's checkers think of the endpoint, from the text of a model's health canary."""
    match text:
        case "healthy":
            return Observation(vantage="route53", sight=Sight.HEALTHY, detail="its checkers reach the endpoint")
        case "unhealthy":
            return Observation(
                vantage="route53", sight=Sight.UNHEALTHY, detail="its checkers do not reach the endpoint"
            )
    return Observation(vantage="route53", sight=Sight.UNKNOWN, detail=f"{name} says {text or 'nothing'}")


def judge(observations: list[Observation]) -> tuple[Sight, str]:
    """Return health as the vantage points agree on it, and who saw what."""
    seen = {sight: [o.vantage for o in observations if o.sight is sight] for sight in Sight}
    reason = "; ".join(f"{o.vantage}: {o.sight} ({o.detail})" for o in observations) or "no vantage point"
    if seen[Sight.HEALTHY] and not seen[Sight.UNHEALTHY]:
        return Sight.HEALTHY, reason
    if len(seen[Sight.UNHEALTHY]) >= QUORUM and not seen[Sight.HEALTHY]:
        return Sight.UNHEALTHY, reason
    return Sight.UNKNOWN, reason


def decide(
    state: HealthState, observations: list[Observation], rules: Rules, standby: Standby, now: dt.datetime
) -> Decision:
    """Return the action of this round. Raises nothing: every decision, also the one not to act, has a reason."""
    verdict, seen = judge(observations)
    if standby.serving:
        return _none(HealthState(verdict=verdict, reason=seen), "this region already serves the model")
    match verdict:
        case Sight.HEALTHY:
            return _none(HealthState(verdict=verdict, requested_at=state.requested_at, reason=seen), f"healthy: {seen}")
        case Sight.UNKNOWN:
            return _unknown(state, seen, rules)
        case Sight.UNHEALTHY:
            return _unhealthy(state, seen, rules, standby, now)


def _none(state: HealthState, reason: str) -> Decision:
    return Decision(action=Action.NONE, state=state, reason=reason)


def _unknown(state: HealthState, seen: str, rules: Rules) -> Decision:
    rounds = state.unknown_rounds + 1
    page = rounds >= rules.consecutive and not state.paged
    new = HealthState(
        verdict=Sight.UNKNOWN,
        unknown_rounds=rounds,
        first_unhealthy_at=state.first_unhealthy_at,
        requested_at=state.requested_at,
        paged=state.paged or page,
        reason=seen,
    )
    if page:
        return Decision(
            action=Action.PAGE, state=new, reason=f"cannot tell whether the model is up ({rounds} rounds): {seen}"
        )
    return _none(new, f"unknown, round {rounds} of {rules.consecutive}: {seen}")


def _unhealthy(state: HealthState, seen: str, rules: Rules, standby: Standby, now: dt.datetime) -> Decision:
    rounds = state.unhealthy_rounds + 1
    new = HealthState(
        verdict=Sight.UNHEALTHY,
        unhealthy_rounds=rounds,
        first_unhealthy_at=state.first_unhealthy_at or now,
        requested_at=state.requested_at,
        paged=state.paged,
        reason=seen,
    )
    if rounds < rules.consecutive:
        return _none(new, f"unhealthy, round {rounds} of {rules.consecutive}: {seen}")
    if state.requested_at and now - state.requested_at < COOL_DOWN:
        return _none(new, f"unhealthy; failover was requested at {state.requested_at:%H:%M:%S}, next after {COOL_DOWN}")
    if standby.ready and rules.automatic:
        asked = new.model_copy(update={"requested_at": now, "paged": True})
        return Decision(action=Action.FAIL_OVER, state=asked, reason=f"unhealthy for {rounds} rounds: {seen}")
    why = "the policy leaves it to a person" if standby.ready else f"the standby is not ready: {standby.reason}"
    if state.paged:
        return _none(new, f"unhealthy; a person was paged, because {why}")
    paged = new.model_copy(update={"paged": True})
    return Decision(
        action=Action.PAGE, state=paged, reason=f"unhealthy for {rounds} rounds, not failed over: {why}; {seen}"
    )
