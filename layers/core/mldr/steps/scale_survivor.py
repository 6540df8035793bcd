"""Let a region that answers beside another one carry the load of both while it is alone, and give that back.

Only this region's SageMaker and Application Auto Scaling are called: the other one may be gone (law 1).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from mldr.domain.growth import Order
from mldr.domain.health import Action, Observation, Rules, looked
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.survivor import Facts, Round, Survivor, concerns, decide, done, heard, refused
from mldr.errors import LostRace, MldrError
from mldr.steps.log_decisions import log_decision
from mldr.steps.watching import Ports


class Side(Frozen):
    """A region that answers for a model, and how the policy and the epochs have it answered.

    `answers` is the endpoint that clients are answered by here; `spread` is whether both regions are to answer, `idle`
    that this one answers nobody any more. `unclear` says why the policy cannot be told. A standby's endpoint is
    `tended`: converging gives it its counts.
    """

    model: ModelKey
    answers: str
    spread: bool
    idle: bool = False
    tended: bool = False
    unclear: str = ""


class Looked(Frozen):
    """What the vantage points see of the peer, and the instances that answer there, None where nothing was heard.

    `share` is what this region has while both answer, where that is not what it has now.
    """

    seen: tuple[Observation, ...]
    peer: dict[str, int] | None = None
    share: dict[str, int] = {}


def scale_survivor(
    side: Side, before: Survivor, look: Callable[[], Looked], rules: Rules, pause: dt.timedelta, ports: Ports
) -> tuple[Action, str]:
    """Return what was done in this round, and why. Nobody looks where the other region is not to answer."""
    if looked(before.health, pause, ports.clock.now()):
        return Action.NONE, "looked at already in this round"
    found = look() if side.spread and not side.idle else Looked(seen=())
    known, seen = heard(before, found.peer), list(found.seen)
    facts = _facts(side, known, ports) if concerns(known, seen) else _at_rest(side)
    decided = decide(known, seen, rules, facts.model_copy(update={"share": found.share}), ports.clock.now())
    try:
        _act(side.model, before, decided, ports)
    except LostRace:
        return Action.NONE, "another round looked at the same time, and decides"
    return decided.action, decided.decision.reason


def _at_rest(side: Side) -> Facts:
    return Facts(answers=side.answers, spread=side.spread, idle=side.idle, tended=side.tended)


def _facts(side: Side, survivor: Survivor, ports: Ports) -> Facts:
    endpoint = survivor.growth.endpoint if survivor.growth else side.answers
    if side.unclear:
        return _at_rest(side).model_copy(update={"blind": side.unclear})
    try:
        status, _ = ports.serving.status(endpoint)
        there = ports.serving.capacity(endpoint)
        limits = ports.limits.limits(endpoint, sorted(there))
    except MldrError as error:
        told = f"what {endpoint} has cannot be told: {type(error).__name__}: {error}"
        return _at_rest(side).model_copy(update={"blind": told})
    return _at_rest(side).model_copy(update={"status": status, "there": there, "limits": limits})


def _act(model: ModelKey, before: Survivor, found: Round, ports: Ports) -> None:
    """Write down what is to be asked for before it is asked, and what came of it afterwards. Raises LostRace.

    A crash between any two of these leaves a plan that the next round completes; the same page may come twice.
    """
    after, growth = found.after, found.after.growth
    if found.action is Action.SCALE and growth != before.growth:
        before = before.next(growth=growth)
        ports.survivors.put(model, before)
    if growth and found.action in (Action.SCALE, Action.GIVE_BACK):
        after = _asked(model, growth.endpoint, found, ports)
    if found.action is Action.PAGE:
        _page(model, found.decision.reason, ports)
    log_decision(model, before.health, after.health, ports.decisions)
    ports.survivors.put(model, after.model_copy(update={"revision": before.revision + 1}))


def _asked(model: ModelKey, endpoint: str, found: Round, ports: Ports) -> Survivor:
    """Ask SageMaker, tell a person, and return what is remembered."""
    up, reason = found.action is Action.SCALE, found.decision.reason
    why = (_up if up else _down)(endpoint, found.order, ports)
    if why:
        after, tell = refused(found.after, why, ports.clock.now())
        if tell:
            _page(model, f"{reason}. That was refused, and is asked for again: {why}", ports)
        return after
    if up:
        _page(model, reason, ports)
    return done(found.after, found.action, ports.clock.now())


def _up(endpoint: str, order: Order, ports: Ports) -> str:
    """Return what was refused. Instances come first in importance, limits in order: autoscaling would take them."""
    limited = _refused(lambda: ports.limits.allow(endpoint, order.limits)) if order.limits else ""
    scaled = _refused(lambda: ports.serving.scale(endpoint, order.counts)) if order.counts else ""
    return "; ".join(why for why in (scaled, limited) if why)


def _down(endpoint: str, order: Order, ports: Ports) -> str:
    """Return what was refused. A limit below the instances would have autoscaling take them before we do."""
    scaled = _refused(lambda: ports.serving.scale(endpoint, order.counts)) if order.counts else ""
    return scaled or (_refused(lambda: ports.limits.allow(endpoint, order.limits)) if order.limits else "")


def _refused(call: Callable[[], None]) -> str:
    try:
        call()
    except MldrError as error:
        return str(error)
    return ""


def _page(model: ModelKey, reason: str, ports: Ports) -> None:
    ports.pager.page(
        f"mldr: {model} and the other region that answers",
        f"{reason}\n\nWhat was decided and why: mldr decisions {model.name}. "
        "What to do: the section 'A survivor was scaled' of the operator's guide",
    )
