"""Every RoutingControls keeps the same promises: the fake, and ARC's data plane over HTTP with five endpoints."""

import time

import botocore.session
import pytest
from botocore.credentials import Credentials

from mldr.aws.arc import ArcRoutingControls
from mldr.domain.identity import ModelKey
from mldr.errors import RegionUnreachable, RoutingRefused
from mldr.sdk import ONE_OF_FIVE
from tests.arc_cluster import REGIONS, Cluster
from tests.contract.conftest import ACTIVE, STANDBY
from tests.fakes.switches import FakeRoutingControls

CHURN, PLAIN = (ModelKey(registry="sagemaker", name=name) for name in ("churn", "plain"))
PANEL = "arn:aws:route53-recovery-control::123456789012:controlpanel/p"
HOME, AWAY = f"{PANEL}/routingcontrol/home", f"{PANEL}/routingcontrol/away"
CONTROLS = f"churn@{ACTIVE}={HOME}, sagemaker/churn@{STANDBY}={AWAY}"


def over(cluster, controls=CONTROLS, endpoints=None):
    session = botocore.session.get_session()
    session._credentials = Credentials("testing", "testing")

    def client(endpoint):
        return session.create_client(
            "route53-recovery-cluster", region_name=endpoint.region, endpoint_url=endpoint.url, config=ONE_OF_FIVE
        )

    return ArcRoutingControls(
        client, controls=controls, endpoints=cluster.parameter if endpoints is None else endpoints
    )


@pytest.fixture
def cluster():
    made = Cluster(HOME, AWAY)
    yield made
    made.close()


@pytest.fixture(params=["memory", "http"])
def place(request, cluster):
    """Makes routing controls of a parameter, and says how their states are read."""
    if request.param == "http":
        return lambda controls=CONTROLS: (over(cluster, controls), lambda: cluster.states)
    fakes = {}

    def made(controls=CONTROLS):
        fake = fakes.setdefault(controls, FakeRoutingControls(controls))
        return fake, lambda: fake.states

    return made


def test_a_region_is_pointed_to_and_the_other_is_not(place):
    routing, states = place()
    assert routing.point(CHURN, STANDBY)
    assert states() == {HOME: False, AWAY: True}
    assert routing.point(CHURN, STANDBY)
    assert states() == {HOME: False, AWAY: True}


def test_the_way_back_is_the_same_way(place):
    routing, states = place()
    routing.point(CHURN, STANDBY)
    routing.point(CHURN, ACTIVE)
    assert states() == {HOME: True, AWAY: False}


@pytest.mark.parametrize("controls", ["", CONTROLS])
def test_a_model_without_controls_is_left_alone(place, controls):
    routing, states = place(controls)
    assert not routing.point(PLAIN, STANDBY)
    assert not any(states().values())


def test_nothing_is_turned_off_where_there_is_nothing_to_turn_on(place):
    routing, states = place(f"churn@{ACTIVE}={HOME}")
    with pytest.raises(RoutingRefused, match=f"none in {STANDBY}"):
        routing.point(CHURN, STANDBY)
    assert not any(states().values())


@pytest.mark.parametrize("controls", ["churn", f"churn={HOME}", f"churn@{ACTIVE}=arn:aws:x", f"ch urn@{ACTIVE}={HOME}"])
def test_a_mistake_in_the_parameter_is_named(place, controls):
    routing, _ = place(controls)
    with pytest.raises(RoutingRefused, match="ArcRoutingControls"):
        routing.point(CHURN, ACTIVE)


# the data plane


def test_both_controls_change_in_one_call_and_no_safety_rule_is_overridden(cluster):
    over(cluster).point(CHURN, STANDBY)
    assert cluster.calls == [
        {
            "UpdateRoutingControlStateEntries": [
                {"RoutingControlArn": HOME, "RoutingControlState": "Off"},
                {"RoutingControlArn": AWAY, "RoutingControlState": "On"},
            ]
        }
    ]


def test_the_endpoints_take_turns(cluster):
    routing = over(cluster)
    for _ in REGIONS:
        routing.point(CHURN, STANDBY)
    assert cluster.asked == list(REGIONS)


@pytest.mark.parametrize(
    "trouble", ["closed", "EndpointTemporarilyUnavailableException", "hangs", "ThrottlingException"]
)
def test_two_endpoints_of_five_may_be_down(cluster, trouble):
    for endpoint in cluster.endpoints[:2]:
        endpoint.trouble = trouble
        if trouble == "closed":
            endpoint.close()
    began = time.monotonic()
    assert over(cluster).point(CHURN, STANDBY)
    assert cluster.states == {HOME: False, AWAY: True}
    assert time.monotonic() - began < 8


def test_when_none_answers_it_says_so_and_what_each_one_said(cluster):
    for endpoint in cluster.endpoints:
        endpoint.close()
    with pytest.raises(RegionUnreachable, match="any of 5 endpoints") as caught:
        over(cluster).point(CHURN, STANDBY)
    assert all(region in str(caught.value) for region in REGIONS)


def test_without_endpoints_it_says_so(cluster):
    with pytest.raises(RegionUnreachable, match="any of 0 endpoints"):
        over(cluster, endpoints="").point(CHURN, STANDBY)


def test_a_safety_rule_that_refuses_is_told_and_nothing_changes(cluster):
    cluster.states = {HOME: True, AWAY: False}
    cluster.forbidden = True
    with pytest.raises(RegionUnreachable, match="ConflictException"):
        over(cluster).point(CHURN, STANDBY)
    assert cluster.states == {HOME: True, AWAY: False}


def test_an_unknown_control_is_refused_by_the_first_endpoint_and_nothing_changes(cluster):
    with pytest.raises(RoutingRefused, match="ResourceNotFound"):
        over(cluster, f"{CONTROLS},churn@eu-west-1={PANEL}/routingcontrol/gone").point(CHURN, STANDBY)
    assert (cluster.states, len(cluster.asked)) == ({HOME: False, AWAY: False}, 1)


def test_a_mistake_in_the_endpoints_is_named(cluster):
    with pytest.raises(RoutingRefused, match="ArcEndpoints"):
        over(cluster, endpoints="us-east-1").point(CHURN, STANDBY)
