"""Give a model its name, its records and its health checks, before anybody needs them."""

from __future__ import annotations

from mldr.domain.identity import ModelKey
from mldr.domain.leadership import learned
from mldr.domain.routing import OFF, ON, CheckTimes, Front, Route, SwitchKind, plan_route
from mldr.errors import ChecksNotReported, PeerSilent
from mldr.ports import Catalog, Clock, Dns, Fronts, Outside


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

    A version promoted in the standby is protected by the home: it must not get a second graph, the other way round.
    Raises ChecksNotReported until Route 53 is seen to believe what the switch says: a new check may start either way.
    Raises PeerSilent.
    """
    held = catalog.route(model)
    peer = None if held else fronts.front(peer_region)
    if peer and _home_is_here(model, region, peer, catalog, outside, clock):
        return None
    active, standby = peer or fronts.front(peer_region), fronts.front(region)
    route = plan_route(model, zone, active=active, standby=standby, times=times, kind=kind)
    if held == route:
        return route
    checks = dns.ensure_checks(model, route)
    dns.ensure_records(route.canaries, times.ttl, checks)
    seen, true = outside.text(route.switch_name), ON if catalog.takeover(model) else OFF
    if seen != true:
        raise ChecksNotReported(f"{route.switch_name} says {seen or 'nothing'}, not {true}, yet; it is asked again")
    dns.ensure_records(route.records, times.ttl, checks)
    catalog.put_route(model, route, checks)
    return route


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
