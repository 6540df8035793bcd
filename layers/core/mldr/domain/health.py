"""Decide whether the region that serves a model is down, from what several vantage points saw.

Law 6: "cannot observe" is not "down". A model fails over only after consecutive rounds in which a quorum of vantage
points saw it fail and none saw it work; anything else that is not health is unknown, and unknown pages a person.
Only this region's clock is read, and no time that another region wrote: skew between regions changes nothing.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

from pydantic import ConfigDict

from mldr.domain.failover import Epoch, automatic_id
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.model_rules import FailoverMode

REPEAT = dt.timedelta(minutes=1)  # a request of which no execution is seen is put again
FIRST_RETRY = dt.timedelta(seconds=30)  # a refused request is made again after this, doubled with every try
KEPT_CHANGES = 50  # of the verdict, to count flaps


class Sight(StrEnum):
    """What one vantage point saw, or health as judged from all of them."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class Observation(Frozen):
    """One look at the region that serves: from where, what it saw, and why it says so."""

    vantage: str
    sight: Sight
    detail: str


class Action(StrEnum):
    """What follows from a decision."""

    NONE = "none"
    FAIL_OVER = "fail over"
    ASK = "ask for approval"
    PAGE = "page"
    SCALE = "scale up"
    GIVE_BACK = "scale back"


class Why(StrEnum):
    """What a decision rests on. Rounds in a row that rest on the same are one line of the log."""

    HEALTHY = "healthy"
    SERVING = "this region serves"
    UNKNOWN = "cannot tell"
    COUNTING = "not long enough"
    OUT_OF_REACH = "quorum out of reach"
    UNDER_WAY = "a failover is under way"
    REQUESTED = "requested"
    COOLING = "cooling down"
    FLAPPING = "flapping"
    NOT_READY = "standby not ready"
    BY_HAND = "left to a person"
    AWAITING = "awaiting approval"
    HELD = "held for more critical models"
    ALONE = "answers alone"
    CHANGING = "its endpoint changes"
    NOT_SCALED = "not scaled"
    TOGETHER = "both answer again"


class Fate(StrEnum):
    """What became of a request."""

    UNSEEN = "unseen"  # no execution has started, or it died: the same request may be made again
    QUEUED = "queued"  # the evacuation that it was asked for in runs, and its turn has not come
    RUNNING = "running"
    REFUSED = "refused"  # before it claimed an epoch: nothing was touched
    OVER = "over"


class Request(Frozen):
    """A failover that was requested in this outage."""

    id: str
    tries: int
    asked_at: dt.datetime
    put_at: dt.datetime
    within: str = ""  # the evacuation in which its turn comes


class Ask(Frozen):
    """A failover for which a person was asked."""

    id: str
    tries: int
    until: dt.datetime


class Decided(Frozen):
    """One line of the log of decisions: what was decided from `at` to `until`, in so many rounds, and why."""

    at: dt.datetime
    until: dt.datetime
    rounds: int
    verdict: Sight
    action: Action
    why: Why
    reason: str


class HealthState(Frozen):
    """What is remembered of a model between rounds. An outage ends after as many healthy rounds as make one begin."""

    model_config = ConfigDict(extra="ignore")  # rows of an older release are read as well

    verdict: Sight = Sight.HEALTHY
    reason: str = ""
    looked_at: dt.datetime | None = None
    healthy_rounds: int = 0
    unhealthy_rounds: int = 0
    unknown_rounds: int = 0
    settled: Sight = Sight.HEALTHY
    changes: tuple[dt.datetime, ...] = ()  # of `settled`
    first_unhealthy_at: dt.datetime | None = None
    requested_at: dt.datetime | None = None
    request: Request | None = None
    ask: Ask | None = None
    paged_for: tuple[Why, ...] = ()
    epoch: int = 0
    moved_at: dt.datetime | None = None  # when this region first saw `epoch`
    vantages: int = 0  # how many looked, the last time that any did
    decided: Decided | None = None


