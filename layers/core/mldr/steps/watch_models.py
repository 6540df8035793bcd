"""One round of watching: look at every model that the other region answers, decide, and act on the decisions.

The peer serves a model whose home it is, and one whose home this region is after it took that over: both are watched.
Where both regions answer, each watches the other one as well: alone it has the load of both.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

from mldr.domain.identity import ModelKey
from mldr.domain.joint_failovers import Turn, Wish
from mldr.domain.leadership import Role, home_of, role
from mldr.domain.routing import Route
from mldr.errors import MldrError
from mldr.steps.know_leader import front_of, known_route
from mldr.steps.observe_peer import Subject, observe_peer
from mldr.steps.request_failovers import request_failovers
from mldr.steps.watch_beside import Known, watch_beside
from mldr.steps.watch_peer import Stance, watch_peer
from mldr.steps.watching import Ports, Watch, Watched

THREADS = 64  # most of them wait for a gateway that does not answer
AT_ONCE = dt.timedelta(0)


def watch_models(watch: Watch, ports: Ports) -> list[Watched]:
    """Return every decision, also the ones not to act. A model without a route cannot be switched: not watched."""
    # An error about one model must not cancel the looks at others, as the pool's own `map` would.
    with ThreadPoolExecutor(THREADS) as pool:
        looks = [pool.submit(_one, model, watch, ports) for model in ports.catalog.known_models()]
        found, errors = _gathered(looks, watch, ports)
    for error in errors:
        raise error
    return found


def _gathered(
    looks: Sequence[Future[list[Watched]]], watch: Watch, ports: Ports
) -> tuple[list[Watched], list[BaseException]]:
    """Return what was decided, and what went wrong. What is to fail over is asked for together.

    No failover waits for looks that take longer than a pause.
    """
    found: list[Watched] = []
    errors: list[BaseException] = []
    wishes: list[Wish] = []
    until = None
    for look in looks:
        if error := look.exception():
            errors.append(error)
            continue
        found += look.result()
        wishes += [one.wish for one in look.result() if one.wish]
        if until is None and any(one.turn is Turn.ASKED for one in wishes):
            until = ports.clock.now() + watch.pause
        if until and ports.clock.now() >= until:
            errors += _asked(wishes, watch, ports)
            wishes, until = [one for one in wishes if one.turn is Turn.COUNTING], None
    return found, errors + _asked(wishes, watch, ports)


def _asked(wishes: Sequence[Wish], watch: Watch, ports: Ports) -> list[BaseException]:
    try:
        request_failovers(wishes, watch, ports)
    except MldrError as error:
        return [error]
    return []


def _one(model: ModelKey, watch: Watch, ports: Ports) -> list[Watched]:
    """Whether it fails over is decided first; more instances are no part of that."""
    knowledge = ports.catalog.leadership(model)
    route = known_route(model, knowledge, ports.catalog)
    if route is None:
        return []
    now = role(watch.region, home_of(watch.region, knowledge, route), knowledge, now=ports.clock.now(), drain=AT_ONCE)
    look = cache(lambda: observe_peer(_subject(model, route, watch), watch, ports))
    stance = _stance(model, route, now, knowledge.epoch, watch)
    watched = [watch_peer(stance, look, watch, ports)] if stance else []
    beside = watch_beside(Known(model=model, leadership=knowledge, route=route), look, watch, ports)
    return [*watched, beside] if beside else watched


def _stance(model: ModelKey, route: Route, now: Role, known: int, watch: Watch) -> Stance | None:
    """Return None for a home that nobody ever took over."""
    home = route.active.region == watch.region
    if home and now.serving and now.epoch == 0:
        return None
    return Stance(model=model, home=home, serving=now.serving, epoch=now.epoch, known=known)


def _subject(model: ModelKey, route: Route, watch: Watch) -> Subject:
    home = route.active.region == watch.region
    canary = route.switch_name if home else route.verdict_name
    return Subject(model=model, host=front_of(route, watch.peer).host, canary=canary, switch=home)
