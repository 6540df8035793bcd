"""How the holder of an epoch serves is captured by the other region, which then serves so itself."""

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from mldr.domain.golden import UNPROVEN
from mldr.domain.serving_state import Live, Observed
from mldr.errors import NotAllowed
from tests.fakes.serving import Endpoint
from tests.functional.pair import HOME, Pair
from tests.functional.story import CHURN, deliver
from tests.functional.test_capture_serving import endpoint_event, ours
from tests.functional.test_warming import captured


@pytest.fixture
def pair(monkeypatch, context):
    """The standby serves by a takeover, with four instances; the home is well again and knows of it."""
    pair = Pair(monkeypatch, context)
    pair.protected()
    captured(pair.standby, instances=4)
    pair.listen()
    pair.fail(pair.home)
    assert pair.request(pair.standby, "failover", "failover-1").status == "SUCCEEDED"
    pair.heal(pair.home)
    pair.listen()
    return pair


def answers(world):
    """The endpoint with which a region took over."""
    return world.catalog.takeover(CHURN).endpoint


def described(world, **changes):
    """What a region's peer reads of the endpoint with which it took over."""
    held = world.serving.endpoints[answers(world)]
    models = [
        {"ModelName": one.name, "ExecutionRoleArn": one.role, "Containers": list(one.containers), "Tags": []}
        for one in held.plan.models
    ]
    document = {
        "Endpoint": {"EndpointName": answers(world), "Tags": [{"Key": "mldr:owner", "Value": "mldr"}]},
        "Config": {**held.plan.config, "Tags": []},
        "Models": models,
        "Components": [],
        "ScalableTargets": [],
        "ScalingPolicies": [],
        "ScheduledActions": [],
    }
    live = tuple(Live(variant=name, weight=held.weights[name], instances=n) for name, n in held.counts.items())
    return Observed(endpoint=answers(world), status="InService", document=document, live=live, **changes)


def seen(pair, source, target):
    """One region describes what the other one took over with, as it is now."""
    target.serving_source.endpoints = {answers(source): described(source)}
    return pair.inside(target)


def brought_home(pair):
    """The home has sealed what the standby serves, and looked at how it does."""
    served = pair.standby.catalog.takeover(CHURN).recovery_point
    pair.protect(pair.home, pair.standby.catalog.record(CHURN, served).target_arn)
    with seen(pair, pair.standby, pair.home):
        assert deliver("capture_serving", pair.context, ours("Serving Capture Requested", reason="due")) == []


def home_restores(pair):
    """The model's own endpoint serves another version by now, so that the home restores what comes home."""
    pair.home.own_endpoints.made_of["churn"] = frozenset({"another"})


def came_home(pair, **more):
    return pair.request(pair.home, "failback", "failback-1", **more)


def test_a_region_says_which_endpoint_and_component_it_took_over_with(pair):
    standing = pair.home.catalog.standing(CHURN)
    assert (standing.endpoint, standing.component) == (answers(pair.standby), "")
    switch = pair.standby.catalog.takeover(CHURN)
    pair.standby.catalog._switches[str(CHURN)] = switch.model_copy(update={"component": "its-own"})
    pair.listen()
    assert pair.home.catalog.standing(CHURN).component == "its-own"


def test_a_failback_restores_what_the_standby_served_with_not_the_policys_defaults(pair):
    home_restores(pair)
    brought_home(pair)
    assert came_home(pair).status == "SUCCEEDED"
    restored = pair.home.serving.endpoints[answers(pair.home)]
    assert answers(pair.home).endswith("-e2")
    assert restored.counts == {"main": 4}
    [model] = restored.plan.models
    assert f".{HOME}." in model.containers[0]["Image"]


def test_a_home_that_takes_over_from_a_lost_standby_restores_what_that_served_with(pair):
    home_restores(pair)
    brought_home(pair)
    pair.fail(pair.standby)
    assert pair.request(pair.home, "failover", "failover-2").status == "SUCCEEDED"
    assert pair.home.serving.endpoints[answers(pair.home)].counts == {"main": 4}


