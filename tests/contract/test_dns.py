"""Every Dns and every Fronts keep the same promises, on memory and on Route 53 and SSM."""

import json
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

from mldr.aws.dns import Route53Dns
from mldr.aws.fronts import ParameterFronts
from mldr.domain.identity import ModelKey
from mldr.domain.routing import CheckTimes, Front, Spread, SwitchKind, plan_route
from mldr.errors import ChecksRefused, RecordsChanged, ZoneMissing
from tests.contract.conftest import ACTIVE, STANDBY
from tests.fakes.dns import FakeDns
from tests.fakes.fronts import FakeFronts

CHURN = ModelKey(registry="sagemaker", name="Churn")
TIMES = CheckTimes(interval=10, threshold=3, ttl=30)
FRONTS = [Front(region=name, host=f"h.{name}.example", target=f"t.{name}.example") for name in (ACTIVE, STANDBY)]
ROUTE = plan_route(CHURN, "models.example", active=FRONTS[0], standby=FRONTS[1], times=TIMES)
SHARED = {
    str(spread): plan_route(CHURN, "models.example", active=FRONTS[0], standby=FRONTS[1], times=TIMES, spread=spread)
    for spread in (Spread(by="weight", weight=30), Spread(by="weight", weight=70), Spread(by="latency"))
}
EVERY = {"alone": ROUTE} | SHARED


class OnRoute53:
    def __init__(self, moto, *, zone=True, owner="mldr-test-ap-southeast-3"):
        self.route53 = moto.client("route53", "us-east-1")
        self.zone = ""
        if zone:
            made = self.route53.create_hosted_zone(Name="models.example", CallerReference="zone")
            self.zone = made["HostedZone"]["Id"]
        self.dns = Route53Dns(
            self.route53,
            lambda region: moto.client("cloudwatch", region),
            zone="models.example",
            transport="https:443",
            owner=owner,
            environment="test",
        )

    def check_count(self):
        return len(self.route53.list_health_checks()["HealthChecks"])

    def records(self):
        found = self.route53.list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]
        return {
            (one["Name"].rstrip("."), one["SetIdentifier"]): (
                one["ResourceRecords"][0]["Value"].strip('"'), one["TTL"], one.get("HealthCheckId"),
            )
            for one in found
            if "SetIdentifier" in one
        }  # fmt: skip


class InMemory:
    def __init__(self):
        self.dns = FakeDns()

    def check_count(self):
        return len(self.dns.checks)

    def records(self):
        return {place: (record.value, ttl, check) for place, (record, ttl, check) in self.dns.records.items()}


@pytest.fixture(params=["memory", "moto"])
def place(request):
    return InMemory() if request.param == "memory" else OnRoute53(request.getfixturevalue("moto"))


def test_every_check_is_made_once(place):
    ids = place.dns.ensure_checks(CHURN, ROUTE)
    assert set(ids) == {"endpoint", "flipped", "kept", "takeover", "primary", "secondary"}
    assert len(set(ids.values())) == 6
    assert place.dns.ensure_checks(CHURN, ROUTE) == ids
    assert place.check_count() == 6


def test_another_model_has_checks_of_its_own(place):
    other = ModelKey(registry="sagemaker", name="fraud")
    first = place.dns.ensure_checks(CHURN, ROUTE)
    second = place.dns.ensure_checks(
        other, plan_route(other, "models.example", active=FRONTS[0], standby=FRONTS[1], times=TIMES)
    )
    assert set(first.values()).isdisjoint(second.values())


def test_a_route_of_metrics_has_checks_of_its_own_each_made_once(place):
    route = plan_route(
        CHURN, "models.example", active=FRONTS[0], standby=FRONTS[1], times=TIMES, kind=SwitchKind.METRIC
    )
    ids = place.dns.ensure_checks(CHURN, route)
    assert set(ids) == {"endpoint", "taken", "returned", "takeover", "primary", "secondary"}
    assert place.dns.ensure_checks(CHURN, route) == ids
    assert place.check_count() == 6
    assert set(ids.values()).isdisjoint(place.dns.ensure_checks(CHURN, ROUTE).values())


