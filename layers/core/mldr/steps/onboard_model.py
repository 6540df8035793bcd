"""Give a model its name, its records and its health checks, before anybody needs them; keep them as its tier wants."""

from __future__ import annotations

from mldr.domain.health import Sight
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Beside, learned
from mldr.domain.routing import HEALTHY, OFF, ON, UNHEALTHY, CheckTimes, Front, Route, Spread, SwitchKind, plan_route
from mldr.errors import ChecksNotReported, PeerSilent, RecordsChanged
from mldr.ports.catalog import Catalog
from mldr.ports.outside import Dns, Fronts, Outside
from mldr.ports.stack import Clock


def onboard_model(
    model: ModelKey,
    *,
    region: str,
    peer_region: str,
    zone: str,
    times: CheckTimes,
    kind: SwitchKind,
    catalog: Catalog,
    fronts: Fronts,
    dns: Dns,
    outside: Outside,
    clock: Clock,
) -> Route | None:
    """Return the model's route, None at its home. Nothing is written while what is there is what the stack asks for.

    One region answers a new name; whether both do follows the tier, and `Routes` alone changes it. A version promoted
    in the standby is protected by the home: it must not get a second graph, the other way round.
    Raises ChecksNotReported until Route 53 is seen to believe what the switch says: a new check may start either way.
    Raises PeerSilent, RecordsChanged.
    """
    held = catalog.route(model)
    peer = None if held else fronts.front(peer_region)
    if peer and _home_is_here(model, region, peer, catalog, outside, clock):
        return None
    active, standby = peer or fronts.front(peer_region), fronts.front(region)
    spread = held.spread if held else None
    route = plan_route(model, zone, active=active, standby=standby, times=times, kind=kind, spread=spread)
    return _written(model, held, route, catalog, dns, outside)


class Routes:
    """The names that this region onboarded, answered by one region or by both, as each model's tier wants."""

    def __init__(self, *, zone: str, catalog: Catalog, dns: Dns, outside: Outside) -> None:
        self._zone, self._catalog, self._dns, self._outside = zone, catalog, dns, outside

    def follow(self, model: ModelKey, spread: Spread | None) -> Route | None:
        """Return the model's route, its name shared as told; None where it has none: at its home, or not onboarded.

        Before both answer, something must answer here beside the home: until then the name stays with one region, and
        the route that is returned says so. Raises ChecksNotReported while Route 53, or this region's gateway seen from
        outside, does not say so yet, and what Dns.ensure_records raises. Repeating it does what is left to do.
        """
        held = self._catalog.route(model)
        if held is None or held.spread == spread:
            return held
        if spread and not held.spread and not _answers_beside(self._catalog.leadership(model).beside):
            return held
        route = plan_route(
            model,
            self._zone,
            active=held.active,
            standby=held.standby,
            times=held.times,
            kind=held.kind,
            spread=spread,
        )
        return _written(model, held, route, self._catalog, self._dns, self._outside)


def _answers_beside(beside: Beside | None) -> bool:
    return beside is not None and beside.leaving is None


def _written(model: ModelKey, held: Route | None, route: Route, catalog: Catalog, dns: Dns, outside: Outside) -> Route:
    """Return the route, once Route 53 holds it. The model's own name comes last, when the canaries tell the truth."""
    if held == route:
        return route
    checks = dns.ensure_checks(model, route)
    dns.ensure_records(route.canaries, route.times.ttl, checks)
    seen, true = outside.text(route.switch_name), ON if catalog.takeover(model) else OFF
    if seen != true:
        raise ChecksNotReported(f"{route.switch_name} says {seen or 'nothing'}, not {true}, yet; it is asked again")
    if route.beside_name:
        _beside_told(model, route, route.beside_name, outside, first=held is None or held.spread is None)
    gone = [held.beside_name] if held and held.beside_name and not route.beside_name else []
    dns.ensure_records(route.records, route.times.ttl, checks, gone=gone)
    if catalog.route(model) != held:  # Route 53 may hold what either of two at once wants: the next look makes it one
        raise RecordsChanged(
            f"the route of {model} was changed by another at the same time; it is read and written again"
        )
    catalog.put_route(model, route, checks)
    return route


def _beside_told(model: ModelKey, route: Route, canary: str, outside: Outside, *, first: bool) -> None:
    """Raise ChecksNotReported until Route 53 says of the standby what is seen of it: a new check starts healthy.

    Clients are not sent to it for the first time while it is not well; later its health alone takes it out.
    """
    looked = outside.probe(route.standby.host, f"/models/{model.name}/health")
    well, said = looked.sight is Sight.HEALTHY, outside.text(canary)
    if said != (HEALTHY if well else UNHEALTHY) or (first and not well):
        raise ChecksNotReported(
            f"{route.standby.region} does not answer for {model} beside its home yet: {looked.detail}, and {canary} "
            f"says {said or 'nothing'}; it is asked again"
        )


def _home_is_here(model: ModelKey, region: str, peer: Front, catalog: Catalog, outside: Outside, clock: Clock) -> bool:
    """Return whether the peer stands by for this region already: the catalog knows, or the peer says so."""
    standing = catalog.standing(model)
    if standing:
        return standing.home == region
    said = outside.announcement(peer.host, model)
    if said is None:
        raise PeerSilent(
            f"{peer.region} does not say who serves {model} (https://{peer.host}/models/{model.name}/epoch); "
            "a model gets its name once both regions agree which of them is its home"
        )
    found = learned(None, said, clock.now())
    if found:
        catalog.learn(model, found)
    return said.home == region
