"""However often both regions lose and regain each other: neither is larger afterwards than it was before."""

import pytest

from mldr.domain.serving_share import without_share
from mldr.domain.serving_state import Live, Observed
from mldr.domain.warming import together
from tests.fakes.serving import Endpoint
from tests.functional.pair import Pair
from tests.functional.story import CHURN, deliver
from tests.functional.test_beside import look, row, rules
from tests.functional.test_both_regions import watch
from tests.functional.test_capture_serving import ours
from tests.functional.test_warming import captured
from tests.functional.test_way_home import answers, described, home_restores

HAS, MOST = 3, 5  # instances of each region, and how many autoscaling may make of them
OWN = "endpoint/churn/variant/main"


@pytest.fixture
def fixed(monkeypatch, context):
    """Both regions answer churn with three instances, and nothing scales by itself."""
    return sharing(Pair(monkeypatch, context), context, lambda _: None)


@pytest.fixture
def pair(monkeypatch, context):
    """Both regions answer churn with three instances; the home's autoscaling allows five, so the standby's ten."""
    both = sharing(Pair(monkeypatch, context), context, scaled)
    assert limits(both.standby, row(both).endpoint) == [2 * MOST] * 2
    return both


def sharing(pair, context, change):
    """A model that both regions answer, as the home was captured with a change."""
    rules(pair)
    pair.protected()
    pair.home.serving.endpoints["churn"] = Endpoint(counts={"main": HAS}, weights={"main": 1.0})
    captured(pair.standby, instances=HAS)
    change(pair)
    pair.listen()
    pair.standby.outside.texts["_beside"] = "healthy"
    look(pair, context)
    pair.listen()
    assert row(pair).counts == {"main": HAS}
    return pair