def test_other_times_make_other_endpoint_checks(place):
    first = place.dns.ensure_checks(CHURN, ROUTE)
    slower = ROUTE.model_copy(update={"times": CheckTimes(interval=30, threshold=3, ttl=30)})
    assert place.dns.ensure_checks(CHURN, slower)["endpoint"] != first["endpoint"]


def test_records_are_written_with_their_checks(place):
    ids = place.dns.ensure_checks(CHURN, ROUTE)
    place.dns.ensure_records(ROUTE.canaries, 30, ids)
    place.dns.ensure_records(ROUTE.records, 30, ids)
    place.dns.ensure_records(ROUTE.records, 30, ids)
    assert place.records() == {
        ("churn.models.example", "primary"): (f"t.{ACTIVE}.example", 30, ids["primary"]),
        ("churn.models.example", "secondary"): (f"t.{STANDBY}.example", 30, ids["secondary"]),
        ("_health.churn.models.example", "primary"): ("healthy", 30, ids["endpoint"]),
        ("_health.churn.models.example", "secondary"): ("unhealthy", 30, None),
        ("_switch.churn.models.example", "primary"): ("off", 30, ids["takeover"]),
        ("_switch.churn.models.example", "secondary"): ("on", 30, None),
    }


def test_records_are_corrected(place):
    ids = place.dns.ensure_checks(CHURN, ROUTE)
    place.dns.ensure_records(ROUTE.records, 30, ids)
    place.dns.ensure_records(ROUTE.records, 5, ids)
    assert {ttl for _, ttl, _ in place.records().values()} == {5}


@pytest.mark.parametrize("before", EVERY)
@pytest.mark.parametrize("after", EVERY)
def test_a_name_holds_what_its_newest_route_says_and_nothing_of_the_one_before(place, before, after):
    for route in (EVERY[before], EVERY[after], EVERY[after]):
        ids = place.dns.ensure_checks(CHURN, route)
        place.dns.ensure_records(route.canaries, 30, ids)
        place.dns.ensure_records(route.records, 30, ids, gone=[] if route.spread else [f"_beside.{ROUTE.name}"])
    route = EVERY[after]
    assert place.records() == {
        (one.name, one.identifier): (one.value, 30, ids[one.check] if one.check else None)
        for one in (*route.canaries, *route.records)
    }


def test_the_checks_that_were_there_stay_when_the_name_is_shared(place):
    """A new one would begin without knowing anything."""
    before = place.dns.ensure_checks(CHURN, ROUTE)
    for route in SHARED.values():
        assert before.items() <= place.dns.ensure_checks(CHURN, route).items()


def test_the_names_of_other_models_are_left_alone(place):
    other = ModelKey(registry="sagemaker", name="churn-2")
    theirs = plan_route(other, "models.example", active=FRONTS[0], standby=FRONTS[1], times=TIMES)
    place.dns.ensure_records(theirs.records, 30, place.dns.ensure_checks(other, theirs))
    before = place.records()
    for route in EVERY.values():
        ids = place.dns.ensure_checks(CHURN, route)
        place.dns.ensure_records(route.records, 30, ids)
        assert before.items() <= place.records().items()


def test_a_missing_zone_is_named(moto):
    place = OnRoute53(moto, zone=False)
    ids = place.dns.ensure_checks(CHURN, ROUTE)
    with pytest.raises(ZoneMissing, match=r"no hosted zone models.example"):
        place.dns.ensure_records(ROUTE.records, 30, ids)


def test_a_zone_that_only_sorts_next_is_not_ours(moto):
    moto.client("route53", "us-east-1").create_hosted_zone(Name="models.example2", CallerReference="other")
    place = OnRoute53(moto, zone=False)
    with pytest.raises(ZoneMissing):
        place.dns.ensure_records(ROUTE.records, 30, place.dns.ensure_checks(CHURN, ROUTE))