class Rules(Frozen):
    """How a policy wants this model decided."""

    mode: FailoverMode
    consecutive: int
    quorum: int = 2
    cool_down: dt.timedelta = dt.timedelta(minutes=15)
    flaps: int = 3
    flap_window: dt.timedelta = dt.timedelta(hours=1)
    approve_within: dt.timedelta = dt.timedelta(minutes=15)


class Standby(Frozen):
    """What the region that would take over knows of itself."""

    model: ModelKey
    ready: bool
    serving: bool
    reason: str = ""  # why it is not ready, or what to expect of it
    claimed: Epoch | None = None
    epoch: int = 0  # the newest that serves, here or in the peer
    under_way: str = ""  # the failover that holds the epoch now
    fate: Fate = Fate.UNSEEN  # of the request in HealthState
    approved: bool = False  # the ask in HealthState


class Decision(Frozen):
    """What to do, the new state, and the sentence that an operator reads."""

    action: Action
    why: Why
    state: HealthState
    reason: str


def judge(observations: list[Observation], quorum: int) -> tuple[Sight, str]:
    """Return health as the vantage points agree on it, and who saw what. One that sees it work speaks against down."""
    seen = {sight: [o.vantage for o in observations if o.sight is sight] for sight in Sight}
    reason = "; ".join(f"{o.vantage}: {o.sight} ({o.detail})" for o in observations) or "no vantage point"
    if seen[Sight.HEALTHY] and not seen[Sight.UNHEALTHY]:
        return Sight.HEALTHY, reason
    if len(seen[Sight.UNHEALTHY]) >= quorum and not seen[Sight.HEALTHY]:
        return Sight.UNHEALTHY, reason
    return Sight.UNKNOWN, reason


def looked(state: HealthState, pause: dt.timedelta, now: dt.datetime) -> bool:
    """Return whether this round was looked at already: one that is tried again must not count twice."""
    return state.looked_at is not None and abs(now - state.looked_at) < pause / 2


def decide(
    state: HealthState, observations: list[Observation], rules: Rules, standby: Standby, now: dt.datetime
) -> Decision:
    """Return the action of this round. Raises nothing: every decision, also the one not to act, has a reason."""
    verdict, seen = judge(observations, rules.quorum)
    noted = reach(_noted(state, verdict, seen, rules, standby, now), len(observations), rules)
    decision = _decide(noted, rules, standby, now)
    return decision.model_copy(update={"state": logged(decision, now)})


def _decide(state: HealthState, rules: Rules, standby: Standby, now: dt.datetime) -> Decision:
    if standby.serving:
        return rest(forget(state), Why.SERVING, "this region serves the model")
    if state.verdict is Sight.UNHEALTHY:
        return _unhealthy(state, rules, standby, now)
    if state.verdict is Sight.UNKNOWN:
        return _unknown(state, rules)
    if state.healthy_rounds >= rules.consecutive:
        state = forget(state)
    if flapping(state, rules):
        return rest(state, Why.FLAPPING, f"healthy again, {how_often(state, rules)}: {state.reason}")
    if missed := out_of_reach(rules.quorum, state.vantages):
        return page(state, Why.OUT_OF_REACH, f"healthy: {state.reason}; but {missed}")
    return rest(state, Why.HEALTHY, f"healthy: {state.reason}")


def out_of_reach(quorum: int, vantages: int) -> str:
    """Return why no outage would ever be seen as one, '' when a quorum can be reached or nobody has looked yet."""
    if not 0 < vantages < quorum:
        return ""
    return (
        f"health.quorum is {quorum} and there are {vantages} vantage points, so nothing is ever down: deploy this "
        f"region's stack with a WitnessHost, or lower health.quorum"
    )


