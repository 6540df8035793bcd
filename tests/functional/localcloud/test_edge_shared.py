"""A name is answered by one region, then by both, and back: real steps, Route 53's rules, a real DNS server."""

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import boto3
import pytest
from moto import mock_aws

from localcloud.edge.addresses import front_addresses
from localcloud.edge.dns_server import DnsServer
from localcloud.edge.health_checks import HealthCheckers
from localcloud.edge.http_apis import HttpApis
from localcloud.edge.http_apis import Route as Path
from localcloud.edge.http_front import HttpFront
from localcloud.edge.zones import Zones
from localcloud.moto_repairs.route53 import Route53Repairs
from localcloud.outage import Outage
from mldr.aws.dns import Route53Dns
from mldr.aws.outside import PublicNetwork
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Beside, Leadership, announce
from mldr.domain.routing import CheckTimes, Front, Route, RoutedRecord, Spread
from mldr.errors import ChecksNotReported, RecordsChanged, RegionUnreachable
from mldr.steps.onboard_model import Routes, onboard_model
from tests.fakes.catalog import FakeCatalog
from tests.fakes.clock import FakeClock
from tests.fakes.fronts import FakeFronts
from tests.functional.localcloud.test_edge_failover import ACTIVE, HOSTS, STANDBY, Outcome, until
from tests.functional.localcloud.test_http_front import free_port

IRIS = ModelKey(registry="sagemaker", name="iris")
NAME, BESIDE = "iris.models.mldr.test", "_beside.iris.models.mldr.test"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
EVENLY, NEARER = Spread(by="weight", weight=50), Spread(by="latency")
TARGETS = {HOSTS[ACTIVE], HOSTS[STANDBY]}


class Fronts(FakeFronts):
    """The gateways of this edge."""

    def front(self, region: str) -> Front:
        return Front(region=region, host=HOSTS[region], target=HOSTS[region])