def test_the_checks_are_what_the_route_says(moto):
    place = OnRoute53(moto)
    ids = place.dns.ensure_checks(CHURN, ROUTE)

    def config(role):
        return place.route53.get_health_check(HealthCheckId=ids[role])["HealthCheck"]["HealthCheckConfig"]

    endpoint, flipped, kept = config("endpoint"), config("flipped"), config("kept")
    assert (endpoint["Type"], endpoint["FullyQualifiedDomainName"], endpoint["Port"]) == (
        "HTTPS",
        f"h.{ACTIVE}.example",
        443,
    )
    assert (endpoint["ResourcePath"], endpoint["RequestInterval"], endpoint["FailureThreshold"]) == (
        "/models/Churn/health", 10, 3,
    )  # fmt: skip
    assert not endpoint["Inverted"]
    for check, looks in ((flipped, 1), (kept, 3)):
        assert (check["FullyQualifiedDomainName"], check["ResourcePath"], check["Inverted"]) == (
            f"h.{STANDBY}.example", "/models/Churn/takeover", True,
        )  # fmt: skip
        assert (check["RequestInterval"], check["FailureThreshold"]) == (10, looks)
    takeover = config("takeover")
    assert (set(takeover["ChildHealthChecks"]), takeover["HealthThreshold"], takeover["Inverted"]) == (
        {ids["flipped"], ids["kept"]}, 2, False,
    )  # fmt: skip
    primary, secondary = config("primary"), config("secondary")
    assert (primary["Type"], set(primary["ChildHealthChecks"]), primary["HealthThreshold"], primary["Inverted"]) == (
        "CALCULATED", {ids["endpoint"], ids["flipped"], ids["kept"]}, 3, False,
    )  # fmt: skip
    assert (set(secondary["ChildHealthChecks"]), secondary["HealthThreshold"], secondary["Inverted"]) == (
        {ids["flipped"], ids["kept"]}, 2, True,
    )  # fmt: skip


def test_a_check_that_was_deleted_is_made_anew_though_route_53_remembers_it(moto):
    """As the tier of a model goes down, somebody tidies up, and it goes up again."""
    place = OnRoute53(moto)
    first = place.dns.ensure_checks(CHURN, ROUTE)
    place.route53.delete_health_check(HealthCheckId=first["endpoint"])
    second = place.dns.ensure_checks(CHURN, ROUTE)
    assert place.dns.ensure_checks(CHURN, ROUTE) == second
    assert {role for role in first if first[role] == second[role]} == {"flipped", "kept", "takeover", "secondary"}
    place.route53.delete_health_check(HealthCheckId=second["endpoint"])
    assert place.dns.ensure_checks(CHURN, ROUTE)["endpoint"] not in (first["endpoint"], second["endpoint"])


@pytest.mark.parametrize(("refusal", "advice"), [("TooManyHealthChecks", "ask for more"), ("InvalidInput", "settings")])
def test_a_check_that_route_53_refuses_is_named_with_what_to_do(moto, monkeypatch, refusal, advice):
    place = OnRoute53(moto)

    def refused(**_):
        raise ClientError({"Error": {"Code": refusal, "Message": "no"}}, "CreateHealthCheck")

    monkeypatch.setattr(place.route53, "create_health_check", refused)
    with pytest.raises(ChecksRefused, match=f"create the endpoint health check of sagemaker/Churn.*{advice}"):
        place.dns.ensure_checks(CHURN, ROUTE)


def test_the_longest_environment_and_region_have_caller_references_that_fit(moto):
    place = OnRoute53(moto, owner="mldr-environment1-ap-southeast-3")
    with told(place.route53, "CreateHealthCheck") as asked:
        place.dns.ensure_checks(CHURN, ROUTE)
    assert {len(one["CallerReference"]) for one in asked} == {59}


@contextmanager
def told(client, operation):
    """What a client is asked for one operation."""
    seen = []

    def note(params, **_):
        seen.append(params)

    client.meta.events.register(f"provide-client-params.route53.{operation}", note)
    try:
        yield seen
    finally:
        client.meta.events.unregister(f"provide-client-params.route53.{operation}", note)


def test_a_name_changes_its_policy_in_one_batch_that_deletes_first(moto):
    place = OnRoute53(moto)
    place.dns.ensure_records(ROUTE.records, 30, place.dns.ensure_checks(CHURN, ROUTE))
    for route in (*SHARED.values(), ROUTE):
        ids = place.dns.ensure_checks(CHURN, route)
        with told(place.route53, "ChangeResourceRecordSets") as asked:
            place.dns.ensure_records(route.records, 30, ids)
        [batch] = asked
        actions = [one["Action"] for one in batch["ChangeBatch"]["Changes"]]
        assert actions in (["DELETE", "DELETE", "UPSERT", "UPSERT"], ["UPSERT", "UPSERT"])


