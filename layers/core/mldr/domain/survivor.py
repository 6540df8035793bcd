"""Whether the home of a model that both regions answer is to carry the load of both, and how it gives that back.

Clients need nothing of this: DNS alone takes a lost region out. What it cannot do is give the other one more instances.

What is to be done is written down before it is done, in absolute numbers: the counts that were found and those that are
asked for. So doing it twice is doing it once, a crash loses neither, and a count that is neither of the two is
somebody else's and stays as it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from pydantic import ConfigDict

from mldr.domain import health
from mldr.domain.health import FIRST_RETRY, Action, Decided, Decision, HealthState, Observation, Rules, Sight, Why
from mldr.domain.identity import Frozen
from mldr.domain.serving_state import IN_SERVICE
from mldr.domain.warming import Count

MISSING = "Missing"


class Growth(Frozen):
    """An endpoint that carries the load of both regions: instances by variant before, and what is asked for.

    `limits` are the highest counts that autoscaling allowed where they are below that. `scaled_at` is None until
    SageMaker has taken the request.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint: str
    before: dict[str, int]
    wanted: dict[str, int]
    limits: dict[str, int] = {}
    planned_at: dt.datetime
    scaled_at: dt.datetime | None = None
    tries: int = 0  # that were refused
    tried_at: dt.datetime | None = None
    refused: str = ""


class Survivor(Frozen):
    """What the home remembers of the region beside it. `peer` are that one's instances by variant, as last announced.

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
    highest counts by variant.
    """

    answers: str
    spread: bool = True  # whether the peer is to answer as well
    idle: bool = False  # this region answers nobody any more
    status: str = ""
    there: dict[str, Count] = {}
    limits: dict[str, int] = {}
    blind: str = ""


class Order(Frozen):
    """What to ask for, by variant: how many instances, and up to how many autoscaling may go."""

    counts: dict[str, int] = {}
    limits: dict[str, int] = {}


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
    """Return what is remembered once the peer has announced its instances; None, its silence, changes nothing."""
    return before if counts is None else before.model_copy(update={"peer": dict(counts)})


def concerns(survivor: Survivor, observations: list[Observation]) -> bool:
    """Return whether the endpoint has to be looked at in this round: while all is well nobody asks."""
    return survivor.growth is not None or any(seen.sight is not Sight.HEALTHY for seen in observations)


def decide(survivor: Survivor, observations: list[Observation], rules: Rules, facts: Facts, now: dt.datetime) -> Round:
    """Return what follows from this round. Raises nothing: every decision, also the one not to act, has a reason."""
    if survivor.growth and not facts.spread:
        return _logged(_let_go(survivor, survivor.growth, facts), now)
    verdict, seen = health.judge(observations, rules.quorum)
    noted = survivor.model_copy(update={"health": health.counted(survivor.health, verdict, seen, rules, now)})
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
        return _unknown(survivor, rules)
    return _healthy(survivor, rules, facts, now)


def _round(survivor: Survivor, decision: Decision, **more: Order) -> Round:
    return Round(decision=decision, after=survivor.model_copy(update={"health": decision.state}), **more)


def _rest(survivor: Survivor, why: Why, reason: str) -> Round:
    return _round(survivor, health.rest(survivor.health, why, reason))


def _page(survivor: Survivor, why: Why, reason: str) -> Round:
    return _round(survivor, health.page(survivor.health, why, reason))


def _unknown(survivor: Survivor, rules: Rules) -> Round:
    state = survivor.health
    rounds, more = state.unknown_rounds, _stays(survivor)
    if rounds < rules.consecutive:
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
    wanted = {
        name: count.desired + survivor.peer[name] for name, count in facts.there.items() if survivor.peer.get(name)
    }
    if not wanted:
        told = (
            f"it announced {_told(survivor.peer)}, and {facts.answers} has {', '.join(sorted(facts.there))}"
            if survivor.peer
            else "it never announced how many instances answer there"
        )
        reason = f"{_down(state)}, not scaled: {told}; give {facts.answers} what it needs by hand"
        return _page(survivor, Why.NOT_SCALED, reason)
    if facts.status != IN_SERVICE:
        return _changing(survivor, facts.answers, facts)
    growth = Growth(
        endpoint=facts.answers,
        before={name: facts.there[name].desired for name in wanted},
        wanted=wanted,
        limits={name: facts.limits[name] for name, count in wanted.items() if facts.limits.get(name, count) < count},
        planned_at=now,
    )
    return _scale(survivor.model_copy(update={"growth": growth}), growth, rules, facts, now)


def _scale(survivor: Survivor, growth: Growth, rules: Rules, facts: Facts, now: dt.datetime) -> Round:
    """Ask for what is missing. A count that is not the one that was found is somebody else's."""
    state, order = survivor.health, _missing(growth, facts)
    if order == Order():
        return _found_done(survivor, growth.model_copy(update={"scaled_at": now, "refused": ""}), facts)
    if facts.status != IN_SERVICE:
        return _changing(survivor, growth.endpoint, facts)
    if until := _pause(growth, rules, now):
        reason = f"{_down(state)}; refused, and asked for again at {until:%H:%M:%S}: {growth.refused}"
        return _rest(survivor, Why.COOLING, reason)
    asked = _from_to(growth.before, order.counts) or f"autoscaling may give it {_told(order.limits)} instances"
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


