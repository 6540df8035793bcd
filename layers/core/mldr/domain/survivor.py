"""Whether a region that answers beside another one is to carry the load of both, and when it gives that back.

Clients need nothing of this: DNS alone takes a lost region out. What it cannot do is give the other one more instances.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from pydantic import ConfigDict

from mldr.domain import health
from mldr.domain.endpoint_status import IN_SERVICE, MISSING
from mldr.domain.growth import Growth, Order, from_to, planned, told
from mldr.domain.health import Action, Decided, Decision, HealthState, Observation, Rules, Sight, Why
from mldr.domain.identity import Frozen
from mldr.domain.warming import Count


class Survivor(Frozen):
    """What a region remembers of the other one that answers. `peer` are its instances by variant, when it was well.

    `revision` grows by one with every write: of two rounds at once one is refused.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    revision: int = 0
    health: HealthState = HealthState()
    peer: dict[str, int] = {}
    growth: Growth | None = None

    @property
    def decided(self) -> Decided | None:
        """Return the line of the log of decisions that the last round belongs to."""
        return self.health.decided

    def next(self, **changes: object) -> Survivor:
        """Return what is written after this."""
        return self.model_copy(update={**changes, "revision": self.revision + 1})


class Facts(Frozen):
    """What this region knows of the endpoint that was scaled, or is to be. `blind` says why it cannot tell.

    `answers` is the endpoint that clients are answered by now, '' while nobody can tell; `limits` are autoscaling's
    highest counts by variant; `share` is what a tended one has while both answer: now it may have more.
    """

    answers: str
    spread: bool = True  # whether both regions are to answer
    tended: bool = False  # converging gives this endpoint its counts, whenever it is not grown
    idle: bool = False  # this region answers nobody any more
    status: str = ""
    there: dict[str, Count] = {}
    limits: dict[str, int] = {}
    share: dict[str, int] = {}
    blind: str = ""


class Round(Frozen):
    """What follows from a round: the decision, what is remembered after it, and what to ask of SageMaker."""

    decision: Decision
    after: Survivor
    order: Order = Order()

    @property
    def action(self) -> Action:
        """Return what to do."""
        return self.decision.action


def heard(before: Survivor, counts: Mapping[str, int] | None) -> Survivor:
    """Return what is remembered once the peer's instances are known; None, silence, changes nothing."""
    return before if counts is None else before.model_copy(update={"peer": dict(counts)})


def concerns(survivor: Survivor, observations: list[Observation]) -> bool:
    """Return whether the endpoint has to be looked at in this round: while all is well nobody asks."""
    return survivor.growth is not None or any(seen.sight is not Sight.HEALTHY for seen in observations)


def decide(survivor: Survivor, observations: list[Observation], rules: Rules, facts: Facts, now: dt.datetime) -> Round:
    """Return what follows from this round. Raises nothing: every decision, also the one not to act, has a reason."""
    if survivor.growth and not facts.spread:
        return _logged(_let_go(survivor, survivor.growth, facts), now)
    verdict, seen = health.judge(observations, rules.quorum)
    state = health.reach(health.counted(survivor.health, verdict, seen, rules, now), len(observations), rules)
    noted = survivor.model_copy(update={"health": state})
    return _logged(_decide(noted, rules, facts, now), now)


def _logged(found: Round, now: dt.datetime) -> Round:
    state = health.logged(found.decision, now)
    decision = found.decision.model_copy(update={"state": state})
    return found.model_copy(update={"decision": decision, "after": found.after.model_copy(update={"health": state})})


def _decide(survivor: Survivor, rules: Rules, facts: Facts, now: dt.datetime) -> Round:
    state, growth = survivor.health, survivor.growth
    if growth and facts.idle:
        return _give_back(survivor, growth, rules, facts, now, "this region answers nobody any more")
    if growth and facts.answers and growth.endpoint != facts.answers:
        return _give_back(survivor, growth, rules, facts, now, f"{facts.answers} answers in its place")
    if state.verdict is Sight.UNHEALTHY:
        return _unhealthy(survivor, rules, facts, now)
    if state.verdict is Sight.UNKNOWN:
        return _unknown(survivor, rules, facts)
    return _healthy(survivor, rules, facts, now)


def _round(survivor: Survivor, decision: Decision, **more: Order) -> Round:
    return Round(decision=decision, after=survivor.model_copy(update={"health": decision.state}), **more)


def _rest(survivor: Survivor, why: Why, reason: str) -> Round:
    return _round(survivor, health.rest(survivor.health, why, reason))


def _page(survivor: Survivor, why: Why, reason: str) -> Round:
    return _round(survivor, health.page(survivor.health, why, reason))


