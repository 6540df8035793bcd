"""Give a model its name, its records and its health checks, before anybody needs them."""

from __future__ import annotations

from mldr.domain.identity import ModelKey
from mldr.domain.routing import OFF, CheckTimes, Route, plan_route
from mldr.errors import ChecksNotReported
from mldr.ports import Catalog, Dns, Fronts, Outside


def onboard_model(
    model: ModelKey,
    *,
    region: str,
    peer_region: str,
    zone: str,
    times: CheckTimes,
    catalog: Catalog,
    fronts: Fronts,
    dns: Dns,
    outside: Outside,
) -> Route:
    """Return the model's route. Nothing is written while what is there is what the stack's parameters ask for.

    Raises ChecksNotReported until Route 53 is seen to believe that the takeover switch is off.
    """
    route = plan_route(model, zone, active=fronts.front(peer_region), standby=fronts.front(region), times=times)
    if catalog.route(model) == route:
        return route
    checks = dns.ensure_checks(model, route)
    dns.ensure_records(route.canaries, times.ttl, checks)
    seen = outside.text(route.switch_name)
    if seen != OFF and catalog.takeover(model) is None:
        raise ChecksNotReported(f"{route.switch_name} says {seen or 'nothing'}, not {OFF}, yet; it is asked again")
    dns.ensure_records(route.records, times.ttl, checks)
    catalog.put_route(model, route, checks)
    return route