def test_the_standby_goes_on_capturing_what_the_home_restored_for_itself(pair):
    home_restores(pair)
    brought_home(pair)
    came_home(pair)
    pair.listen()
    pair.home.serving.endpoints[answers(pair.home)].counts["main"] = 7
    with seen(pair, pair.home, pair.standby):
        event = {**endpoint_event(answers(pair.home)), "region": HOME}
        assert deliver("capture_serving", pair.context, event) == []
    state = pair.standby.serving_captures.newest(CHURN)
    assert (state.endpoint, state.capacity) == (answers(pair.home), {"main": 7})


def test_what_the_peer_has_beside_what_it_took_over_with_is_no_state_of_the_model(pair):
    brought_home(pair)
    looks = len(pair.home.serving_source.looks)
    with pair.inside(pair.home):
        others = [
            {**endpoint_event(name), "region": pair.standby.env.aws_region} for name in ("churn", "churn-other-e9")
        ]
        assert deliver("capture_serving", pair.context, *others) == []
    assert pair.home.serving_source.looks[looks:] == []


def test_an_event_of_an_endpoint_that_cannot_be_ours_asks_the_catalog_about_no_model(pair, monkeypatch):
    brought_home(pair)
    assert pair.home.catalog.models() == [CHURN]
    asked = []
    monkeypatch.setattr(pair.home.catalog, "leadership", asked.append)
    with pair.inside(pair.home):
        event = {**endpoint_event("somebody-elses"), "region": pair.standby.env.aws_region}
        assert deliver("capture_serving", pair.context, event) == []
    assert asked == []


def test_what_an_older_release_announced_is_looked_for_where_the_policy_says(pair):
    standing = pair.home.catalog.standing(CHURN)
    pair.home.catalog.learn(CHURN, standing.model_copy(update={"endpoint": ""}))
    brought_home(pair)
    assert pair.home.serving_source.looks == ["churn"]


def test_what_was_captured_of_an_earlier_takeover_is_restored_and_told_with_its_time(pair):
    home_restores(pair)
    brought_home(pair)
    state, served = pair.home.serving_captures.newest(CHURN), answers(pair.standby)
    pair.home.serving_captures.put(state.model_copy(update={"endpoint": "churn-earlier0-e1"}))
    assert came_home(pair).status == "SUCCEEDED"
    assert pair.home.serving.endpoints[answers(pair.home)].counts == {"main": 4}
    [warning] = pair.home.evidence.records[-1].warnings
    assert f"endpoint {served} was never captured" in warning
    assert f"as endpoint churn-earlier0-e1 was at {state.captured_at:%Y-%m-%d %H:%M:%S}" in warning
    assert warning in pair.home.pager.pages[-1][1]


def test_a_standby_that_never_looked_at_what_the_home_restored_says_what_it_serves_as(pair):
    home_restores(pair)
    brought_home(pair)
    assert came_home(pair).status == "SUCCEEDED"
    assert pair.home.evidence.records[-1].warnings == ()
    pair.listen()
    pair.fail(pair.home)
    assert pair.request(pair.standby, "failover", "failover-3").status == "SUCCEEDED"
    [*_, warning] = pair.standby.evidence.records[-1].warnings
    assert f"endpoint {answers(pair.home)} was never captured: restored as endpoint churn was at" in warning


# the model's own endpoint


def own(pair, **counts):
    """The model's own endpoint at home, which nobody asks while the standby serves."""
    pair.home.serving.endpoints["churn"] = Endpoint(counts=counts, weights={"main": 1.0})
    return pair.home.serving.endpoints["churn"]


def test_the_own_endpoint_grows_to_what_the_standby_serves_with_before_traffic_moves(pair):
    endpoint = own(pair, main=1)
    brought_home(pair)
    assert came_home(pair).status == "SUCCEEDED"
    assert (answers(pair.home), endpoint.counts) == ("churn", {"main": 4})
    assert pair.home.evidence.records[-1].warnings == ()