def _missing(growth: Growth, facts: Facts) -> Order:
    there, wanted = facts.there, growth.wanted
    return Order(
        counts={
            name: count
            for name, count in wanted.items()
            if name in there and there[name].desired == growth.before[name]
        },
        limits={name: wanted[name] for name, limit in growth.limits.items() if facts.limits.get(name) == limit},
    )


def _scaled(survivor: Survivor, growth: Growth, facts: Facts) -> Round:
    """It is done; what became of it is told. What was taken back is not asked for again: a person may have done it."""
    state, there = survivor.health, facts.there
    back = [name for name, count in growth.before.items() if name in there and there[name].desired == count]
    back = [name for name in back if name not in facts.limits]  # autoscaling takes what it does not need
    if back and facts.status == IN_SERVICE:
        reason = (
            f"{_down(state)}; {growth.endpoint} was scaled for both and is back at "
            f"{_told({name: growth.before[name] for name in back})} instances: SageMaker had no more, or a person "
            "took them away; it is left so"
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
    order = _taken_back(growth, facts)
    if order == Order():
        gone = survivor.model_copy(update={"growth": None})
        return _rest(gone, Why.TOGETHER, f"{why}; nothing of {growth.endpoint} is to be scaled back")
    if until := _pause(growth, rules, now):
        reason = f"{why}; scaling back was refused and is asked for again at {until:%H:%M:%S}: {growth.refused}"
        return _rest(survivor, Why.COOLING, reason)
    asked = _from_to(growth.wanted, order.counts) or "its counts were changed since and stay"
    reason = f"{why}; {growth.endpoint} is scaled back: {asked}"
    decision = Decision(action=Action.GIVE_BACK, why=Why.TOGETHER, state=survivor.health, reason=reason)
    return _round(survivor, decision, order=order)


def _taken_back(growth: Growth, facts: Facts) -> Order:
    """A variant that scales by itself gets its limit back whatever its count: autoscaling then keeps its owner's word.

    Source: autoscaling/application/userguide/getting-started (a count above the limit is brought down to it).
    """
    there, wanted = facts.there, growth.wanted
    return Order(
        counts={
            name: before
            for name, before in growth.before.items()
            if name in there and there[name].desired == wanted[name] != before
        },
        limits={name: limit for name, limit in growth.limits.items() if facts.limits.get(name) == wanted[name]},
    )


def _let_go(survivor: Survivor, growth: Growth, facts: Facts) -> Round:
    """The other region is not to answer any more, so this one keeps the load of both, and what carries it."""
    limits = f"; autoscaling allowed {_told(growth.limits)} before" if growth.limits else ""
    reason = (
        f"both regions do not answer any more by the policy: {growth.endpoint} keeps what it was scaled to "
        f"({_from_to(growth.before, growth.wanted)}), and its counts are yours from now on{limits}"
    )
    state = health.forget(survivor.health)
    decision = Decision(action=Action.PAGE, why=Why.BY_HAND, state=state, reason=reason)
    return _round(survivor.model_copy(update={"growth": None}), decision)


def done(survivor: Survivor, action: Action, now: dt.datetime) -> Survivor:
    """Return what is remembered once SageMaker has taken the request."""
    growth = survivor.growth
    if growth is None or action is Action.GIVE_BACK:
        return survivor.model_copy(update={"growth": None})
    return survivor.model_copy(update={"growth": growth.model_copy(update={"scaled_at": now, "refused": ""})})


def refused(survivor: Survivor, why: str, now: dt.datetime) -> tuple[Survivor, bool]:
    """Return what is remembered of a refusal, and whether a person is to be told: once in an outage."""
    growth, state = survivor.growth, survivor.health
    if growth is None:
        return survivor, False
    tried = growth.model_copy(update={"tries": growth.tries + 1, "tried_at": now, "refused": why})
    told = Why.NOT_SCALED in state.paged_for
    paged = state if told else state.model_copy(update={"paged_for": (*state.paged_for, Why.NOT_SCALED)})
    return survivor.model_copy(update={"growth": tried, "health": paged}), not told


def _pause(growth: Growth, rules: Rules, now: dt.datetime) -> dt.datetime | None:
    """Return until when nothing is asked for again: longer with every refusal, never longer than a cool-down."""
    if growth.tried_at is None or not growth.refused:
        return None
    until = growth.tried_at + min(rules.cool_down, FIRST_RETRY * 2 ** min(growth.tries - 1, 10))
    return until if now < until else None


def _from_to(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    return ", ".join(f"{name} from {before[name]} to {count} instances" for name, count in sorted(after.items()))


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