def _unknown(survivor: Survivor, rules: Rules, facts: Facts) -> Round:
    """Where a failover is decided as well, that pages."""
    state = survivor.health
    rounds, more = state.unknown_rounds, _stays(survivor)
    if rounds < rules.consecutive or facts.tended:
        return _rest(survivor, Why.UNKNOWN, f"unknown, round {rounds} of {rules.consecutive}{more}: {state.reason}")
    return _page(
        survivor, Why.UNKNOWN, f"cannot tell whether the other region answers ({rounds} rounds){more}: {state.reason}"
    )


def _healthy(survivor: Survivor, rules: Rules, facts: Facts, now: dt.datetime) -> Round:
    state, growth = survivor.health, survivor.growth
    rounds, more = state.healthy_rounds, _stays(survivor)
    if health.flapping(state, rules):
        return _rest(survivor, Why.FLAPPING, f"healthy again, {health.how_often(state, rules)}{more}: {state.reason}")
    if growth and rounds >= rules.consecutive:
        return _give_back(survivor, growth, rules, facts, now, f"both regions answer again: {state.reason}")
    if growth:
        return _rest(survivor, Why.COUNTING, f"healthy, round {rounds} of {rules.consecutive}{more}: {state.reason}")
    if rounds >= rules.consecutive:
        survivor = survivor.model_copy(update={"health": health.forget(state)})
    return _rest(survivor, Why.HEALTHY, f"the other region answers as well: {state.reason}")


def _stays(survivor: Survivor) -> str:
    return f"; {survivor.growth.endpoint} stays as it is" if survivor.growth else ""


def _unhealthy(survivor: Survivor, rules: Rules, facts: Facts, now: dt.datetime) -> Round:
    state, growth = survivor.health, survivor.growth
    rounds = state.unhealthy_rounds
    if rounds < rules.consecutive:
        return _rest(survivor, Why.COUNTING, f"unhealthy, round {rounds} of {rules.consecutive}: {state.reason}")
    if facts.blind:
        return _page(survivor, Why.NOT_SCALED, f"{_down(state)}, not scaled: {facts.blind}")
    if growth is None:
        return _alone(survivor, rules, facts, now)
    if growth.scaled_at:
        return _scaled(survivor, growth, facts)
    return _scale(survivor, growth, rules, facts, now)


def _down(state: HealthState) -> str:
    return f"the other region answers nobody ({state.unhealthy_rounds} rounds: {state.reason})"


def _alone(survivor: Survivor, rules: Rules, facts: Facts, now: dt.datetime) -> Round:
    """Begin: the load of both regions is the sum of the instances that carried it."""
    state = survivor.health
    if health.flapping(state, rules):
        reason = f"{_down(state)}, not scaled: {health.how_often(state, rules)}"
        return _page(survivor, Why.FLAPPING, reason)
    if not facts.there:
        reason = f"{_down(state)}; {facts.answers} has no counts of instances to scale (it is {facts.status})"
        return _rest(survivor, Why.ALONE, reason)
    both = _both(survivor, facts)
    if not both:
        return _page(survivor, Why.NOT_SCALED, f"{_down(state)}, not scaled: {_unheard(survivor, facts)}")
    wanted = {name: count for name, count in both.items() if facts.there[name].desired < count}
    if not wanted:
        return _rest(survivor, Why.ALONE, f"{_down(state)}; {facts.answers} has as many as both had: {told(both)}")
    if facts.status != IN_SERVICE:
        return _changing(survivor, facts.answers, facts)
    growth = planned(facts.answers, facts.there, facts.limits, wanted, now)
    return _scale(survivor.model_copy(update={"growth": growth}), growth, rules, facts, now)


def _both(survivor: Survivor, facts: Facts) -> dict[str, int]:
    """Return the instances that carried the load of both regions, of the variants that both have."""
    share = facts.share if facts.tended else {name: count.desired for name, count in facts.there.items()}
    return {
        name: share[name] + survivor.peer[name] for name in facts.there if share.get(name) and survivor.peer.get(name)
    }


def _unheard(survivor: Survivor, facts: Facts) -> str:
    had = f"it had {told(survivor.peer)}, and {facts.answers} has {', '.join(sorted(facts.there))}"
    why = had if survivor.peer else "nobody heard how many instances answer there"
    return f"{why}; give {facts.answers} what it needs by hand"


def _scale(survivor: Survivor, growth: Growth, rules: Rules, facts: Facts, now: dt.datetime) -> Round:
    """Ask for what is missing. A count that is not the one that was found is somebody else's."""
    state, order = survivor.health, growth.missing(facts.there, facts.limits)
    if order == Order():
        return _found_done(survivor, growth.done(now), facts)
    if facts.status != IN_SERVICE:
        return _changing(survivor, growth.endpoint, facts)
    if until := growth.pause(rules.cool_down, now):
        reason = f"{_down(state)}; refused, and asked for again at {until:%H:%M:%S}: {growth.refused}"
        return _rest(survivor, Why.COOLING, reason)
    asked = from_to(growth.before, order.counts) or f"autoscaling may give it {told(order.limits)} instances"
    reason = f"{_down(state)}: {growth.endpoint} is scaled to carry both: {asked}"
    decision = Decision(action=Action.SCALE, why=Why.ALONE, state=state, reason=reason)
    return _round(survivor, decision, order=order)


