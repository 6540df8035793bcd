"""Ask for the failovers that a round decided on: one by itself, several as one request that gives them an order."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from mldr.domain.evacuation import Listing, work_key
from mldr.domain.health import Decision, held, queued
from mldr.domain.joint_failovers import Wish, joint_id, joint_reason, listed, sort_out
from mldr.errors import MldrError
from mldr.events import detail_types
from mldr.steps.log_decisions import log_decision
from mldr.steps.plan_evacuation import ASKED
from mldr.steps.watching import Ports, Watch

THREADS = 32


def request_failovers(wishes: Sequence[Wish], watch: Watch, ports: Ports) -> None:
    """Ask, and remember what was asked. Raises the first error, once all that can be asked for was.

    One failover is asked for before it is remembered: a crash between the two repeats it under its own id. Several are
    remembered before: *evacuate* starts only what its model's state holds. What a crash keeps from being asked for
    counts as lost on its way, and is asked for again after a minute.
    """
    found = sort_out(wishes)
    now = ports.clock.now()
    errors = [_remembered(one, held(one.before, one.decision, why, now), ports) for one, why in found.held]
    together = (*found.asked, *found.queued) if found.joint else ()
    singly = found.confirmed if found.joint else (*found.confirmed, *found.asked)
    if together:
        errors += _together(together, watch, ports)
    for one in singly:
        ports.bus.put(detail_types.FAILOVER_REQUESTED, _alone(one))
    errors += [_remembered(one, one.decision, ports) for one in (*singly, *(() if together else found.queued))]
    for error in errors:
        if error:
            raise error


def _together(wishes: Sequence[Wish], watch: Watch, ports: Ports) -> list[MldrError | None]:
    name, now = joint_id(wishes, watch.peer), ports.clock.now()

    def remember(wish: Wish) -> MldrError | None:
        state = queued(wish.decision.state, name, now)
        return _remembered(wish, wish.decision.model_copy(update={"state": state}), ports)

    with ThreadPoolExecutor(THREADS) as pool:
        errors = list(pool.map(remember, wishes))
    known = [one for one, error in zip(wishes, errors, strict=True) if error is None]
    if known:
        listing = Listing(models=tuple(told for one in known if (told := listed(one))))
        ports.vault.keep(work_key(name, ASKED), listing.model_dump_json().encode())
        ports.bus.put(detail_types.FAILOVER_REQUESTED, _joint(known, name, watch))
    return errors


def _remembered(wish: Wish, decision: Decision, ports: Ports) -> MldrError | None:
    """Return what kept it from being remembered: of one model, and no other."""
    try:
        log_decision(wish.model, wish.before, decision.state, ports.decisions)
        ports.catalog.put_health(wish.model, decision.state)
    except MldrError as error:
        return error
    return None


def _alone(wish: Wish) -> dict[str, object]:
    state, first = wish.decision.state, wish.decision.state.first_unhealthy_at
    return {
        "model": str(wish.model),
        "reason": wish.decision.reason,
        "requested_by": "decide_failover",
        "failover_id": state.request.id if state.request else None,
        "first_failure_at": first.isoformat() if first else None,
    }


def _joint(wishes: Sequence[Wish], name: str, watch: Watch) -> dict[str, object]:
    firsts = [at for one in wishes if (at := one.decision.state.first_unhealthy_at)]
    return {
        "region": watch.peer,
        "listed": True,
        "reason": joint_reason(wishes, watch.peer),
        "requested_by": "decide_failover",
        "failover_id": name,
        "first_failure_at": min(firsts).isoformat() if firsts else None,
    }
