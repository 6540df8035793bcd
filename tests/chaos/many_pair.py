"""Two regions with several models, each really protected once, there and back; what plans need of a region besides."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from mldr import wiring
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Standing
from mldr.domain.recovery_point import Record
from mldr.domain.routing import Route
from mldr.domain.serving import ServingPlan
from mldr.errors import EndpointFailed
from mldr.settings import Settings
from tests.chaos.many_schedule import NAMES, ManySchedule, Ruled
from tests.chaos.pair import CONTEXT, WITNESS_HOST, clock_of
from tests.chaos.region import Endpoints, Known, Policies, Region, StandingEndpoints, Time
from tests.chaos.schedule import BOTH, COLD, HOME, SIDES, STANDBY
from tests.fakes.objects import Buckets, FakeVault
from tests.fakes.quotas import FakeQuotas
from tests.fakes.registry import FakeRegistry
from tests.fakes.serving import Endpoint
from tests.fakes.world import FakeWorld
from tests.functional.pair import Pair
from tests.functional.story import CHURN, IMAGE, document, stock

TYPE = "ml.m5.large"
PLENTY = 1000
WEIGHTS = frozenset({IMAGE, "s3://lake/churn/model.tar.gz"})
WORKING = "in-progress/evacuations/"


class Beginning(NamedTuple):
    """What a region has of one model when a schedule begins."""

    standing: Standing | None
    route: Route | None


class Protected(NamedTuple):
    """All models, promoted at home, sealed in the standby, and what comes home once the standby serves."""

    envs: dict[str, Settings]
    known: dict[tuple[str, str], Beginning]
    copies: tuple[dict[str, Any], dict[str, Any]]
    sealed: dict[str, list[Record]]
    came_home: dict[str, Record]
    buckets: Buckets
    images: Any


def key(name: str) -> ModelKey:
    """A model of the pair."""
    return ModelKey(registry="sagemaker", name=name)


@cache
def protected_many() -> Protected:
    """Run the real protection once for every model; its bytes are shared by all schedules, which only read them."""
    before = wiring.world
    try:
        return _protected(Pair(SimpleNamespace(setattr=setattr), CONTEXT))  # type: ignore[arg-type]
    finally:
        wiring.world = before


def _protected(pair: Pair) -> Protected:
    for world in pair.worlds():
        world.policies.put(policy_of(tuple(Ruled(name, "automatic", COLD, "important") for name in NAMES), 5, 5))
    stock(pair.standby)
    for name in NAMES:
        pair.protect(pair.standby, pair.standby.registry.promote(name, document()))
        pair.home.serving.endpoints[name] = Endpoint()
    _listen(pair)
    homes = dict(zip(SIDES, pair.worlds(), strict=True))
    known = {
        (side, name): Beginning(world.catalog.standing(key(name)), world.catalog.route(key(name)))
        for side, world in homes.items()
        for name in NAMES
    }
    copies = (dict(pair.standby.registry.entries), dict(pair.standby.registry.standby))
    sealed = {name: list(pair.standby.catalog.records(key(name))) for name in NAMES}
    pair.fail(pair.home)
    for name in NAMES:
        pair.request(pair.standby, "failover", f"failover-{name}", says={"model": str(key(name))})
    pair.heal(pair.home)
    _listen(pair)
    for name in NAMES:
        pair.protect(pair.home, str(sealed[name][0].target_arn))
    came_home = {name: pair.home.catalog.records(key(name))[0] for name in NAMES}
    envs = {side: world.env for side, world in homes.items()}
    return Protected(envs, known, copies, sealed, came_home, pair.home.buckets, pair.home.images)


def _listen(pair: Pair) -> None:
    pair.listen()
    for world in pair.worlds():
        for name in NAMES:
            world.leaders.asked(key(name))


def policy_of(models: tuple[Ruled, ...], cool_down: int, drain: int) -> str:
    """The policy in force in both regions. Flaps are forgotten soon: outages follow each other fast here."""
    head = (
        "version: 1\nregions: [ap-southeast-1, ap-southeast-3]\ndefaults:\n"
        '  golden: {uri: "s3://lake/churn/golden.jsonl"}\n'
        f"  health: {{cool_down: {cool_down}m, flap_window: 10m}}\nmodels:\n"
    )
    lines = [head]
    for one in models:
        both = ", active_active: {by: weight, weight: 50}" if one.tier == BOTH else ""
        lines.append(
            f"  - {{match: sagemaker/{one.name}, criticality: {one.criticality}, tier: {one.tier}{both}, "
            f"serving: {{instance_count: {NAMES[one.name]}}}, "
            f"failover: {{mode: {one.mode}, drain: {drain}m}}}}\n"
        )
    return "".join(lines)


class Working(FakeVault):
    """A vault of which schedules share what lies there, and each has the working files of its own evacuations."""

    def __init__(self, buckets: Buckets, bucket: str) -> None:
        super().__init__(buckets, bucket)
        self.working: dict[str, bytes] = {}
        self.kept: Callable[[str], None] = lambda _: None

    def keep(self, key: str, content: bytes) -> None:
        if not key.startswith(WORKING):
            raise AssertionError(f"{key} is no working file of an evacuation")
        self.working[key] = content
        self.kept(key)

    def read(self, key: str, version_id: str | None = None) -> bytes | None:
        return self.working.get(key) if key.startswith(WORKING) else super().read(key, version_id)


class Limited(Endpoints):
    """Endpoints that have to share `quota` instances; `wanted` is told of each before it is made, or refused."""

    def __init__(self, region: Region) -> None:
        super().__init__(region)
        self.quota = PLENTY
        self.refused = 0

    @property
    def held(self) -> int:
        """The instances of the endpoints that are mldr's."""
        return sum(sum(one.counts.values()) for one in self.endpoints.values() if one.plan)

    def wanted(self, plan: ServingPlan, instances: int) -> None:
        """An endpoint is about to be asked for."""

    def restore(self, plan: ServingPlan) -> None:
        if plan.name not in self.endpoints:
            instances = sum(plan.capacity.values())
            self.wanted(plan, instances)
            if self.held + instances > self.quota:
                self.refused += 1
                raise EndpointFailed(f"ResourceLimitExceeded: {self.quota} of {TYPE}")
        super().restore(plan)