def reach(state: HealthState, vantages: int, rules: Rules) -> HealthState:
    """Return the state with how many look; once they can be a quorum, a person may be told again that they cannot."""
    vantages = vantages or state.vantages
    kept = state.paged_for
    if not out_of_reach(rules.quorum, vantages):
        kept = tuple(why for why in kept if why is not Why.OUT_OF_REACH)
    return state.model_copy(update={"vantages": vantages, "paged_for": kept})


def _noted(
    state: HealthState, verdict: Sight, seen: str, rules: Rules, standby: Standby, now: dt.datetime
) -> HealthState:
    """Return the state with this round counted in, and what the standby says."""
    moved = now if standby.epoch > state.epoch else state.moved_at
    of_standby = {"epoch": max(standby.epoch, state.epoch), "moved_at": moved, **_approved(state, standby, now)}
    return counted(state, verdict, seen, rules, now).model_copy(update=of_standby)


def counted(state: HealthState, verdict: Sight, seen: str, rules: Rules, now: dt.datetime) -> HealthState:
    """Return the state with this round counted in."""
    rounds = {
        "healthy_rounds": state.healthy_rounds + 1 if verdict is Sight.HEALTHY else 0,
        "unhealthy_rounds": state.unhealthy_rounds + 1 if verdict is Sight.UNHEALTHY else 0,
        "unknown_rounds": state.unknown_rounds + 1 if verdict is Sight.UNKNOWN else 0,
    }
    settled = state.settled
    if max(rounds["healthy_rounds"], rounds["unhealthy_rounds"]) >= rules.consecutive:
        settled = verdict
    changes = tuple(at for at in state.changes if now - at < rules.flap_window)
    if settled is not state.settled:
        changes = (*changes, now)[-KEPT_CHANGES:]
    first = state.first_unhealthy_at
    if verdict is not Sight.UNKNOWN:
        first = (first or now) if verdict is Sight.UNHEALTHY else None
    of_round = {"verdict": verdict, "reason": seen, "settled": settled, "changes": changes, **rounds}
    return state.model_copy(update={**of_round, "looked_at": now, "first_unhealthy_at": first})


def _approved(state: HealthState, standby: Standby, now: dt.datetime) -> dict[str, object]:
    """What changes once a person has confirmed: the ask is a request."""
    if state.ask is None or not standby.approved:
        return {}
    request = Request(id=state.ask.id, tries=state.ask.tries, asked_at=now, put_at=now)
    return {"ask": None, "request": request, "requested_at": now}


def forget(state: HealthState) -> HealthState:
    """Return the state after an outage; when a failover was last requested and who serves is kept.

    That the quorum is out of reach is no matter of an outage.
    """
    told = tuple(why for why in state.paged_for if why is Why.OUT_OF_REACH)
    kept = state.model_copy(update={"request": None, "ask": None, "paged_for": told, "first_unhealthy_at": None})
    return kept.model_copy(update={"unhealthy_rounds": 0, "unknown_rounds": 0})


def rest(state: HealthState, why: Why, reason: str) -> Decision:
    """Return the decision not to act."""
    return Decision(action=Action.NONE, why=why, state=state, reason=reason)


def page(state: HealthState, why: Why, reason: str) -> Decision:
    """Return the decision to page, once in an outage for each reason."""
    if why in state.paged_for:
        return rest(state, why, f"{reason}; a person was paged")
    paged = state.model_copy(update={"paged_for": (*state.paged_for, why)})
    return Decision(action=Action.PAGE, why=why, state=paged, reason=reason)


def _unknown(state: HealthState, rules: Rules) -> Decision:
    rounds = state.unknown_rounds
    if rounds < rules.consecutive:
        return rest(state, Why.UNKNOWN, f"unknown, round {rounds} of {rules.consecutive}: {state.reason}")
    missed = out_of_reach(rules.quorum, state.vantages)
    reason = f"cannot tell whether the model is up ({rounds} rounds): {state.reason}"
    return page(state, Why.UNKNOWN, f"{reason}; {missed}" if missed else reason)


