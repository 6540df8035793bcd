"""What the models of a region do not get, though their policy says it."""

from __future__ import annotations

from cli.regions import Place, route_in
from mldr.domain.identity import ModelKey
from mldr.domain.owed import owed
from mldr.domain.policy import Policy
from mldr.domain.recovery_point import newest_restorable
from mldr.domain.unkept import unkept


def unkept_in(place: Place, model: ModelKey, policy: Policy) -> tuple[str, ...]:
    """Return one sentence for each thing, as a region has onboarded and captured the model."""
    rules = owed(policy, model, newest_restorable(place.catalog.records(model)))
    route = route_in(place, model, place.catalog.leadership(model))
    # A home that nobody took over watches only the region beside it.
    vantages = place.catalog.health(model).vantages or place.survivors.of(model).health.vantages
    return unkept(rules, route, place.captures.newest(model), vantages)
