"""Let a planned move begin only when the peer agrees on who serves, and all that it serves is protected here."""

from __future__ import annotations

import datetime as dt

from mldr.domain.draining import too_short
from mldr.domain.failover import Kind
from mldr.domain.identity import Frozen
from mldr.domain.leadership import Announcement, Leadership, learned, role
from mldr.domain.recovery_point import Record
from mldr.domain.routing import Route
from mldr.errors import (
    AlreadyServing,
    DrainTooShort,
    MissingArtifact,
    NotRestorable,
    PeerLagging,
    PeerSilent,
    WrongDirection,
)
from mldr.events import detail_types
from mldr.events.failover import MoveTask
from mldr.ports.catalog import Catalog
from mldr.ports.outside import Outside
from mldr.ports.registry import Registry
from mldr.ports.stack import Bus, Clock, PolicyStore
from mldr.steps.know_leader import front_of, home_known, known_route


class Gate(Frozen):
    """Whether a planned move may begin, and from which recovery point."""

    ready: bool
    reason: str
    recovery_point: str = ""


def gate_move(
    task: MoveTask,
    *,
    region: str,
    peer_region: str,
    catalog: Catalog,
    registry: Registry,
    policies: PolicyStore,
    outside: Outside,
    bus: Bus,
    clock: Clock,
) -> Gate:
    """Return whether the move may begin; while what the peer serves is being protected here it is asked again.

    Raises WrongDirection, NotRestorable, PeerSilent, AlreadyServing, DrainTooShort or PeerLagging.
    """
    current = catalog.epoch(task.model)
    if current and current.failover_id == task.failover_id:
        return Gate(ready=True, reason="the epoch is claimed already", recovery_point=current.recovery_point)
    knowledge = catalog.leadership(task.model)
    route = known_route(task.model, knowledge, catalog)
    if route is None:
        raise NotRestorable(
            f"{task.model} is not onboarded as far as {region} knows; `mldr protect {task.model.name}` finishes that"
        )
    _check_direction(task, region, home_known(region, task.model, knowledge, catalog))
    said, knowledge = _listen(task, peer_region, route, knowledge, catalog, outside, clock)
    now = role(region, route.active.region, knowledge, now=clock.now(), drain=dt.timedelta(0))
    if now.serving:
        raise AlreadyServing(f"{task.model}: {now.reason}")
    _check_drain(task, route, policies)
    return _protected(task, region, said, catalog, registry, policies, bus, clock)


def _check_direction(task: MoveTask, region: str, home: str) -> None:
    if (home == region) is not (task.kind is Kind.FAILBACK):
        raise WrongDirection(
            f"{task.model} is at home in {home}: there it fails back, and a move goes to the other region; "
            f"the request came to {region}, use `mldr {task.kind} {task.model.name}`, which finds the right one"
        )


def _check_drain(task: MoveTask, route: Route, policies: PolicyStore) -> None:
    """A policy is checked without the stack's parameters: only here it is known how slow its DNS is."""
    policy, _ = policies.load()
    drain = policy.for_model(task.model.registry, task.model.name, {}).failover.drain
    if why := too_short(drain, route):
        raise DrainTooShort(f"{task.model}: {why}")


def _listen(
    task: MoveTask,
    peer_region: str,
    route: Route,
    knowledge: Leadership,
    catalog: Catalog,
    outside: Outside,
    clock: Clock,
) -> tuple[Announcement, Leadership]:
    """Ask the peer now: a move is planned on what it says, not on what it once said."""
    host = front_of(route, peer_region).host
    said = outside.announcement(host, task.model)
    if said is None or said.model != str(task.model):
        raise PeerSilent(
            f"{peer_region} does not say who serves {task.model} (https://{host}/models/{task.model.name}/epoch); "
            f"a planned move needs both regions; if {peer_region} is down: `mldr failover {task.model.name}`"
        )
    standing = learned(knowledge.standing, said, clock.now())
    if standing:
        catalog.learn(task.model, standing)
        knowledge = knowledge.model_copy(update={"standing": standing})
    return said, knowledge


def _protected(
    task: MoveTask,
    region: str,
    said: Announcement,
    catalog: Catalog,
    registry: Registry,
    policies: PolicyStore,
    bus: Bus,
    clock: Clock,
) -> Gate:
    wanted = _served(task, said, registry)
    records = [record for record in catalog.records(task.model) if record.origin.arn == wanted]
    here = next((record for record in records if record.restorable), None)
    if here:
        return Gate(ready=True, reason=f"{wanted} is sealed here", recovery_point=here.recovery_point)
    if task.gate is None:  # the first look
        bus.put(detail_types.PROMOTED, {"model": str(task.model), "arn": wanted})
    record = max(records, key=lambda one: one.started_at, default=None)
    lag = clock.now() - min(record.origin.promoted_at if record else task.requested_at, task.requested_at)
    why = f"{wanted}, which the peer serves, is not sealed in {region}: {_lag(lag)} behind, {_state(record)}"
    policy, _ = policies.load()
    most = policy.for_model(task.model.registry, task.model.name, {}).failover.max_lag
    if lag > most:
        raise PeerLagging(
            f"{why}; the policy waits for {_lag(most)}. Its protection was asked for: ask for the {task.kind} again "
            f"when `mldr status {task.model.name}` says that it is sealed"
        )
    return Gate(ready=False, reason=why)


def _served(task: MoveTask, said: Announcement, registry: Registry) -> str:
    """Return the version that must be here: the peer's newest promotion, or the copy that it serves by a takeover."""
    newest = registry.newest_approved(task.model)
    if newest and not registry.describe(newest).copied_from:
        return newest
    if said.version:
        return said.version
    if said.epoch and said.holder == said.region:
        raise MissingArtifact(
            f"{said.region} serves {task.model} and cannot say which version: its registry has no copy of it. There, "
            f"`mldr status {task.model.name}` has the reason; mend it, then `mldr protect {task.model.name}`"
        )
    if newest is None:
        raise MissingArtifact(f"{task.model} has no approved version in the region that serves it; approve one")
    return newest


def _state(record: Record | None) -> str:
    if record is None:
        return "its protection has not begun"
    return f"{record.recovery_point} is {record.condition}" + (f" ({record.reason})" if record.reason else "")


def _lag(time: dt.timedelta) -> str:
    seconds = int(time.total_seconds())
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"