class World:
    """Both regions' gateways behind DNS, and what onboards one model in the standby."""

    def __init__(self) -> None:
        regions, port = (ACTIVE, STANDBY), free_port()
        self.outage, self.well, self.taken_over = Outage(), {ACTIVE, STANDBY}, False
        self.route53: Any = boto3.client("route53", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        apis = HttpApis()
        for region in regions:
            paths = [Path("GET", f"/models/{{model}}/{what}", "gateway") for what in ("health", "takeover", "epoch")]
            apis.register(region, HOSTS[region].partition(".")[0], paths)
        fronts = front_addresses(regions).values()
        self.checkers = HealthCheckers(self._address, fronts, port, pace=50)
        self.zones = Zones(regions, self.checkers.healthy)
        self.server = DnsServer(self.zones, 0)
        front = HttpFront(regions, apis, self, self.outage, port)
        self.parts: list[Any] = [Route53Repairs(self.checkers.observations), self.server, front, self.checkers]
        self.catalog, self.port, self.fronts, self.clock = FakeCatalog(), port, Fronts(), FakeClock(NOW)

    def _address(self, name: str) -> str | None:
        return self.zones.address(name)

    def start(self) -> None:
        for part in self.parts:
            part.start()
        self.route53.create_hosted_zone(Name="models.mldr.test", CallerReference="zone")
        self.outside = PublicNetwork(resolver=self.server.address, transport=f"http:{self.port}")
        self.dns = Route53Dns(
            self.route53,
            lambda region: pytest.fail("no metric is followed here"),
            zone="models.mldr.test",
            transport="https:443",
            owner="test",
            environment="test",
        )

    def invoke(self, region: str, function: str, payload: bytes) -> Outcome:
        """The gateways: well or not, taken over or not, as the test says."""
        text = payload.decode()
        if "/epoch" in text:
            said = announce(IRIS, region, Leadership(), route=None, version=None).model_dump_json()
            return Outcome(json.dumps({"statusCode": 200, "body": said}).encode())
        good = (region == STANDBY and self.taken_over) if "/takeover" in text else region in self.well
        return Outcome(b'{"statusCode": 200}' if good else b'{"statusCode": 503}')

    def onboard(self) -> Route | None:
        """What *protect* does, again until the checkers have reported."""
        found: list[Route | None] = []

        def done() -> bool:
            try:
                found.append(self.once())
            except ChecksNotReported:
                return False
            return True

        until(done)
        return found[-1]

    def once(self) -> Route | None:
        return onboard_model(
            IRIS,
            region=STANDBY,
            peer_region=ACTIVE,
            zone="models.mldr.test",
            times=CheckTimes(interval=10, threshold=2, ttl=1),
            kind="https",
            catalog=self.catalog,
            fronts=self.fronts,
            dns=self.dns,
            outside=self.outside,
            clock=self.clock,
        )

    def beside(self) -> None:
        """Something answers in the standby beside the home."""
        row = Beside(home=ACTIVE, endpoint="iris-s", recovery_point="v1", counts={"main": 1}, since=NOW)
        self.catalog.put_beside(IRIS, row, None)

    def follow(self, spread: Spread | None, **other: Any) -> Route | None:
        """What converge_serving does."""
        parts = {"catalog": self.catalog, "dns": self.dns, "outside": self.outside, **other}
        return Routes(zone="models.mldr.test", **parts).follow(IRIS, spread)

    def share(self, spread: Spread) -> Route | None:
        """The same, until the name is shared."""
        until(lambda: self.shared(spread))
        return self.catalog.route(IRIS)

    def shared(self, spread: Spread) -> bool:
        try:
            found = self.follow(spread)
        except ChecksNotReported:
            return False
        return found is not None and found.spread == spread

    def answers(self, times: int = 60) -> set[str | None]:
        """Where clients are sent."""
        return {self.outside.target(NAME) for _ in range(times)}

    def held(self, name: str) -> set[str]:
        """The set identifiers of a name."""
        zone = self.route53.list_hosted_zones()["HostedZones"][0]["Id"]
        listed = self.route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        return {one["SetIdentifier"] for one in listed if one["Name"] == f"{name}."}


class Client:
    """Asks without a pause for as long as it stands."""

    def __init__(self, world: World) -> None:
        self._world, self._stop, self.seen = world, threading.Event(), list[str | None]()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._stop.is_set():
            self.seen.append(self._world.outside.target(NAME))

    def __enter__(self) -> "Client":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def world() -> Iterator[World]:
    """A running edge with a model that one region answers."""
    with mock_aws():
        made = World()
        made.start()
        try:
            made.onboard()
            yield made
        finally:
            for part in reversed(made.parts):
                part.stop()


@pytest.mark.parametrize("spread", [EVENLY, NEARER])
def test_a_name_is_answered_at_every_instant_of_both_ways(world: World, spread: Spread) -> None:
    world.beside()
    with Client(world) as client:
        for _ in range(5):
            world.share(spread)
            assert world.follow(None) is not None
        world.share(EVENLY)
        world.share(NEARER)
        world.follow(None)
    assert len(client.seen) > 50
    assert set(client.seen) <= TARGETS, "an instant without an answer, or with another one"
    assert world.answers(20) == {HOSTS[ACTIVE]}
    assert (world.held(NAME), world.held(BESIDE)) == ({"primary", "secondary"}, set())


def test_both_regions_answer_and_each_falls_out_by_its_own_health(world: World) -> None:
    world.beside()
    world.share(EVENLY)
    assert world.answers() == TARGETS
    world.outage.fail(ACTIVE)
    until(lambda: world.answers(20) == {HOSTS[STANDBY]})
    assert world.outside.text(BESIDE) == "healthy"
    world.outage.heal(ACTIVE)
    until(lambda: world.answers() == TARGETS)
    world.outage.fail(STANDBY)
    until(lambda: world.answers(20) == {HOSTS[ACTIVE]})
    assert world.outside.text(BESIDE) == "unhealthy"


def test_once_the_standby_took_over_it_alone_is_answered_even_before_it_is_seen_well(world: World) -> None:
    world.beside()
    world.share(EVENLY)
    world.well, world.taken_over = {ACTIVE}, True
    until(lambda: world.answers(20) == {HOSTS[STANDBY]})
    until(lambda: world.outside.text(BESIDE) == "unhealthy")
    assert world.answers(20) == {HOSTS[STANDBY]}
    world.well, world.taken_over = {ACTIVE, STANDBY}, False
    until(lambda: world.answers() == TARGETS)


def test_with_neither_region_well_both_are_answered(world: World) -> None:
    """Route 53 then takes every record for healthy: the trap that the decision tells of."""
    world.beside()
    world.share(EVENLY)
    world.well = set()
    until(lambda: world.outside.text(BESIDE) == "unhealthy")
    until(lambda: world.outside.text(f"_health.{NAME}") == "unhealthy")
    assert world.answers() == TARGETS


def test_a_name_is_not_shared_before_anything_answers_beside_the_home(world: World) -> None:
    before = world.catalog.route(IRIS)
    assert world.follow(EVENLY) == before
    assert world.held(NAME) == {"primary", "secondary"}
    world.beside()
    row = world.catalog.leadership(IRIS).beside
    assert row is not None
    world.catalog.put_beside(IRIS, row.model_copy(update={"leaving": NOW}), row)
    assert world.follow(EVENLY) == before


def test_a_standby_that_is_not_well_is_not_sent_its_first_clients(world: World) -> None:
    """A new check is healthy before anybody looked."""
    world.beside()
    world.well = {ACTIVE}
    with pytest.raises(ChecksNotReported, match="does not answer for sagemaker/iris beside its home yet"):
        world.follow(EVENLY)
    assert world.held(NAME) == {"primary", "secondary"}
    until(lambda: world.outside.text(BESIDE) == "unhealthy")
    with pytest.raises(ChecksNotReported):
        world.follow(EVENLY)
    world.well = {ACTIVE, STANDBY}
    world.share(EVENLY)
    assert world.answers() == TARGETS


def test_a_name_that_is_shared_stays_so_while_its_standby_is_not_well(world: World) -> None:
    world.beside()
    world.share(EVENLY)
    row = world.catalog.leadership(IRIS).beside
    assert row is not None
    world.catalog.withdraw_beside(IRIS, row)
    world.well = {ACTIVE}
    until(lambda: world.answers(20) == {HOSTS[ACTIVE]})
    assert world.shared(EVENLY)
    assert world.held(NAME) == {f"weight-{ACTIVE}", f"weight-{STANDBY}"}


class Broken:
    """A port whose calls from the nth on fail, before or after they were carried out."""

    def __init__(self, port: Any, nth: int, *, after: bool) -> None:
        self._port, self._left, self._after = port, nth, after

    def __getattr__(self, name: str) -> Any:
        held = getattr(self._port, name)
        if not name.startswith(("ensure_", "put_")):
            return held

        def call(*args: Any, **more: Any) -> Any:
            self._left -= 1
            if self._left < 0 and not self._after:
                raise RegionUnreachable("cut off")
            made = held(*args, **more)
            if self._left < 0:
                raise RegionUnreachable("cut off")
            return made

        return call


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("port", "nth"), [("dns", 0), ("dns", 1), ("dns", 2), ("catalog", 0)])
def test_a_change_that_was_interrupted_is_finished_by_repeating_it(
    world: World, port: str, nth: int, after: bool
) -> None:
    world.beside()
    for spread, identifiers in ((EVENLY, {f"weight-{ACTIVE}", f"weight-{STANDBY}"}), (None, {"primary", "secondary"})):
        with Client(world) as client:
            until(lambda wanted=spread: cut_off(world, wanted, port, nth, after))
            world.share(spread) if spread else world.follow(None)
        assert set(client.seen) <= TARGETS
        assert world.held(NAME) == identifiers
        route = world.catalog.route(IRIS)
        assert route is not None
        assert route.spread == spread
        assert bool(world.held(BESIDE)) is bool(spread)


