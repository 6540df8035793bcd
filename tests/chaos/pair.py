"""The two regions of a schedule, made from one pair that was really protected once, in both directions."""

from __future__ import annotations

import datetime as dt
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from mldr import wiring
from mldr.domain.leadership import Standing
from mldr.domain.recovery_point import Record
from mldr.domain.routing import Route
from mldr.settings import Settings
from tests.chaos.region import Known, Policies, Region, Time
from tests.chaos.schedule import BOTH, COLD, HOME, STANDBY, Machinery
from tests.fakes.objects import Buckets
from tests.fakes.registry import FakeRegistry
from tests.fakes.serving import Endpoint
from tests.fakes.world import START, FakeWorld
from tests.functional.pair import Pair
from tests.functional.story import CHURN, IMAGE

CONTEXT = SimpleNamespace(
    function_name="door",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:ap-southeast-3:123456789012:function:door",
    aws_request_id="request-1",
    get_remaining_time_in_millis=lambda: 900_000,
)
WITNESS_HOST = "witness.example"


class Side(NamedTuple):
    """What a region has when a schedule begins, but for the copy that came home."""

    env: Settings
    standing: Standing | None
    route: Route | None
    entries: dict[str, Any]
    copies: dict[str, Any]


class Protected(NamedTuple):
    """A model that is promoted at home, sealed in the standby, and what comes home once the standby serves."""

    home: Side
    standby: Side
    sealed: Record
    came_home: Record
    buckets: Buckets
    images: Any


@cache
def protected() -> Protected:
    """Run the real protection once, there and back; its bytes are shared by all schedules, which only read them."""
    before = wiring.world
    try:
        pair = Pair(SimpleNamespace(setattr=setattr), CONTEXT)  # type: ignore[arg-type]
        pair.protected()
        pair.listen()
        home, standby = (_side(world) for world in pair.worlds())
        [sealed] = pair.standby.catalog.records(CHURN)
        pair.fail(pair.home)
        pair.request(pair.standby, "failover", "failover-1")
        pair.heal(pair.home)
        pair.listen()
        pair.protect(pair.home, str(sealed.target_arn))
        [came_home] = pair.home.catalog.records(CHURN)
        return Protected(home, standby, sealed, came_home, pair.home.buckets, pair.home.images)
    finally:
        wiring.world = before


def _side(world: FakeWorld) -> Side:
    catalog, registry = world.catalog, world.registry
    return Side(
        world.env, catalog.standing(CHURN), catalog.route(CHURN), dict(registry.entries), dict(registry.standby)
    )


def policy(machinery: Machinery, tier: str) -> str:
    """The policy in force in both regions."""
    both = "    active_active: {by: weight, weight: 50}\n" if tier == BOTH else ""
    return (
        "version: 1\nregions: [ap-southeast-1, ap-southeast-3]\nmodels:\n  - match: sagemaker/churn\n"
        '    golden: {uri: "s3://lake/churn/golden.jsonl"}\n'
        f"    tier: {tier}\n{both}"
        f"    health: {{cool_down: {machinery.cool_down}m}}\n"
        f"    failover: {{mode: {machinery.mode}, drain: {machinery.drain}m}}\n"
    )


def regions(machinery: Machinery, time: Time) -> tuple[Region, Region]:
    """The two sides, not yet plugged in."""
    made = protected()
    registries = FakeRegistry(made.standby.env.peer_region, made.standby.env.aws_region)
    registries.entries, registries.standby = dict(made.standby.entries), dict(made.standby.copies)
    mirrored = FakeRegistry(made.home.env.peer_region, made.home.env.aws_region)
    mirrored.entries, mirrored.standby = registries.standby, registries.entries
    home = _region(HOME, made.home, machinery, time, mirrored)
    standby = _region(STANDBY, made.standby, machinery, time, registries)
    standby.catalog.begin(made.sealed)
    home.endpoints.endpoints["churn"] = Endpoint()
    if time.noise() < 0.5:  # else the own endpoint is of unknown making, and a failback restores
        home.world.own_endpoints.made_of["churn"] = frozenset({IMAGE, "s3://lake/churn/model.tar.gz"})
    return home, standby


def _region(side: str, given: Side, machinery: Machinery, time: Time, registry: FakeRegistry) -> Region:
    made = protected()
    witness = WITNESS_HOST if machinery.witness else ""
    world = FakeWorld(
        env=given.env.model_copy(update={"witness_host": witness}), buckets=made.buckets, images=made.images
    )
    world.clock = clock_of(time, machinery.skew[side])
    world.registry = registry
    world.policies = Policies(policy(machinery, BOTH if machinery.both else COLD))
    world.catalog = Known()
    if given.standing:
        world.catalog.learn(CHURN, given.standing)
    if given.route:
        world.catalog.put_route(CHURN, given.route, {})
    return Region(side, world, time, CHURN)


def clock_of(time: Time, skew: float) -> Any:
    from tests.chaos.region import Skewed

    return Skewed(time, START + dt.timedelta(hours=1), skew)
