"""The graph of a model, with either switch: what DNS answers for every state of its leaves."""

from itertools import product

import pytest

from mldr.domain.arc import ClusterEndpoint, read_controls, read_endpoints, rotated, states_for
from mldr.domain.identity import ModelKey
from mldr.domain.routing import CheckTimes, Front, Spread, SwitchKind, plan_route
from mldr.domain.switches import of_home, of_standby, total
from mldr.errors import RoutingRefused

CHURN = ModelKey(registry="sagemaker", name="churn")
HOME, AWAY = "ap-southeast-1", "ap-southeast-3"
FRONTS = {name: Front(region=name, host=f"h.{name}.example", target=f"t.{name}.example") for name in (HOME, AWAY)}
ARN = "arn:aws:route53-recovery-control::123456789012:controlpanel/p/routingcontrol/{}"


SPREADS = {"alone": None, "weight": Spread(by="weight", weight=30), "latency": Spread(by="latency")}


def route(kind, spread=None):
    return plan_route(
        CHURN, "models.example", active=FRONTS[HOME], standby=FRONTS[AWAY],
        times=CheckTimes(interval=10, threshold=3, ttl=30), kind=SwitchKind(kind), spread=spread,
    )  # fmt: skip


def switched(*, off):
    """What the checks of the switch's path believe when all of them agree."""
    return {"flipped": off, "kept": off}


def judged(graph, leaves):
    """What Route 53 believes of every check when the leaves are healthy or not."""
    verdicts = {
        check.role: (sum(leaves[child] for child in check.children) >= check.threshold) is not check.inverted
        for check in graph.calculated_checks
    }
    return leaves | verdicts


def beside(well):
    """What the checks of the standby's own health believe."""
    return {"absent": not well, "absent-too": not well}


def answered(graph, leaves):
    """The regions that a shared name may be answered with: all of them when none is healthy."""
    found = judged(graph, leaves)
    return {record.region for record in graph.records if found[record.check]} or {HOME, AWAY}


def answers(graph, leaves):
    """The region that Route 53 answers when the leaves are healthy or not."""
    found = judged(graph, leaves)
    primary, secondary = (found[record.check] for record in graph.records)
    return AWAY if secondary and not primary else HOME


@pytest.mark.parametrize(("endpoint", "off"), [*product((True, False), repeat=2)])
def test_dns_follows_the_switch_alone(endpoint, off):
    assert answers(route("https"), {"endpoint": endpoint, **switched(off=off)}) == (HOME if off else AWAY)


@pytest.mark.parametrize(("endpoint", "flipped", "kept"), [*product((True, False), repeat=3)])
def test_the_switch_is_on_as_soon_as_one_of_its_checks_says_so_and_off_only_when_both_do(endpoint, flipped, kept):
    leaves = {"endpoint": endpoint, "flipped": flipped, "kept": kept}
    assert answers(route("https"), leaves) == (HOME if flipped and kept else AWAY)


def test_one_look_turns_the_switch_on_and_as_many_as_elsewhere_turn_it_off():
    found = {check.role: check for check in route("https").endpoint_checks}
    assert {role: check.threshold for role, check in found.items()} == {"endpoint": None, "flipped": 1, "kept": None}
    assert found["flipped"].path == found["kept"].path == "/models/churn/takeover"
    assert found["flipped"].inverted
    assert found["kept"].inverted


@pytest.mark.parametrize(("endpoint", "taken", "returned"), [*product((True, False), repeat=3)])
def test_with_metrics_it_does_too_and_a_home_that_took_back_wins(endpoint, taken, returned):
    """Healthy means: the standby has not taken over; the home has taken back."""
    leaves = {"endpoint": endpoint, "taken": taken, "returned": returned}
    assert answers(route("metric"), leaves) == (AWAY if not taken and not returned else HOME)


@pytest.mark.parametrize("by", ["weight", "latency"])
@pytest.mark.parametrize(("endpoint", "off", "peer"), [*product((True, False), repeat=3)])
def test_a_shared_name_is_answered_by_whoever_is_well_and_by_the_standby_alone_once_it_took_over(
    by, endpoint, off, peer
):
    graph = route("https", SPREADS[by])
    well = {region for region, up in ((HOME, endpoint), (AWAY, peer)) if up}
    wanted = (well or {HOME, AWAY}) if off else {AWAY}
    assert answered(graph, {"endpoint": endpoint, **switched(off=off), **beside(peer)}) == wanted


