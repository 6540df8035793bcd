"""What a model's tier costs a month in one region, and what another policy would make of it."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from cli.outcomes import bad_input
from cli.regions import Place
from mldr.domain.costs import Cost, Prices, cost, served_by, standing_in
from mldr.domain.identity import ModelKey
from mldr.domain.model_rules import ModelRules, Tier
from mldr.domain.owed import owed
from mldr.domain.policy import Policy
from mldr.domain.recovery_point import newest_restorable

PRICES = Path(__file__).parents[1] / "samplecfg" / "prices.yaml"


def read_prices(path: Path) -> Prices:
    """Return the table of prices. Ends the command where it cannot be read."""
    try:
        return Prices.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise bad_input(f"{path}: {error}", f"start from {PRICES.name}") from error


def monthly(place: Place, model: ModelKey, rules: ModelRules, prices: Prices, tier: Tier) -> Cost:
    """Return what a tier costs here, by what was captured and what the vault holds."""
    serving, state = rules.serving, place.captures.newest(model)
    served = served_by(state, instance_type=serving.instance_type, count=serving.instance_count)
    from_zero = bool(state and state.document.get("Components"))
    stored = sum(record.bytes for record in place.catalog.records(model) if record.restorable)
    return cost(tier, standing_in(tier, served, serving.floor, from_zero=from_zero), stored, prices)


def changed(place: Place, model: ModelKey, old: Policy, new: Policy, prices: Prices) -> str:
    """Return what a model costs a month by two policies, '' where it is the same or nothing of it is kept here."""
    point = newest_restorable(place.catalog.records(model))
    if point is None:
        return ""
    both = [owed(policy, model, point) for policy in (old, new)]
    before, after = (monthly(place, model, rules, prices, rules.tier) for rules in both)
    return "" if before == after else f"{before.tier} {said(before)} -> {after.tier} {said(after)}"


def said(found: Cost) -> str:
    """Return a sum in dollars, or that it is unknown."""
    return f"$ {found.dollars:.2f}" if found.dollars is not None else f"unknown, $ {found.known:.2f} without it"