def test_the_own_endpoint_is_never_made_smaller_and_keeps_its_weights(pair):
    brought_home(pair)
    endpoint = own(pair, main=6, canary=1)
    endpoint.weights = {"main": 0.5, "canary": 0.5}
    assert came_home(pair).status == "SUCCEEDED"
    assert (endpoint.counts, endpoint.weights) == ({"main": 6, "canary": 1}, {"main": 0.5, "canary": 0.5})


def test_an_own_endpoint_that_may_not_grow_takes_the_traffic_with_a_warning(pair, monkeypatch):
    own(pair, main=1)
    brought_home(pair)

    def refuse(endpoint, counts, weights):
        raise NotAllowed("no right to scale it")

    monkeypatch.setattr(pair.home.serving, "scale", refuse)
    assert came_home(pair).status == "SUCCEEDED"
    [warning] = pair.home.evidence.records[-1].warnings
    assert "variant main has 1 of 4 instances (no right to scale it)" in warning


def test_a_planned_move_pages_nobody_for_what_its_plan_says_and_no_golden_inference_proves(pair, monkeypatch):
    monkeypatch.setattr("mldr.steps.prove_answers._to_prove", lambda *_: ())
    home_restores(pair)
    brought_home(pair)
    state = pair.home.serving_captures.newest(CHURN)
    pair.home.serving_captures.put(state.model_copy(update={"left_out": {"shadow": "it answers nobody"}}))
    pages = list(pair.home.pager.pages)
    assert came_home(pair).status == "SUCCEEDED"
    record = pair.home.evidence.records[-1]
    assert record.warnings == ("variant shadow is not restored: it answers nobody", UNPROVEN.reason)
    assert (record.foreseen, record.told) == (record.warnings, ())
    assert pair.home.pager.pages == pages


def test_a_planned_move_pages_for_what_came_up_on_its_way_alone(pair, monkeypatch):
    monkeypatch.setattr("mldr.steps.prove_answers._to_prove", lambda *_: ())
    home_restores(pair)
    brought_home(pair)
    finish = pair.home.serving.finish

    def refused(plan):
        return finish(plan).model_copy(update={"warnings": ("its autoscaling is refused",)})

    monkeypatch.setattr(pair.home.serving, "finish", refused)
    assert came_home(pair).status == "SUCCEEDED"
    assert pair.home.pager.pages[-1] == (
        f"mldr: failback of {CHURN} completed, with a warning",
        "its autoscaling is refused",
    )
    assert UNPROVEN.reason in pair.home.evidence.records[-1].warnings


def test_what_was_captured_of_an_earlier_takeover_makes_no_own_endpoint_grow(pair):
    endpoint = own(pair, main=1)
    brought_home(pair)
    state = pair.home.serving_captures.newest(CHURN)
    pair.home.serving_captures.put(state.model_copy(update={"endpoint": "churn-earlier-e1"}))
    assert came_home(pair).status == "SUCCEEDED"
    assert endpoint.counts == {"main": 1}


def test_what_the_home_serves_from_another_point_is_not_taken_for_the_one_that_it_took_over_with(pair):
    """Both stand in the home's vault under the same names: only the point tells them apart."""
    home_restores(pair)
    brought_home(pair)
    came_home(pair)
    pair.listen()
    point = pair.home.catalog.takeover(CHURN).recovery_point
    with seen(pair, pair.home, pair.standby):
        [model] = pair.standby.serving_source.endpoints[answers(pair.home)].document["Models"]
        [container] = model["Containers"]
        container["ModelDataUrl"] = container["ModelDataUrl"].replace(point, "v9-somebodys")
        before = pair.standby.serving_captures.newest(CHURN)
        with pytest.raises(BatchProcessingError):
            deliver("capture_serving", pair.context, ours("Serving Capture Requested", reason="due"))
    assert "v9-somebodys" in pair.standby.serving_captures.refusal(CHURN).reason
    assert pair.standby.serving_captures.newest(CHURN) == before
