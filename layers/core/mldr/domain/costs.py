"""What a model's recovery costs a month, from a table of prices and what the model really uses; nothing is guessed."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mldr.domain.identity import Frozen
from mldr.domain.model_rules import Tier
from mldr.domain.serving import VARIANT
from mldr.domain.serving_state import ServingState

GIB = 2**30
NOT_COUNTED = "requests, transfer between regions, functions, the table and logs are not counted"


class Prices(Frozen):
    """One table of prices in dollars, when and where they were read."""

    read: str
    region: str
    source: str
    hours_per_month: float = Field(gt=0)
    instance_hour: dict[str, float]
    storage_gib_month: float = Field(ge=0)
    health_check_month: float = Field(ge=0)
    health_checks: int = Field(ge=0)


class Used(Frozen):
    """The instances of one variant that a tier lets stand; a serverless one has none to count."""

    variant: str
    instance_type: str
    count: int | None


class Line(Frozen):
    """One position of a bill; `dollars` is None where the table has no price for it."""

    what: str
    dollars: float | None
    how: str


class Cost(Frozen):
    """What a tier costs a month. `dollars` is None while a position is unknown; `known` is the sum of the others."""

    tier: Tier
    lines: tuple[Line, ...]
    known: float
    dollars: float | None


def served_by(state: ServingState | None, *, instance_type: str, count: int) -> tuple[Used, ...]:
    """Return the instances that serve in the active region: as they were captured, else as the policy says."""
    if state is None:
        return (Used(variant=VARIANT, instance_type=instance_type, count=count),)
    types = {one["VariantName"]: _type(one) for one in state.document.get("Config", {}).get("ProductionVariants", [])}
    return tuple(
        Used(variant=one.variant, instance_type=types.get(one.variant, ""), count=one.instances)
        for one in state.live
        if not one.shadow
    )


def _type(variant: dict[str, Any]) -> str:
    return str(variant.get("InstanceType", ""))


def standing_in(tier: Tier, served: tuple[Used, ...], floor: int, *, from_zero: bool = False) -> tuple[Used, ...]:
    """Return what a tier lets stand in the standby region beside what serves.

    `from_zero`: it has inference components, so a floor of zero is kept; any other variant has one instance at least.
    """
    if tier is Tier.COLD_STANDBY:
        return ()
    warm, least = tier is Tier.WARM_STANDBY, 0 if from_zero and floor == 0 else 1

    def count(one: Used) -> int | None:
        if one.count is None:
            return None
        return max(least, min(one.count, floor)) if warm else max(1, one.count)

    return tuple(one.model_copy(update={"count": count(one)}) for one in served)


def cost(tier: Tier, standing: tuple[Used, ...], stored: int, prices: Prices) -> Cost:
    """Return what a tier costs a month; `stored` is bytes in the vault.

    Where both regions answer, one health check more looks at the standby.
    """
    checks = prices.health_checks + (tier is Tier.ACTIVE_ACTIVE)
    lines = [
        _instances(one, prices) for one in standing
    ] + [
        Line(
            what="vault",
            dollars=round(stored / GIB * prices.storage_gib_month, 2),
            how=f"{stored / GIB:.3f} GiB, what points share counted in each, at {prices.storage_gib_month} a month",
        ),
        Line(
            what="health checks",
            dollars=round(checks * prices.health_check_month, 2),
            how=f"{checks} at {prices.health_check_month} a month",
        ),
    ]  # fmt: skip
    known = round(sum(one.dollars for one in lines if one.dollars is not None), 2)
    whole = all(one.dollars is not None for one in lines)
    return Cost(tier=tier, lines=tuple(lines), known=known, dollars=known if whole else None)


def _instances(used: Used, prices: Prices) -> Line:
    what, kind = f"variant {used.variant}", used.instance_type or "an instance type that was not captured"
    if used.count is None:
        return Line(what=what, dollars=None, how="serverless: the table has no price of requests and concurrency")
    price = prices.instance_hour.get(used.instance_type)
    if price is None:
        return Line(what=what, dollars=None, how=f"{used.count} x {kind}: no price in the table, add it")
    dollars = round(used.count * price * prices.hours_per_month, 2)
    return Line(what=what, dollars=dollars, how=f"{used.count} x {kind} at {price} an hour")
