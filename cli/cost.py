"""`mldr cost`: what a model's tier costs a month, and what each other tier would."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cli.monthly import PRICES, monthly, read_prices, said
from cli.options import ModelName
from cli.outcomes import Exit
from cli.output import AsJson, out, print_json, print_table, table
from cli.regions import Environment, Place, Region, places, standby_of
from mldr.domain.costs import NOT_COUNTED, Cost, Prices
from mldr.domain.identity import ModelKey
from mldr.domain.model_rules import Tier
from mldr.domain.owed import owed
from mldr.domain.recovery_point import newest_restorable

Wanted = Annotated[Tier | None, typer.Option("--tier", help="Only this tier.", show_default=False)]
Table = Annotated[Path, typer.Option("--prices", help="The table of prices.", dir_okay=False)]


def cost_(
    model: ModelName,
    tier: Wanted = None,
    prices: Table = PRICES,
    as_json: AsJson = False,
    region: Region = None,
    env: Environment = "prod",
) -> None:
    """Compute what a model's tier costs a month in its standby region, from a table of prices.

    [dim]$[/] mldr cost churn
    [dim]$[/] mldr cost churn --tier warm-standby --json

    Instances are those that were captured of the active region, storage is what the vault holds. A price that the table
    does not have is told as unknown, and so is the sum.

    Exit codes: 0 every price is known, 1 one is not, 2 bad table, model or region, 3 the catalog cannot be read.
    """
    known = read_prices(prices)
    key = ModelKey.parse(model)
    place = standby_of(key, places(region, env))
    told = _told(place, key, known, tier)
    if as_json:
        print_json(told)
    else:
        _show(told, known)
    if any(one["dollars"] is None for one in told["tiers"]):
        raise typer.Exit(int(Exit.DOES_NOT_HOLD))


def _told(place: Place, model: ModelKey, prices: Prices, only: Tier | None) -> dict[str, Any]:
    policy, _ = place.policies.load()
    rules = owed(policy, model, newest_restorable(place.catalog.records(model)))
    state = place.captures.newest(model)
    tiers = [monthly(place, model, rules, prices, one) for one in Tier if only in (None, one)]
    return {
        "model": str(model),
        "region": place.region,
        "tier": rules.tier.value,
        "captured_at": state.captured_at.isoformat() if state else None,
        "prices": {"read": prices.read, "region": prices.region, "source": prices.source},
        "not_counted": NOT_COUNTED,
        "tiers": [one.model_dump(mode="json") for one in tiers],
    }


def _show(told: dict[str, Any], prices: Prices) -> None:
    since = told["captured_at"] or "never: the policy's instances are counted"
    out.print(f"[bold]{escape(told['model'])}[/] is {told['tier']}, in {told['region']}; captured: {since}")
    made = table("tier", "a month", "of which")
    for one in (Cost.model_validate(given) for given in told["tiers"]):
        parts = "; ".join(
            f"{line.what} {'unknown' if line.dollars is None else f'$ {line.dollars:.2f}'} ({line.how})"
            for line in one.lines
        )
        made.add_row(one.tier.value, said(one), escape(parts))
    print_table(made)
    if any(one["tier"] == Tier.ACTIVE_ACTIVE for one in told["tiers"]):
        both = "active-active: both regions answer, each with as much as serves at home; this is the standby's part"
        out.print(f"[dim]{both}[/]")
    out.print(f"[dim]prices of {prices.region}, read {prices.read}: {escape(prices.source)}[/]")
    out.print(f"[dim]{NOT_COUNTED}[/]")
