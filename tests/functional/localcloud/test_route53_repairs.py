"""Route 53's API behaves as AWS documents it where moto does not."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from localcloud.edge.health_checks import Observation
from localcloud.moto_repairs.route53 import Route53Repairs

ENDPOINT: dict[str, Any] = {
    "Type": "HTTPS", "FullyQualifiedDomainName": "gateway.test", "ResourcePath": "/health", "RequestInterval": 10,
}  # fmt: skip


class World:
    """A Route 53 client and one zone."""

    def __init__(self) -> None:
        self.observations: list[Observation] = []
        self.repairs = Route53Repairs(lambda _check: self.observations)
        self.repairs.start()
        self.route53: Any = boto3.client("route53", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        zone = self.route53.create_hosted_zone(Name="models.mldr.test", CallerReference="zone")
        self.zone: str = zone["HostedZone"]["Id"]

    def check(self, reference: str = "e", **settings: Any) -> str:
        """Create a health check."""
        config = ENDPOINT | settings
        if config["Type"] == "CALCULATED":
            config = settings
        made = self.route53.create_health_check(CallerReference=reference, HealthCheckConfig=config)
        return str(made["HealthCheck"]["Id"])

    def change(self, *changes: tuple[str, dict[str, Any]]) -> None:
        """One batch."""
        batch = [{"Action": action, "ResourceRecordSet": described} for action, described in changes]
        self.route53.change_resource_record_sets(HostedZoneId=self.zone, ChangeBatch={"Changes": batch})

    def records(self) -> list[tuple[str, str, str | None]]:
        """Everything in the zone but SOA and NS."""
        listed = self.route53.list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]
        return [(r["Name"], r["Type"], r.get("SetIdentifier")) for r in listed if r["Type"] not in ("SOA", "NS")]


@pytest.fixture
def world() -> Iterator[World]:
    """moto in this process, repaired."""
    with mock_aws():
        made = World()
        yield made
        made.repairs.stop()


def record(name: str = "iris.models.mldr.test", value: str = "192.0.2.1", **more: Any) -> dict[str, Any]:
    """One A record set."""
    return {"Name": name, "Type": "A", "TTL": 5, "ResourceRecords": [{"Value": value}]} | more


def code(caught: pytest.ExceptionInfo[ClientError]) -> str:
    """The AWS error code."""
    return str(caught.value.response["Error"]["Code"])


def test_the_same_reference_and_settings_return_the_existing_check(world: World) -> None:
    assert world.check() == world.check()
    assert len(world.route53.list_health_checks()["HealthChecks"]) == 1


def test_the_same_reference_with_other_settings_is_refused(world: World) -> None:
    world.check()
    with pytest.raises(ClientError) as caught:
        world.check(ResourcePath="/other")
    assert code(caught) == "HealthCheckAlreadyExists"


def test_the_reference_of_a_deleted_check_is_used_up(world: World) -> None:
    world.route53.delete_health_check(HealthCheckId=world.check())
    with pytest.raises(ClientError) as caught:
        world.check()
    assert code(caught) == "HealthCheckAlreadyExists"


def test_an_https_check_asks_port_443_unless_told_otherwise(world: World) -> None:
    ports = [
        world.route53.get_health_check(HealthCheckId=check)["HealthCheck"]["HealthCheckConfig"].get("Port")
        for check in (world.check("a"), world.check("b", Type="HTTP"), world.check("c", Port=8443))
    ]
    assert ports == [443, 80, 8443]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"Type": "CLOUDWATCH_METRIC"}, "AlarmIdentifier"),
        ({"Type": "RECOVERY_CONTROL"}, "RECOVERY_CONTROL"),
        ({"RequestInterval": 20}, "RequestInterval"),
        ({"FailureThreshold": 10, "RequestInterval": 15}, "RequestInterval"),
        ({"Type": "HTTP_STR_MATCH"}, "SearchString"),
        ({"Type": "CALCULATED", "HealthThreshold": 1, "ChildHealthChecks": ["nobody"]}, "nobody"),
        ({"Type": "CALCULATED", "ChildHealthChecks": []}, "HealthThreshold"),
        ({"reference": "x" * 65}, "65 characters"),
    ],
)
def test_checks_that_nobody_could_run_are_refused_by_name(world: World, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError, match=text) as caught:
        world.check(**settings)
    assert code(caught) == "InvalidInput"
    assert world.route53.list_health_checks()["HealthChecks"] == []


def test_a_calculated_check_of_a_calculated_one_is_refused(world: World) -> None:
    calculated = world.check("c", Type="CALCULATED", HealthThreshold=1, ChildHealthChecks=[world.check()])
    with pytest.raises(ClientError, match=f"another calculated one: {calculated}"):
        world.check("d", Type="CALCULATED", HealthThreshold=1, ChildHealthChecks=[world.check(), calculated])


def test_an_update_without_children_keeps_the_children(world: World) -> None:
    child = world.check()
    parent = world.check("p", Type="CALCULATED", HealthThreshold=1, ChildHealthChecks=[child])
    updated = world.route53.update_health_check(HealthCheckId=parent, HealthThreshold=0)["HealthCheck"]
    assert updated["HealthCheckConfig"]["ChildHealthChecks"] == [child]
    assert updated["HealthCheckConfig"]["HealthThreshold"] == 0
    assert updated["HealthCheckVersion"] == 2


def test_deleting_an_unknown_check_is_refused(world: World) -> None:
    with pytest.raises(ClientError) as caught:
        world.route53.delete_health_check(HealthCheckId="nobody")
    assert code(caught) == "NoSuchHealthCheck"


def test_the_status_is_what_the_checkers_saw(world: World) -> None:
    check = world.check()
    assert world.route53.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"] == []
    world.observations.append(
        Observation("eu-west-1", "127.0.0.11", "Failure: HTTP Status Code: 503.", 1_800_000_000.0)
    )
    (seen,) = world.route53.get_health_check_status(HealthCheckId=check)["HealthCheckObservations"]
    assert (seen["Region"], seen["IPAddress"]) == ("eu-west-1", "127.0.0.11")
    assert seen["StatusReport"]["Status"] == "Failure: HTTP Status Code: 503."
    assert seen["StatusReport"]["CheckedTime"].timestamp() == 1_800_000_000.0
    with pytest.raises(ClientError) as caught:
        world.route53.get_health_check_status(HealthCheckId="nobody")
    assert code(caught) == "NoSuchHealthCheck"


def test_a_record_is_created_once(world: World) -> None:
    world.change(("CREATE", record()))
    with pytest.raises(ClientError, match=r"iris.models.mldr.test.*already exists") as caught:
        world.change(("CREATE", record("IRIS.models.mldr.test.", "192.0.2.2")))
    assert code(caught) == "InvalidChangeBatch"
    world.change(("UPSERT", record(value="192.0.2.2")))
    world.change(("CREATE", record("*.models.mldr.test")))
    assert world.records() == [("\\052.models.mldr.test.", "A", None), ("iris.models.mldr.test.", "A", None)]


def test_a_batch_is_applied_whole_or_not_at_all_and_names_every_fault(world: World) -> None:
    world.change(("CREATE", record()))
    with pytest.raises(ClientError) as caught:
        world.change(
            ("CREATE", record("new.models.mldr.test")),
            ("CREATE", record()),
            ("CREATE", record("iris.elsewhere.test")),
            ("CREATE", record("bad.models.mldr.test", "no address")),
            ("DELETE", record("gone.models.mldr.test")),
        )
    text = str(caught.value)
    assert all(part in text for part in ("already exists", "not permitted in zone", "no address", "was not found"))
    assert world.records() == [("iris.models.mldr.test.", "A", None)]


def test_an_unknown_health_check_is_refused(world: World) -> None:
    with pytest.raises(ClientError) as caught:
        world.change(("CREATE", record(HealthCheckId="nobody", SetIdentifier="p", Failover="PRIMARY")))
    assert code(caught) == "NoSuchHealthCheck"
    assert world.records() == []


def test_deleting_one_set_identifier_leaves_other_names_alone(world: World) -> None:
    pair = {"SetIdentifier": "primary", "Failover": "PRIMARY"}
    world.change(("CREATE", record(**pair)), ("CREATE", record("fraud.models.mldr.test", **pair)))
    world.change(("DELETE", record(**pair)))
    assert world.records() == [("fraud.models.mldr.test.", "A", "primary")]
    with pytest.raises(ClientError, match="values provided do not match"):
        world.change(("DELETE", record("fraud.models.mldr.test", "192.0.2.9", **pair)))


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (record(), record(SetIdentifier="p", Failover="PRIMARY"), "mixes routing policies"),
        (
            record(SetIdentifier="a", Failover="PRIMARY"),
            record(SetIdentifier="b", Failover="PRIMARY"),
            "two records of the same failover role",
        ),
        (record(), record(Type="CNAME", ResourceRecords=[{"Value": "x.test"}]), "conflicts with other records"),
        (
            record(SetIdentifier="a", Failover="PRIMARY"),
            record(SetIdentifier="b", Weight=50),
            "mixes routing policies",
        ),
        (record(SetIdentifier="a", Weight=50), record(SetIdentifier="b", Region="eu-west-1"), "mixes routing policies"),
        (
            record(SetIdentifier="a", Region="eu-west-1"),
            record(SetIdentifier="b", Region="eu-west-1"),
            "two latency records of the same region",
        ),
    ],
)
def test_records_that_exclude_each_other_are_refused(
    world: World, first: dict[str, Any], second: dict[str, Any], text: str
) -> None:
    world.change(("CREATE", first))
    with pytest.raises(ClientError, match=text):
        world.change(("CREATE", second))


PAIR = [record(SetIdentifier=name.lower(), Failover=name) for name in ("PRIMARY", "SECONDARY")]
SHARED = [record(SetIdentifier=f"weight-{name}", Weight=50) for name in ("a", "b")]


def test_a_name_changes_its_policy_in_one_batch_and_in_no_other_way(world: World) -> None:
    def held() -> list[str | None]:
        return [identifier for _, _, identifier in world.records()]

    world.change(*(("CREATE", one) for one in PAIR))
    for halves in ([("UPSERT", one) for one in SHARED], [("DELETE", PAIR[0]), ("UPSERT", SHARED[0])]):
        with pytest.raises(ClientError, match="mixes routing policies"):
            world.change(*halves)
        assert held() == ["primary", "secondary"]
    world.change(*(("DELETE", one) for one in PAIR), *(("UPSERT", one) for one in SHARED))
    assert held() == ["weight-a", "weight-b"]
    world.change(*(("DELETE", one) for one in SHARED), *(("UPSERT", one) for one in PAIR))
    assert held() == ["primary", "secondary"]


@pytest.mark.parametrize("other", [{"Weight": 51}, {"TTL": 6}, {"HealthCheckId": "nobody"}])
def test_a_deletion_repeats_every_value_of_a_record(world: World, other: dict[str, Any]) -> None:
    world.change(("CREATE", SHARED[0]))
    with pytest.raises(ClientError, match="values provided do not match"):
        world.change(("DELETE", SHARED[0] | other))
    world.change(("DELETE", SHARED[0]))
    assert world.records() == []


def test_a_record_is_deleted_once_in_a_batch(world: World) -> None:
    world.change(("CREATE", record()))
    with pytest.raises(ClientError, match="more than once"):
        world.change(("DELETE", record()), ("UPSERT", record()), ("DELETE", record()))


@pytest.mark.parametrize(
    ("described", "text"),
    [
        (record(GeoLocation={"CountryCode": "SG"}, SetIdentifier="g"), "GeoLocation"),
        (record(Failover="PRIMARY"), "SetIdentifier"),
        (record(SetIdentifier="p"), "SetIdentifier"),
        (record(SetIdentifier="p" * 129, Weight=1), "128 characters"),
        (record(SetIdentifier="p", Weight=256), "from 0 to 255"),
        (
            record(SetIdentifier="p", Weight=1, ResourceRecords=[{"Value": "192.0.2.1"}, {"Value": "192.0.2.2"}]),
            "has one value",
        ),
        ({"Name": "iris.models.mldr.test", "Type": "A", "TTL": 5}, "Expected exactly one of"),
    ],
)
def test_records_that_could_not_be_answered_are_refused(world: World, described: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError, match=text) as caught:
        world.change(("CREATE", described))
    assert code(caught) == "InvalidInput"


def test_zones_are_listed_by_reversed_name_from_the_given_one_on(world: World) -> None:
    for name in ("b.test", "a.b.test", "alpha.example"):
        world.route53.create_hosted_zone(Name=name, CallerReference=name)

    def names(**options: Any) -> list[str]:
        return [zone["Name"] for zone in world.route53.list_hosted_zones_by_name(**options)["HostedZones"]]

    assert names() == ["alpha.example.", "b.test.", "a.b.test.", "models.mldr.test."]
    assert names(DNSName="a.b.test") == ["a.b.test.", "models.mldr.test."]
    assert names(DNSName="aa.b.test") == ["models.mldr.test."]
    page = world.route53.list_hosted_zones_by_name(MaxItems="1", DNSName="b.test")
    assert (page["IsTruncated"], page["NextDNSName"], len(page["HostedZones"])) == (True, "a.b.test.", 1)


def test_a_zone_is_not_made_twice_by_one_reference(world: World) -> None:
    with pytest.raises(ClientError) as caught:
        world.route53.create_hosted_zone(Name="models.mldr.test", CallerReference="zone")
    assert code(caught) == "HostedZoneAlreadyExists"


def test_stopping_puts_motos_own_behaviour_back(world: World) -> None:
    world.repairs.stop()
    world.check()
    world.check(ResourcePath="/other")
    assert len(world.route53.list_health_checks()["HealthChecks"]) == 2