@pytest.mark.parametrize(("endpoint", "taken", "returned", "peer"), [*product((True, False), repeat=4)])
def test_with_metrics_a_shared_name_is_answered_alike(endpoint, taken, returned, peer):
    """A home that is not well does not say that it has taken back (`of_home`)."""
    returned = returned and endpoint
    leaves = {"endpoint": endpoint, "taken": taken, "returned": returned, **beside(peer)}
    off = taken or returned
    wanted = answered(route("https", SPREADS["weight"]), {"endpoint": endpoint, **switched(off=off), **beside(peer)})
    assert answered(route("metric", SPREADS["weight"]), leaves) == wanted


def test_losing_one_of_two_regions_that_answer_moves_no_switch():
    graph = route("https", SPREADS["weight"])
    assert answered(graph, {"endpoint": True, **switched(off=True), **beside(True)}) == {HOME, AWAY}
    assert answered(graph, {"endpoint": False, **switched(off=True), **beside(True)}) == {AWAY}
    assert answered(graph, {"endpoint": True, **switched(off=True), **beside(False)}) == {HOME}


@pytest.mark.parametrize(("kind", "spread"), [*product(SwitchKind, SPREADS)])
def test_a_calculated_check_watches_no_other_one_and_each_child_once(kind, spread):
    """Route 53 allows neither a verdict of verdicts nor weights."""
    graph = route(kind, SPREADS[spread])
    leaves = {check.role for check in (*graph.endpoint_checks, *graph.metric_checks)}
    for check in graph.calculated_checks:
        assert set(check.children) <= leaves
        assert len(set(check.children)) == len(check.children)
    made = leaves | {check.role for check in graph.calculated_checks}
    assert {record.check for record in (*graph.canaries, *graph.records)} <= made | {None}


def test_both_kinds_have_the_same_names_and_records():
    paths, metrics = route("https"), route("metric")
    assert (paths.records, paths.canaries) == (metrics.records, metrics.canaries)
    assert (paths.metric_checks, metrics.endpoint_checks) == ((), ())
    assert (paths.kind, metrics.kind) == (SwitchKind.HTTPS, SwitchKind.METRIC)


def test_a_shared_name_has_a_canary_of_its_standby_and_another_one_has_not():
    assert route("https").beside_name is None
    for kind, by in product(SwitchKind, ("weight", "latency")):
        graph = route(kind, SPREADS[by])
        assert graph.beside_name == "_beside.churn.models.example"
        assert [(one.value, one.check) for one in graph.canaries if one.name == graph.beside_name] == [
            ("unhealthy", "absent"), ("healthy", None),
        ]  # fmt: skip


def test_what_is_checked_of_the_standby_is_its_own_health_where_its_data_is():
    [path] = [one for one in route("https", SPREADS["latency"]).endpoint_checks if one.role == "absent"]
    assert (path.host, path.path, path.inverted) == (FRONTS[AWAY].host, "/models/churn/health", True)
    first, second = (one for one in route("metric", SPREADS["latency"]).metric_checks if one.role.startswith("absent"))
    assert (first.region, first.metric, first.breach, first.unknown) == (AWAY, "DeepHealth", "reached", "Healthy")
    assert second == first.model_copy(update={"role": "absent-too"})


def test_a_weight_is_the_percent_of_answers_that_name_the_standby():
    assert {one.region: one.weight for one in route("https", SPREADS["weight"]).records} == {HOME: 70, AWAY: 30}
    assert {one.region: one.weight for one in route("https", SPREADS["latency"]).records} == {HOME: None, AWAY: None}


def test_a_record_of_another_policy_is_another_record():
    """Route 53 takes a record of the same identifier for the same one."""
    every = [record.identifier for spread in SPREADS.values() for record in route("https", spread).records]
    assert len(set(every)) == 6


def test_sharing_a_name_leaves_every_other_check_as_it_is():
    for kind, by in product(SwitchKind, ("weight", "latency")):
        alone, shared = route(kind), route(kind, SPREADS[by])
        for checks in ("endpoint_checks", "metric_checks", "calculated_checks"):
            assert set(getattr(alone, checks)) <= set(getattr(shared, checks))
        assert set(alone.canaries) <= set(shared.canaries)


LATER = {"__all__": {"region", "weight"}}


def test_a_graph_that_was_stored_by_an_older_release_can_still_be_read_and_is_not_what_is_asked_for_now():
    """So the next protection replaces it: the switch had one check then."""
    later = {"metric_checks": True, "spread": True, "beside_name": True, "records": LATER, "canaries": LATER}
    later |= {"calculated_checks": {"__all__": {"needed"}}, "endpoint_checks": {"__all__": {"threshold"}}}
    read = type(route("https")).model_validate(route("https").model_dump(exclude=later))
    assert {check.role: check.threshold for check in read.endpoint_checks}["flipped"] is None
    assert (read.records, read.canaries) == (route("https").records, route("https").canaries)
    assert read != route("https")


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