def scaled(pair):
    """The home's endpoint scales by itself, and by a schedule."""
    state = pair.standby.serving_captures.newest(CHURN)
    named = {"ResourceId": OWN, "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
    target = {**named, "MinCapacity": 1, "MaxCapacity": MOST}
    action = {**named, "ScheduledActionName": "day", "ScalableTargetAction": {"MinCapacity": 2, "MaxCapacity": MOST}}
    document = {**state.document, "ScalableTargets": [target], "ScheduledActions": [action], "ScalingPolicies": []}
    pair.standby.serving_captures.put(state.model_copy(update={"document": document}))


def plan_of(world, endpoint):
    return world.serving.endpoints[endpoint].plan


def limits(world, endpoint):
    """The highest counts that autoscaling allows: always, and by its schedule."""
    plan = plan_of(world, endpoint)
    return [one["MaxCapacity"] for one in (*plan.targets, *(two["ScalableTargetAction"] for two in plan.schedules))]


def captures(pair, target, source):
    """One region looks at how the other one serves."""
    seen = described(source)
    plan = plan_of(source, answers(source))
    more = {"ScalableTargets": list(plan.targets), "ScheduledActions": list(plan.schedules)}
    seen = seen.model_copy(update={"document": {**seen.document, **more}})
    target.serving_source.endpoints = {answers(source): seen}
    with pair.inside(target):
        assert deliver("capture_serving", pair.context, ours("Serving Capture Requested", reason="due")) == []


def taken_over(pair, number):
    """The home is lost and the standby takes over; the home is well again, and has looked at how that serves."""
    pair.fail(pair.home)
    assert pair.request(pair.standby, "failover", f"failover-{number}").status == "SUCCEEDED"
    pair.heal(pair.home)
    pair.listen()
    served = pair.standby.catalog.takeover(CHURN).recovery_point
    pair.protect(pair.home, pair.standby.catalog.record(CHURN, served).target_arn)
    captures(pair, pair.home, pair.standby)


def settled(pair, context):
    """Both regions answer again, clients have had time to move, and the standby has looked at what serves at home."""
    pair.listen()
    pair.standby.clock.move(hours=1)
    for _ in range(4):
        watch(pair, pair.standby, context)
        watch(pair, pair.home, context)
    if plan_of(pair.home, answers(pair.home)):
        captures(pair, pair.standby, pair.home)
    endpoint = row(pair).endpoint
    if plan_of(pair.standby, endpoint).targets:  # its autoscaling finds that it has half of the load
        pair.standby.serving.endpoints[endpoint].counts = {"main": HAS}
    look(pair, context)
    pair.listen()


def test_two_failovers_and_failbacks_leave_counts_and_limits_as_they_were(pair, context):
    home_restores(pair)
    for number in (1, 2):
        taken_over(pair, number)
        standing = answers(pair.standby)
        assert pair.standby.serving.endpoints[standing].counts == {"main": 2 * HAS}, "alone it carries both"
        assert pair.request(pair.home, "failback", f"failback-{number}").status == "SUCCEEDED"
        restored = answers(pair.home)
        assert restored.endswith(f"-e{2 * number}")
        assert pair.home.serving.endpoints[restored].counts == {"main": HAS}
        assert limits(pair.home, restored) == [MOST] * 2
        settled(pair, context)
        assert pair.standby.serving_captures.newest(CHURN).capacity == {"main": HAS}
        assert limits(pair.standby, row(pair).endpoint) == [2 * MOST] * 2


def test_what_does_not_scale_by_itself_is_as_large_as_before_in_both_regions(fixed, context):
    pair = fixed
    home_restores(pair)
    for number in (1, 2):
        taken_over(pair, number)
        assert pair.request(pair.home, "failback", f"failback-{number}").status == "SUCCEEDED"
        settled(pair, context)
        assert pair.home.serving.endpoints[answers(pair.home)].counts == {"main": HAS}
        assert (row(pair).counts, pair.standby.serving.endpoints[row(pair).endpoint].counts) == ({"main": HAS},) * 2


def test_the_own_endpoint_takes_its_part_again_and_not_that_of_both(pair, context):
    endpoint = pair.home.serving.endpoints["churn"]
    for number in (1, 2):
        taken_over(pair, number)
        endpoint.counts = {"main": 1}  # its autoscaling, while nobody asks it
        assert pair.request(pair.home, "failback", f"failback-{number}").status == "SUCCEEDED"
        assert (answers(pair.home), endpoint.counts) == ("churn", {"main": HAS})
        settled(pair, context)


def test_a_home_that_takes_over_from_a_lost_standby_grows_as_a_survivor_that_can_give_it_back(pair, context):
    watch(pair, pair.home, context)
    home_restores(pair)
    taken_over(pair, 1)
    pair.fail(pair.standby)
    assert pair.request(pair.home, "failover", "failover-2").status == "SUCCEEDED"
    restored = pair.home.serving.endpoints[answers(pair.home)]
    assert restored.counts == {"main": HAS}
    watch(pair, pair.home, context, rounds=4)
    assert restored.counts == {"main": 2 * HAS}
    pair.heal(pair.standby)
    pair.listen()
    watch(pair, pair.home, context, rounds=6)
    assert restored.counts == {"main": HAS}


def test_what_took_over_without_having_answered_beside_the_home_comes_home_whole(pair):
    """An endpoint of a newer version is as large as the home was: nothing of it is anybody else's."""
    aside = row(pair)
    pair.standby.catalog.put_beside(CHURN, aside.model_copy(update={"endpoint": "churn-older000-s000000"}), aside)
    taken_over(pair, 1)
    assert pair.home.catalog.standing(CHURN).share is None
    held = pair.standby.serving.endpoints[answers(pair.standby)].counts
    assert pair.home.serving_captures.newest(CHURN).capacity == held


def test_what_left_the_home_alone_but_took_over_again_still_has_its_share(pair):
    aside = row(pair)
    leaving = aside.model_copy(update={"leaving": pair.standby.clock.now()})
    pair.standby.catalog.put_beside(CHURN, leaving, aside)
    taken_over(pair, 1)
    assert pair.home.serving_captures.newest(CHURN).capacity == {"main": HAS}


# the home's part of what was observed


def observed(*live, **document):
    return Observed(endpoint="e", status="InService", document={"Config": {}, **document}, live=live)


def counted(count, **more):
    return Live(variant="main", weight=1.0, instances=count, **more)


@pytest.mark.parametrize(
    ("count", "share", "part"),
    [
        (6, 3, 3),
        (7, 3, 4),
        (5, 3, 3),  # one of three was refused: the home was as large as what stood beside it
        (3, 3, 3),  # all of them were
        (2, 3, 2),  # somebody made it smaller
        (0, 3, 0),
    ],
)
def test_the_homes_part_is_what_came_on_top_and_never_less_than_the_share(count, share, part):
    assert without_share(observed(counted(count)), {"main": share}).live == (counted(part),)


def test_no_part_is_larger_than_autoscaling_will_allow():
    target = {"ResourceId": "endpoint/e/variant/main", "MinCapacity": 1, "MaxCapacity": 10}
    found = without_share(observed(counted(18), ScalableTargets=[target]), {"main": 9})
    assert (found.live[0].instances, found.document["ScalableTargets"][0]["MaxCapacity"]) == (5, 5)


def test_a_limit_is_never_below_the_least_that_autoscaling_keeps():
    target = {"ResourceId": "endpoint/e/variant/main", "MinCapacity": 4, "MaxCapacity": 5}
    found = without_share(observed(ScalableTargets=[target]), {})
    assert found.document["ScalableTargets"][0]["MaxCapacity"] == 4


def test_what_nobody_counts_stays_as_it_is():
    live = (counted(None, serverless={"MaxConcurrency": 5}), counted(6, shadow=True), counted(6))
    assert without_share(observed(*live), {"other": 3}).live == live


def test_instances_that_sagemaker_manages_may_reach_half_as_far():
    managed = {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 8}
    config = {"ProductionVariants": [{"VariantName": "main", "ManagedInstanceScaling": managed}]}
    found = without_share(observed(counted(4), Config=config), {"main": 2})
    [variant] = found.document["Config"]["ProductionVariants"]
    assert (variant["ManagedInstanceScaling"]["MaxInstanceCount"], found.live[0].instances) == (4, 2)


def component(name, copies, **specification):
    return {
        "InferenceComponentName": name,
        "Specification": specification,
        "RuntimeConfig": {"CopyCount": copies},
    }


def test_the_copies_of_the_only_component_are_parted_whatever_it_is_called_here():
    adapter = {**component("e-c1", 1, BaseInferenceComponentName="e-c0")}
    target = {"ResourceId": "inference-component/e-c0", "MinCapacity": 1, "MaxCapacity": 12}
    seen = observed(Components=[component("e-c0", 6), adapter], ScalableTargets=[target])
    found = without_share(seen, {"component/at-home": 2, "main": 1}).document
    assert [one["RuntimeConfig"]["CopyCount"] for one in found["Components"]] == [4, 1]
    assert found["ScalableTargets"][0]["MaxCapacity"] == 6


def test_of_several_components_only_those_of_the_same_name_are_parted():
    seen = observed(Components=[component("a", 6), component("b", 6)])
    found = without_share(seen, {"component/a": 2, "component/at-home": 2}).document
    assert [one["RuntimeConfig"]["CopyCount"] for one in found["Components"]] == [4, 6]


def test_what_is_put_together_comes_apart_again():
    both = together({"main": 3}, {"main": 4}, {})
    assert without_share(observed(counted(both["main"])), {"main": 3}).live == (counted(4),)
