"""The edge as a whole: a client's name moves to the other region by health checks alone, never without the switch."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from localcloud.edge.addresses import front_addresses
from localcloud.edge.dns_server import DnsServer
from localcloud.edge.health_checks import HealthCheckers
from localcloud.edge.http_apis import HttpApis, Route
from localcloud.edge.http_front import HttpFront
from localcloud.edge.resolve import Resolver
from localcloud.edge.zones import Zones
from localcloud.moto_repairs.route53 import Route53Repairs
from localcloud.outage import Outage
from tests.functional.localcloud.test_http_front import free_port

ACTIVE, STANDBY = "ap-southeast-1", "ap-southeast-3"
HOSTS = {ACTIVE: f"active.execute-api.{ACTIVE}.amazonaws.com", STANDBY: f"standby.execute-api.{STANDBY}.amazonaws.com"}
NAME = "iris.models.mldr.test"


@dataclass
class Outcome:
    """What a function returned."""

    payload: bytes
    error: bool = False


class World:
    """Both regions' gateways behind DNS, with the health check graph of one model."""

    def __init__(self) -> None:
        regions, port = (ACTIVE, STANDBY), free_port()
        self.outage, self.taken_over = Outage(), False
        self.route53: Any = boto3.client("route53", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        apis = HttpApis()
        for region in regions:
            routes = [
                Route("GET", "/models/{model}/health", "gateway"),
                Route("GET", "/models/{model}/takeover", "gateway"),
            ]
            apis.register(region, HOSTS[region].partition(".")[0], routes)
        self.checkers = HealthCheckers(self._address, front_addresses(regions).values(), port, pace=50)
        self.zones = Zones(regions, self.checkers.healthy)
        self.dns = DnsServer(self.zones, 0)
        front = HttpFront(regions, apis, self, self.outage, port)
        self.parts: list[Any] = [Route53Repairs(self.checkers.observations), self.dns, front, self.checkers]

    def _address(self, name: str) -> str | None:
        return self.zones.address(name)

    def invoke(self, region: str, function: str, payload: bytes) -> Outcome:
        """The gateway function: healthy wherever it runs, taken over when the test says so."""
        healthy = not json.loads(payload)["rawPath"].endswith("/takeover") or (region == STANDBY and self.taken_over)
        return Outcome(json.dumps({"statusCode": 200 if healthy else 404}).encode())

    def check_all(self) -> dict[str, str]:
        """The health checks of the model."""

        def check(reference: str, **config: Any) -> str:
            made = self.route53.create_health_check(CallerReference=reference, HealthCheckConfig=config)
            return str(made["HealthCheck"]["Id"])

        def endpoint(reference: str, region: str, path: str, inverted: bool) -> str:
            return check(
                reference, Type="HTTPS", FullyQualifiedDomainName=HOSTS[region], ResourcePath=f"/models/iris/{path}",
                RequestInterval=10, FailureThreshold=2, Inverted=inverted,
            )  # fmt: skip

        e, t = endpoint("e", ACTIVE, "health", False), endpoint("t", STANDBY, "takeover", True)
        p = check("p", Type="CALCULATED", HealthThreshold=2, ChildHealthChecks=[e, t])
        s = check("s", Type="CALCULATED", HealthThreshold=1, ChildHealthChecks=[t], Inverted=True)
        return {"e": e, "t": t, "p": p, "s": s}

    def publish(self, checks: dict[str, str]) -> None:
        """The records of the model."""
        zone = self.route53.create_hosted_zone(Name="models.mldr.test", CallerReference="zone")["HostedZone"]["Id"]

        def record(name: str, kind: str, value: str, role: str, health: str | None) -> dict[str, Any]:
            described = {"Name": name, "Type": kind, "TTL": 1, "SetIdentifier": role, "Failover": role}
            described |= {"ResourceRecords": [{"Value": value}]} | ({"HealthCheckId": health} if health else {})
            return {"Action": "CREATE", "ResourceRecordSet": described}

        changes = [
            record(NAME, "CNAME", HOSTS[ACTIVE], "PRIMARY", checks["p"]),
            record(NAME, "CNAME", HOSTS[STANDBY], "SECONDARY", checks["s"]),
            record(f"_health.{NAME}", "TXT", '"healthy"', "PRIMARY", checks["e"]),
            record(f"_health.{NAME}", "TXT", '"unhealthy"', "SECONDARY", None),
        ]
        self.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})

    def onboard(self) -> dict[str, str]:
        """Checks first; the records when the checkers know that nobody has taken over."""
        checks = self.check_all()
        until(lambda: self.checkers.healthy(checks["p"]) and not self.checkers.healthy(checks["s"]))
        self.publish(checks)
        return checks

    def address(self) -> str:
        """What a client without a cache resolves now."""
        return Resolver(self.dns.address).resolve(NAME)[0]

    def canary(self) -> str:
        """Route 53's verdict on the active region's endpoint, by DNS alone."""
        return Resolver(self.dns.address).text(f"_health.{NAME}")


@pytest.fixture
def world() -> Iterator[World]:
    """A running edge."""
    with mock_aws():
        made = World()
        for part in made.parts:
            part.start()
        yield made
        for part in reversed(made.parts):
            part.stop()


def until(condition: Callable[[], bool], seconds: float = 8.0) -> None:
    """Wait for the condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_traffic_moves_when_the_standby_takes_over_and_only_then(world: World) -> None:
    checks = world.onboard()
    assert (world.address(), world.canary()) == ("127.0.0.11", "healthy")
    until(
        lambda: (
            world.checkers.statuses() == {checks["e"]: True, checks["t"]: True, checks["p"]: True, checks["s"]: False}
        )
    )
    world.outage.fail(ACTIVE)
    until(lambda: world.canary() == "unhealthy")
    assert not world.checkers.healthy(checks["p"])
    assert world.address() == "127.0.0.11", "nobody has taken over: the standby is not an answer yet"
    world.taken_over = True
    until(lambda: world.address() == "127.0.0.12")
    world.outage.heal(ACTIVE)
    until(lambda: world.canary() == "healthy")
    assert world.address() == "127.0.0.12", "a healed region does not take the traffic back by itself"
    world.taken_over = False
    until(lambda: world.address() == "127.0.0.11")


def test_records_made_before_the_checkers_know_answer_the_standby(world: World) -> None:
    world.publish(world.check_all())
    assert world.address() == "127.0.0.12", "a new inverted check is unhealthy, as if the standby had taken over"
    until(lambda: world.address() == "127.0.0.11")


def test_dns_and_health_checks_outlive_us_east_1(world: World) -> None:
    world.onboard()
    world.outage.fail("us-east-1")
    world.outage.fail(ACTIVE)
    world.taken_over = True
    until(lambda: world.address() == "127.0.0.12")