def _found_done(survivor: Survivor, growth: Growth, facts: Facts) -> Round:
    """A round asked for it and died before it told anybody, or a person was faster."""
    after = survivor.model_copy(update={"growth": growth})
    return _page(after, Why.ALONE, _scaled(after, growth, facts).decision.reason)


def _changing(survivor: Survivor, endpoint: str, facts: Facts) -> Round:
    reason = f"{_down(survivor.health)}; {endpoint} is {facts.status}: it is scaled once it is {IN_SERVICE}"
    return _rest(survivor, Why.CHANGING, reason)


def _scaled(survivor: Survivor, growth: Growth, facts: Facts) -> Round:
    """It is done; what became of it is told. What was taken back is not asked for again: a person may have done it."""
    state, there = survivor.health, facts.there
    back = growth.shrunk(there, facts.limits)
    if back and facts.status == IN_SERVICE:
        reason = (
            f"{_down(state)}; {growth.endpoint} was scaled for both and is back at {told(back)} instances: SageMaker "
            "had no more, or a person took them away; it is left so"
        )
        return _page(survivor, Why.NOT_SCALED, reason)
    now = ", ".join(f"{name} {there[name].current} of {growth.wanted[name]}" for name in growth.wanted if name in there)
    since = f" since {growth.scaled_at:%Y-%m-%d %H:%M:%S}" if growth.scaled_at else ""
    reason = f"{_down(state)}; {growth.endpoint} carries both{since}: {now} instances"
    return _rest(survivor, Why.ALONE, reason)


def _give_back(survivor: Survivor, growth: Growth, rules: Rules, facts: Facts, now: dt.datetime, why: str) -> Round:
    """Undo what mldr did where it is still as mldr left it."""
    if facts.blind:
        return _page(survivor, Why.NOT_SCALED, f"{why}; {growth.endpoint} is not scaled back: {facts.blind}")
    if facts.status not in (IN_SERVICE, MISSING):
        reason = f"{why}; {growth.endpoint} is {facts.status}: it is scaled back once it is {IN_SERVICE}"
        return _rest(survivor, Why.CHANGING, reason)
    order = growth.taken_back(facts.there, facts.limits)
    if order == Order():
        gone = survivor.model_copy(update={"growth": None})
        return _rest(gone, Why.TOGETHER, f"{why}; nothing of {growth.endpoint} is to be scaled back")
    if until := growth.pause(rules.cool_down, now):
        reason = f"{why}; scaling back was refused and is asked for again at {until:%H:%M:%S}: {growth.refused}"
        return _rest(survivor, Why.COOLING, reason)
    asked = from_to(growth.wanted, order.counts) or "its counts were changed since and stay"
    reason = f"{why}; {growth.endpoint} is scaled back: {asked}"
    decision = Decision(action=Action.GIVE_BACK, why=Why.TOGETHER, state=survivor.health, reason=reason)
    return _round(survivor, decision, order=order)


def _let_go(survivor: Survivor, growth: Growth, facts: Facts) -> Round:
    """The other region is not to answer any more, so this one keeps the load of both, and what carries it."""
    state = health.forget(survivor.health)
    after = survivor.model_copy(update={"growth": None, "health": state})
    if facts.tended:
        reason = f"{growth.endpoint} does not answer beside the home any more: its tier says what it has"
        return _round(after, health.rest(state, Why.TOGETHER, reason))
    limits = f"; autoscaling allowed {told(growth.limits)} before" if growth.limits else ""
    reason = (
        f"both regions do not answer any more by the policy: {growth.endpoint} keeps what it was scaled to "
        f"({from_to(growth.before, growth.wanted)}), and its counts are yours from now on{limits}"
    )
    decision = Decision(action=Action.PAGE, why=Why.BY_HAND, state=state, reason=reason)
    return _round(after, decision)


def done(survivor: Survivor, action: Action, now: dt.datetime) -> Survivor:
    """Return what is remembered once SageMaker has taken the request."""
    growth = survivor.growth
    if growth is None or action is Action.GIVE_BACK:
        return survivor.model_copy(update={"growth": None})
    return survivor.model_copy(update={"growth": growth.done(now)})


def refused(survivor: Survivor, why: str, now: dt.datetime) -> tuple[Survivor, bool]:
    """Return what is remembered of a refusal, and whether a person is to be told: once in an outage."""
    growth, state = survivor.growth, survivor.health
    if growth is None:
        return survivor, False
    known = Why.NOT_SCALED in state.paged_for
    paged = state if known else state.model_copy(update={"paged_for": (*state.paged_for, Why.NOT_SCALED)})
    return survivor.model_copy(update={"growth": growth.denied(why, now), "health": paged}), not known
