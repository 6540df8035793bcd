"""The graph of a model, with either switch: what DNS answers for every state of its leaves."""

from itertools import product

import pytest

from mldr.domain.arc import ClusterEndpoint, read_controls, read_endpoints, rotated, states_for
from mldr.domain.identity import ModelKey
from mldr.domain.routing import CheckTimes, Front, SwitchKind, plan_route
from mldr.domain.switches import of_home, of_standby, total
from mldr.errors import RoutingRefused

CHURN = ModelKey(registry="sagemaker", name="churn")
HOME, AWAY = "ap-southeast-1", "ap-southeast-3"
FRONTS = {name: Front(region=name, host=f"h.{name}.example", target=f"t.{name}.example") for name in (HOME, AWAY)}
ARN = "arn:aws:route53-recovery-control::123456789012:controlpanel/p/routingcontrol/{}"


def route(kind):
    return plan_route(
        CHURN, "models.example", active=FRONTS[HOME], standby=FRONTS[AWAY],
        times=CheckTimes(interval=10, threshold=3, ttl=30), kind=SwitchKind(kind),
    )  # fmt: skip


def answers(graph, leaves):
    """The region that Route 53 answers when the leaves are healthy or not."""
    found = dict(leaves)
    for check in graph.calculated_checks:
        healthy = sum(found[child] for child in check.children) >= check.threshold
        found[check.role] = healthy is not check.inverted
    primary, secondary = (found[record.check] for record in graph.records)
    return AWAY if secondary and not primary else HOME


@pytest.mark.parametrize(("endpoint", "off"), [*product((True, False), repeat=2)])
def test_dns_follows_the_switch_alone(endpoint, off):
    assert answers(route("https"), {"endpoint": endpoint, "takeover": off}) == (HOME if off else AWAY)


@pytest.mark.parametrize(("endpoint", "taken", "returned"), [*product((True, False), repeat=3)])
def test_with_metrics_it_does_too_and_a_home_that_took_back_wins(endpoint, taken, returned):
    """Healthy means: the standby has not taken over; the home has taken back."""
    leaves = {"endpoint": endpoint, "taken": taken, "returned": returned}
    assert answers(route("metric"), leaves) == (AWAY if not taken and not returned else HOME)


def test_checks_are_in_an_order_in_which_they_can_be_made():
    for kind in SwitchKind:
        graph = route(kind)
        made = {check.role for check in (*graph.endpoint_checks, *graph.metric_checks)}
        for check in graph.calculated_checks:
            assert set(check.children) <= made
            made.add(check.role)
        assert {record.check for record in (*graph.canaries, *graph.records)} <= made | {None}


def test_both_kinds_have_the_same_names_and_records():
    paths, metrics = route("https"), route("metric")
    assert (paths.records, paths.canaries) == (metrics.records, metrics.canaries)
    assert (paths.metric_checks, metrics.endpoint_checks) == ((), ())
    assert (paths.kind, metrics.kind) == (SwitchKind.HTTPS, SwitchKind.METRIC)


def test_a_graph_that_was_stored_before_there_were_metrics_is_still_the_same():
    stored = route("https").model_dump(exclude={"metric_checks": True, "calculated_checks": {"__all__": {"needed"}}})
    assert type(route("https")).model_validate(stored) == route("https")


def figures(found):
    return [(one.name, one.value) for one in found]


@pytest.mark.parametrize(
    ("status", "shown"), [(200, [("TakeoverSwitch", 1.0)]), (404, [("TakeoverSwitch", 0.0)]), (503, [])]
)
def test_a_standby_shows_what_its_gateway_would_answer_and_nothing_when_that_cannot_be_told(status, shown):
    assert figures(of_standby(CHURN, status)) == shown


@pytest.mark.parametrize(
    ("takeover", "health", "back", "well"),
    [(404, 200, 0.0, 1.0), (200, 200, 1.0, 1.0), (200, 503, 0.0, 0.0), (404, 424, 0.0, 0.0), (503, 200, 0.0, 1.0)],
)
def test_a_home_holds_its_clients_only_while_it_is_well(takeover, health, back, well):
    assert figures(of_home(CHURN, takeover, health)) == [("DeepHealth", well), ("TakenBack", back)]


def test_a_round_without_a_model_is_not_silent():
    assert figures([total(0)]) == [("SwitchesShown", 0.0)]


def test_one_control_is_on_and_every_other_off():
    controls = read_controls(f"churn@{HOME}={ARN.format('a')}, churn@{AWAY}={ARN.format('b')}")
    states = states_for(CHURN, AWAY, controls)
    assert {state.arn: state.on for state in states} == {ARN.format("a"): False, ARN.format("b"): True}


def test_a_region_without_a_control_is_refused_rather_than_all_turned_off():
    with pytest.raises(RoutingRefused, match=f"none in {AWAY}"):
        states_for(CHURN, AWAY, read_controls(f"churn@{HOME}={ARN.format('a')}"))


def test_endpoints_take_turns_and_none_is_left_out():
    five = read_endpoints(",".join(f"r-{n}=https://{n}.example/v1" for n in range(5)))
    assert five[0] == ClusterEndpoint(region="r-0", url="https://0.example/v1")
    assert [rotated(five, start)[0].region for start in range(6)] == ["r-0", "r-1", "r-2", "r-3", "r-4", "r-0"]
    assert all(set(rotated(five, start)) == set(five) for start in range(5))
    assert rotated((), 3) == ()