def test_of_two_that_change_a_name_at_once_the_slower_one_begins_again(world: World) -> None:
    """The policy was edited twice within a minute, and two functions look at the model."""
    world.beside()
    slow = Overtaken(world.dns, lambda: world.share(NEARER))
    with pytest.raises(RecordsChanged, match="changed by another"):
        until(lambda: tried(world, slow))
    world.follow(EVENLY)
    assert world.held(NAME) == {f"weight-{ACTIVE}", f"weight-{STANDBY}"}
    assert world.answers() == TARGETS


class Overtaken:
    """Route 53, where another is quicker between our records of the name and what follows."""

    def __init__(self, dns: Route53Dns, other: Callable[[], object]) -> None:
        self._dns, self._other = dns, other
        self.ensure_checks = dns.ensure_checks

    def ensure_records(self, records: Sequence[RoutedRecord], *args: Any, **more: Any) -> None:
        self._dns.ensure_records(records, *args, **more)
        if records[0].name == NAME:
            self._other()


def tried(world: World, dns: Overtaken) -> bool:
    """Whether a change was made; not, while the checkers have not reported."""
    try:
        world.follow(EVENLY, dns=dns)
    except ChecksNotReported:
        return False
    return True


def cut_off(world: World, spread: Spread | None, port: str, nth: int, after: bool) -> bool:
    """Whether a change was cut off where it should be, and not earlier by checks that had not reported."""
    try:
        world.follow(spread, **{port: Broken(getattr(world, port), nth, after=after)})
    except RegionUnreachable:
        return True
    except ChecksNotReported:
        return False
    raise AssertionError("nothing was cut off")


def test_onboarding_again_keeps_what_the_tier_shared(world: World) -> None:
    """A new version is protected every day; the checks of other parameters are other checks."""
    world.beside()
    shared = world.share(EVENLY)
    assert world.once() == shared
    assert shared is not None
    world.catalog.put_route(IRIS, shared.model_copy(update={"times": CheckTimes(interval=30, threshold=2, ttl=1)}), {})
    again = world.onboard()
    assert again == shared
    assert world.answers() == TARGETS