class Quotas(FakeQuotas):
    """What a region's endpoints may hold, and do."""

    def __init__(self, endpoints: Limited) -> None:
        super().__init__()
        self._endpoints = endpoints

    def limits(self) -> dict[str, int]:
        return {TYPE: self._endpoints.quota}

    def held(self) -> dict[str, dict[str, int]]:
        made = self._endpoints.endpoints.items()
        return {name: {TYPE: sum(one.counts.values())} for name, one in made if one.plan}


def regions_of(schedule: ManySchedule, time: Time) -> tuple[Region, Region]:
    """The two sides, not yet plugged in."""
    made = protected_many()
    registries = FakeRegistry(made.envs[STANDBY].peer_region, made.envs[STANDBY].aws_region)
    registries.entries, registries.standby = dict(made.copies[0]), dict(made.copies[1])
    mirrored = FakeRegistry(made.envs[HOME].peer_region, made.envs[HOME].aws_region)
    mirrored.entries, mirrored.standby = registries.standby, registries.entries
    home, standby = _region(HOME, schedule, time, mirrored), _region(STANDBY, schedule, time, registries)
    for one in schedule.models:
        for record in made.sealed[one.name]:
            standby.catalog.begin(record)
        home.endpoints.endpoints[one.name] = Endpoint()
        if time.noise() < 0.5:  # else the own endpoint is of unknown making, and a failback restores
            home.world.own_endpoints.made_of[one.name] = WEIGHTS
    if schedule.quota:
        limited(standby).quota = schedule.quota
    return home, standby


def _region(side: str, schedule: ManySchedule, time: Time, registry: FakeRegistry) -> Region:
    made, machinery = protected_many(), schedule.machinery
    given = {
        "witness_host": WITNESS_HOST if machinery.witness else "",
        "failovers_side_by_side": schedule.side_by_side,
    }
    world = FakeWorld(env=made.envs[side].model_copy(update=given), buckets=made.buckets, images=made.images)
    world.clock = clock_of(time, machinery.skew[side])
    world.registry = registry
    world.policies = Policies(policy_of(schedule.models, machinery.cool_down, machinery.drain))
    world.catalog = Known()
    world.vault = Working(made.buckets, world.env.vault_bucket)
    for one in schedule.models:
        known = made.known[side, one.name]
        if known.standing:
            world.catalog.learn(key(one.name), known.standing)
        if known.route:
            world.catalog.put_route(key(one.name), known.route, {})
    region = Region(side, world, time, CHURN)
    region.endpoints = Limited(region)
    world.serving, world.standing_endpoints = region.endpoints, StandingEndpoints(region.endpoints)
    world.quotas = Quotas(region.endpoints)
    return region


def limited(region: Region) -> Limited:
    """The endpoints of a region of several models."""
    assert isinstance(region.endpoints, Limited)
    return region.endpoints