def _unhealthy(state: HealthState, rules: Rules, standby: Standby, now: dt.datetime) -> Decision:
    rounds = state.unhealthy_rounds
    if rounds < rules.consecutive:
        return rest(state, Why.COUNTING, f"unhealthy, round {rounds} of {rules.consecutive}: {state.reason}")
    if standby.under_way:
        return rest(state, Why.UNDER_WAY, f"unhealthy; failover {standby.under_way} is under way")
    waiting = _waiting(state, state.request, rules, standby, now) if state.request else None
    return waiting or _down(state, rules, standby, now)


def _down(state: HealthState, rules: Rules, standby: Standby, now: dt.datetime) -> Decision:
    down, seen = f"unhealthy for {state.unhealthy_rounds} rounds", state.reason
    if not standby.ready:
        reason = f"{down}, not failed over: the standby is not ready: {standby.reason}; {seen}"
        return page(state, Why.NOT_READY, reason)
    seen = f"{seen}; {standby.reason}" if standby.reason else seen
    match rules.mode:
        case FailoverMode.MANUAL:
            return page(state, Why.BY_HAND, f"{down}, not failed over: the policy leaves it to a person; {seen}")
        case FailoverMode.APPROVE:
            known = f"{seen}{_restless(state, rules, now)}"
            return _ask(state, rules, standby, now, f"{down}, waiting for a person to approve the failover; {known}")
        case FailoverMode.AUTOMATIC:
            return _automatic(state, rules, standby, now, seen)


def _automatic(state: HealthState, rules: Rules, standby: Standby, now: dt.datetime, seen: str) -> Decision:
    down = f"unhealthy for {state.unhealthy_rounds} rounds"
    if flapping(state, rules):
        return page(state, Why.FLAPPING, f"{down}, not failed over: {how_often(state, rules)}; {seen}")
    if until := _cooling(state, rules, now):
        return page(state, Why.COOLING, f"{down}, not failed over before {until:%H:%M:%S} (cool-down); {seen}")
    return _request(state, standby, now, f"{down}: {seen}")


def _restless(state: HealthState, rules: Rules, now: dt.datetime) -> str:
    """Return what would keep a failover from starting by itself: a person decides all the same, and should know it."""
    until = _cooling(state, rules, now)
    said = [how_often(state, rules)] if flapping(state, rules) else []
    said += [f"it moved, or was to, a moment ago (cool-down until {until:%H:%M:%S})"] if until else []
    return "".join(f"; {one}" for one in said)


def _waiting(state: HealthState, request: Request, rules: Rules, standby: Standby, now: dt.datetime) -> Decision | None:
    """Return the decision while a request of this outage stands; None once it may be followed by another."""
    name, since = request.id, now - request.asked_at
    if standby.fate is Fate.RUNNING:
        return rest(state, Why.REQUESTED, f"unhealthy; failover {name} runs")
    if standby.fate is Fate.QUEUED:
        return rest(state, Why.REQUESTED, f"unhealthy; failover {name} waits for its turn in {request.within}")
    if standby.fate is Fate.UNSEEN:
        if now - request.put_at < REPEAT:
            return rest(state, Why.REQUESTED, f"unhealthy; failover {name} was requested")
        again = state.model_copy(update={"request": request.model_copy(update={"put_at": now})})
        reason = f"failover {name} was requested and nothing of it is seen: requested again"
        return Decision(action=Action.FAIL_OVER, why=Why.REQUESTED, state=again, reason=reason)
    pause = retry_pause(request.tries, rules.cool_down) if standby.fate is Fate.REFUSED else rules.cool_down
    if since < pause:
        reason = f"unhealthy; failover {name} is {standby.fate}, the next may follow {pause} after it"
        return rest(state, Why.COOLING, reason)
    return None


def retry_pause(tries: int, longest: dt.timedelta) -> dt.timedelta:
    """Return how long after so many refusals nothing is asked for again."""
    doubled: dt.timedelta = FIRST_RETRY * 2 ** min(tries - 1, 10)
    return min(longest, doubled)