def test_route_53_refuses_the_second_policy_alone(moto):
    """So a change that is not one batch would end between two states."""
    place = OnRoute53(moto)
    place.dns.ensure_records(ROUTE.records, 30, place.dns.ensure_checks(CHURN, ROUTE))
    home = {"Name": ROUTE.name, "Type": "CNAME", "TTL": 30, "ResourceRecords": [{"Value": "t.example"}]}
    change = {"Action": "UPSERT", "ResourceRecordSet": {**home, "SetIdentifier": "weight-home", "Weight": 50}}
    with pytest.raises(ClientError, match="InvalidChangeBatch"):
        place.route53.change_resource_record_sets(HostedZoneId=place.zone, ChangeBatch={"Changes": [change]})


def test_records_say_weight_or_region_as_the_route_does(moto):
    place = OnRoute53(moto)
    found = {}
    for spread, route in SHARED.items():
        place.dns.ensure_records(route.records, 30, place.dns.ensure_checks(CHURN, route))
        listed = place.route53.list_resource_record_sets(HostedZoneId=place.zone)["ResourceRecordSets"]
        found[spread] = [
            (one["ResourceRecords"][0]["Value"], one.get("Weight"), one.get("Region"), one.get("Failover"))
            for one in listed
            if one["Type"] == "CNAME"
        ]
    home, standby = f"t.{ACTIVE}.example", f"t.{STANDBY}.example"
    assert list(found.values()) == [
        [(home, 70, None, None), (standby, 30, None, None)],
        [(home, 30, None, None), (standby, 70, None, None)],
        [(home, None, ACTIVE, None), (standby, None, STANDBY, None)],
    ]


def test_somebody_who_changes_the_name_at_the_same_moment_makes_it_read_again(moto, monkeypatch):
    place = OnRoute53(moto)
    place.dns.ensure_records(ROUTE.records, 30, place.dns.ensure_checks(CHURN, ROUTE))
    other, listed = OnRoute53(moto, zone=False), place.route53.list_resource_record_sets
    shared = next(iter(SHARED.values()))
    ids = place.dns.ensure_checks(CHURN, shared)

    def overtaken(**asked):
        found = listed(**asked)
        monkeypatch.undo()
        other.dns.ensure_records(shared.records, 30, ids)
        return found

    monkeypatch.setattr(place.route53, "list_resource_record_sets", overtaken)
    with pytest.raises(RecordsChanged, match="read again"):
        place.dns.ensure_records(shared.records, 30, ids)
    place.dns.ensure_records(shared.records, 30, ids)
    assert set(place.records()) == {(one.name, one.identifier) for one in shared.records}


def test_two_stacks_never_share_a_caller_reference(moto):
    """The peer onboards the same name the other way round; a shared reference would be refused by Route 53."""
    one, two = OnRoute53(moto), OnRoute53(moto, zone=False, owner="mldr-test-ap-southeast-1")
    assert set(one.dns.ensure_checks(CHURN, ROUTE).values()).isdisjoint(two.dns.ensure_checks(CHURN, ROUTE).values())


@pytest.fixture(params=["memory", "moto"])
def fronts(request):
    if request.param == "memory":
        made = FakeFronts()
        made.missing.add(STANDBY)
        return made
    moto = request.getfixturevalue("moto")
    value = {"host": f"gateway.{ACTIVE}.example", "target": f"target.{ACTIVE}.example"}
    moto.client("ssm", ACTIVE).put_parameter(Name="/mldr/test/gateway", Type="String", Value=json.dumps(value))
    return ParameterFronts(lambda region: moto.client("ssm", region), environment="test")


def test_a_regions_gateway_is_found(fronts):
    assert fronts.front(ACTIVE) == Front(
        region=ACTIVE, host=f"gateway.{ACTIVE}.example", target=f"target.{ACTIVE}.example"
    )


def test_a_region_without_a_stack_is_named(fronts):
    with pytest.raises(ZoneMissing, match=f"{STANDBY} has no parameter"):
        fronts.front(STANDBY)