def _cooling(state: HealthState, rules: Rules, now: dt.datetime) -> dt.datetime | None:
    """Return until when nothing is requested: after a request of an earlier outage, and after the model moved."""
    earlier = [state.moved_at] if state.request else [state.moved_at, state.requested_at]
    until = max((at + rules.cool_down for at in earlier if at), default=None)
    return until if until and now < until else None


def flapping(state: HealthState, rules: Rules) -> bool:
    """Return whether the verdict changed more often than the policy bears."""
    return len(state.changes) > rules.flaps


def how_often(state: HealthState, rules: Rules) -> str:
    """Return how often the verdict changed, in words."""
    return f"the verdict changed {len(state.changes)} times within {rules.flap_window}"


def _name(state: HealthState, standby: Standby, tries: int, now: dt.datetime) -> str:
    """Return the id of a request: the same for a round that is repeated, another one for every try."""
    base = automatic_id(standby.model, standby.claimed, state.first_unhealthy_at or now)
    return base if tries == 1 else f"{base}-t{tries}"


def _request(state: HealthState, standby: Standby, now: dt.datetime, reason: str) -> Decision:
    tries = state.request.tries + 1 if state.request else 1
    request = Request(id=_name(state, standby, tries, now), tries=tries, asked_at=now, put_at=now)
    asked = state.model_copy(update={"request": request, "requested_at": now})
    return Decision(action=Action.FAIL_OVER, why=Why.REQUESTED, state=asked, reason=reason)


def held(before: HealthState, decision: Decision, reason: str, now: dt.datetime) -> Decision:
    """Return the decision to wait in place of one to fail over: the next round decides anew, and nothing is asked."""
    asked = {"request": before.request, "requested_at": before.requested_at, "decided": before.decided}
    waits = rest(decision.state.model_copy(update=asked), Why.HELD, reason)
    return waits.model_copy(update={"state": logged(waits, now)})


def queued(state: HealthState, evacuation: str, now: dt.datetime) -> HealthState:
    """Return the state of a model that is to be recovered when its turn comes in an evacuation."""
    request = state.request
    listed = {"within": evacuation, "put_at": now}
    return state.model_copy(update={"request": request.model_copy(update=listed)}) if request else state


def stands(state: HealthState, failover_id: str, evacuation: str) -> bool:
    """Return whether a queued failover is still wanted: its outage lasts, and no other evacuation took it over."""
    request = state.request
    return request is not None and (request.id, request.within) == (failover_id, evacuation)


def _ask(state: HealthState, rules: Rules, standby: Standby, now: dt.datetime, reason: str) -> Decision:
    """A token that ran out while the outage lasts is followed by another, for the same failover."""
    if state.ask and now < state.ask.until:
        return rest(state, Why.AWAITING, f"{reason}; asked until {state.ask.until:%H:%M:%S}")
    tries = state.ask.tries if state.ask else state.request.tries + 1 if state.request else 1
    name = state.ask.id if state.ask else _name(state, standby, tries, now)
    ask = Ask(id=name, tries=tries, until=now + rules.approve_within)
    asked = state.model_copy(update={"ask": ask, "request": None})
    return Decision(action=Action.ASK, why=Why.AWAITING, state=asked, reason=reason)


def logged(decision: Decision, now: dt.datetime) -> HealthState:
    """Return the state with the line of the log that this round belongs to."""
    state, last = decision.state, decision.state.decided
    same = last and (last.why, last.action, decision.action) == (decision.why, Action.NONE, Action.NONE)
    line = Decided(
        at=last.at if last and same else now,
        until=now,
        rounds=last.rounds + 1 if last and same else 1,
        verdict=state.verdict,
        action=decision.action,
        why=decision.why,
        reason=decision.reason,
    )
    return state.model_copy(update={"decided": line})
