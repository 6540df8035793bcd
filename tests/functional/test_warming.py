"""Warm before traffic: the captured capacity, golden requests until they are fast, and only then the switch."""

import datetime as dt

import pytest

from mldr.domain.recovery_point import Retention
from mldr.domain.serving_state import Live, ServingState
from mldr.domain.warming import Latency
from mldr.errors import EndpointFailed, NotAllowed
from tests.fakes.world import ACTIVE, POLICY, STANDBY, TEAM_ROLE
from tests.functional.story import CHURN, GOLDEN, clients_follow, fail_over, promoted, protect

RULES = "golden: {uri"


def ready(world, context, warm="", golden=GOLDEN):
    """A sealed point of churn under a policy for warming, whose clients would follow a switch."""
    world.policies.put(POLICY.replace(RULES, f"warm: {{{warm}}}\n    {RULES}", 1))
    arn = promoted(world)
    world.buckets.put("lake", "churn/golden.jsonl", golden)
    protect(world, context, arn)
    clients_follow(world)
    world.clock.move(hours=1)
    return world


def slow(world, milliseconds):
    """Every answer takes as long as the next of these, the last of them from then on."""
    left = list(milliseconds)

    def answer(body):
        world.clock.move(seconds=(left.pop(0) if len(left) > 1 else left[0]) / 1000)
        return body

    world.serving.answer = answer


def captured(world, *, instances=1, latency=None):
    """The active region's endpoint as it was captured, of the point that is there."""
    container = {"Image": f"123456789012.dkr.ecr.{ACTIVE}.amazonaws.com/churn:1"}
    variant = {"VariantName": "main", "ModelName": "churn", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    at = world.clock.now()
    world.serving_captures.put(
        ServingState(
            model=CHURN,
            endpoint="churn",
            region=ACTIVE,
            standby_region=STANDBY,
            captured_at=at,
            reason="test",
            epoch=0,
            retention=Retention(mode="GOVERNANCE", until=at + dt.timedelta(days=35)),
            document={
                "Endpoint": {"EndpointName": "churn", "Tags": []},
                "Config": {"ProductionVariants": [variant]},
                "Models": [{"ModelName": "churn", "ExecutionRoleArn": TEAM_ROLE, "Containers": [container]}],
                "Components": [],
            },
            live=(Live(variant="main", weight=1.0, instances=instances),),
            carried=(),
            latency=latency,
        )
    )
    world.clock.move(minutes=1)


def test_the_gateway_is_made_ready_before_the_switch_with_a_golden_request(world, context, monkeypatch):
    ready(world, context)
    switched = []
    warm = world.outside.warm

    def look(*given, **named):
        switched.append(world.catalog.takeover(CHURN))
        return warm(*given, **named)

    monkeypatch.setattr(world.outside, "warm", look)
    assert fail_over(world, context).status == "SUCCEEDED"
    assert world.outside.warmed == [(f"gateway.{STANDBY}.example", "sagemaker/churn", b"[1]", "right-token", 4)] * 2
    assert switched == [None, None]


def test_a_gateway_that_cannot_be_warmed_stops_no_failover(world, context, monkeypatch):
    ready(world, context)
    monkeypatch.setattr(world.outside, "warm", lambda *_, **__: [])
    assert fail_over(world, context).status == "SUCCEEDED"


def test_a_token_that_cannot_be_read_stops_no_failover(world, context, monkeypatch):
    def refuse():
        raise NotAllowed("no right to read it")

    ready(world, context)
    monkeypatch.setattr(world.tokens, "present", refuse)
    assert fail_over(world, context).status == "SUCCEEDED"
    assert world.outside.warmed == []


def test_a_slow_model_is_asked_until_it_is_as_fast_as_recorded(world, context):
    ready(world, context, golden=b'{"request": [1], "answer": [1], "latency_ms": 20}\n')
    slow(world, [*[900] * 21, 20])
    ended = fail_over(world, context)
    assert ended.status == "SUCCEEDED"
    assert ended.path.count("WarmServing") == 2
    assert "by the golden inferences" in ended.data["warm"]["reason"]
    assert (world.pager.pages, world.evidence.records[-1].warnings) == ([], ())


def test_latencies_that_were_captured_are_the_baseline_too(world, context):
    ready(world, context)
    captured(world, latency=Latency(p50=20, p95=30, requests=100, source="CloudWatch"))
    slow(world, [*[900] * 21, 20])
    ended = fail_over(world, context)
    assert (ended.status, ended.path.count("WarmServing")) == ("SUCCEEDED", 2)


def test_a_model_that_stays_slow_takes_the_traffic_with_a_warning(world, context):
    """An outage is worse than slowness."""
    ready(world, context, "within: 2m", golden=b'{"request": [1], "answer": [1], "latency_ms": 20}\n')
    slow(world, [300])
    assert fail_over(world, context).status == "SUCCEEDED"
    assert world.catalog.takeover(CHURN)
    [warning] = world.evidence.records[-1].warnings
    assert warning.startswith("not warm after 1")
    assert "20 ms by the golden inferences" in warning
    [(subject, said)] = world.pager.pages
    assert (subject, said) == ("mldr: failover of sagemaker/churn completed, with a warning", warning)


def test_a_policy_can_insist_that_a_model_is_warm(world, context):
    ready(world, context, "within: 2m, required: true", golden=b'{"request": [1], "answer": [1], "latency_ms": 20}\n')
    slow(world, [300])
    ended = fail_over(world, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "NotWarm")
    assert world.catalog.takeover(CHURN) is None
    assert "warm.required" in world.evidence.records[-1].reason


def test_an_endpoint_that_is_smaller_than_what_served_is_scaled_up_before_the_switch(world, context):
    ready(world, context)
    captured(world, instances=3)
    create = world.serving.restore

    def smaller(plan):
        create(plan)
        if not world.serving.asked:
            world.serving.endpoints[plan.name].counts["main"] = 1

    world.serving.restore = smaller
    assert fail_over(world, context).status == "SUCCEEDED"
    [endpoint] = world.serving.endpoints.values()
    assert endpoint.counts == {"main": 3}


def asleep(world, monkeypatch):
    """What is to serve answers later and has no instance; nothing says of how many it should have, as on a way home."""
    captured(world)
    monkeypatch.setattr("mldr.steps.warm_serving._wanted", lambda *_: {})
    world.late_answers.everything = True
    create = world.serving.restore

    def none(plan):
        create(plan)
        if not world.serving.asked:
            world.serving.endpoints[plan.name].counts["main"] = 0

    monkeypatch.setattr(world.serving, "restore", none)


def test_an_endpoint_that_scaled_to_zero_is_woken_before_it_is_asked_what_it_has_to_prove(world, context, monkeypatch):
    """One question is no backlog that would wake it."""
    ready(world, context)
    asleep(world, monkeypatch)
    assert fail_over(world, context).status == "SUCCEEDED"
    [endpoint] = world.serving.endpoints.values()
    assert endpoint.counts == {"main": 1}


def test_a_model_that_always_answered_more_slowly_than_a_gateway_waits_moves_and_a_person_is_told(world, context):
    ready(world, context, "required: true", golden=b'{"request": [1], "answer": [1], "latency_ms": 25000}\n')
    slow(world, [25_000])
    assert fail_over(world, context).status == "SUCCEEDED"
    [warning] = world.evidence.records[-1].warnings
    assert warning == (
        "95 % of the answers came within 25 s, and a gateway waits 22 s: its clients get 503 in their place"
    )


@pytest.mark.parametrize("error", [EndpointFailed, NotAllowed])
def test_instances_that_are_refused_are_named_and_do_not_keep_the_model_from_serving(
    world, context, monkeypatch, error
):
    ready(world, context, "within: 1m")
    captured(world, instances=3)
    create = world.serving.restore

    def smaller(plan):
        create(plan)
        world.serving.endpoints[plan.name].counts["main"] = 1

    def refuse(endpoint, counts, weights):
        raise error("the account-level limit 'ml.m5.large for endpoint usage' is 1")

    monkeypatch.setattr(world.serving, "restore", smaller)
    monkeypatch.setattr(world.serving, "scale", refuse)
    assert fail_over(world, context).status == "SUCCEEDED"
    assert "variant main has 1 of 3 instances (the account-level limit" in world.evidence.records[-1].warnings[-1]


def canary(world, *, main, blue):
    """The captured endpoint has a second variant, and these are the live weights of the two."""
    captured(world)
    state = world.serving_captures.newest(CHURN)
    [variant] = state.document["Config"]["ProductionVariants"]
    config = {"ProductionVariants": [variant, {**variant, "VariantName": "blue"}]}
    live = tuple(Live(variant=name, weight=one, instances=1) for name, one in (("main", main), ("blue", blue)))
    update = {"document": {**state.document, "Config": config}, "live": live, "captured_at": world.clock.now()}
    world.serving_captures.put(state.model_copy(update=update))
    world.clock.move(minutes=1)


def weighs(world, monkeypatch, **weights):
    """What is restored has other weights than were captured: yesterday's."""
    create = world.serving.restore

    def yesterdays(plan):
        create(plan)
        if not world.serving.asked:
            world.serving.endpoints[plan.name].weights.update(weights)

    monkeypatch.setattr(world.serving, "restore", yesterdays)


def test_the_live_weights_are_set_before_the_switch_where_no_instance_is_missing(world, context, monkeypatch):
    ready(world, context)
    canary(world, main=0.6, blue=0.4)
    weighs(world, monkeypatch, main=0.9, blue=0.1)
    assert fail_over(world, context).status == "SUCCEEDED"
    [endpoint] = world.serving.endpoints.values()
    assert (endpoint.weights, endpoint.counts) == ({"main": 0.6, "blue": 0.4}, {"main": 1, "blue": 1})


@pytest.mark.parametrize("error", [EndpointFailed, NotAllowed])
def test_weights_that_are_refused_are_asked_for_again_and_then_named(world, context, monkeypatch, error):
    ready(world, context, "within: 1m")
    canary(world, main=0.6, blue=0.4)
    weighs(world, monkeypatch, main=0.9, blue=0.1)
    asked = []

    def refuse(endpoint, counts, weights):
        asked.append(weights)
        raise error("no right to it")

    monkeypatch.setattr(world.serving, "scale", refuse)
    assert fail_over(world, context).status == "SUCCEEDED"
    assert len(asked) > 1
    warning = world.evidence.records[-1].warnings[-1]
    told = "variant main has the weight 0.9 instead of 0.6, variant blue has the weight 0.1 instead of 0.4"
    assert f"{told} (no right to it)" in warning
    assert warning in world.pager.pages[-1][1]


def test_nothing_is_asked_of_an_endpoint_that_is_being_updated_until_it_is_in_service(world, context, monkeypatch):
    """SageMaker would refuse it, and the refusal would be told as if there were no instances."""
    ready(world, context)
    captured(world, instances=3)
    create, status, scale, said = world.serving.restore, world.serving.status, world.serving.scale, []

    def updated(plan):
        create(plan)
        endpoint = world.serving.endpoints[plan.name]
        endpoint.counts["main"], endpoint.statuses = 1, [(one, "") for one in ("InService", "Updating", "InService")]

    def tell(name):
        said.append(status(name))
        return said[-1]

    def ask(*given):
        assert said[-1] == ("InService", "")
        scale(*given)

    for name, one in (("restore", updated), ("status", tell), ("scale", ask)):
        monkeypatch.setattr(world.serving, name, one)
    ended = fail_over(world, context)
    [endpoint] = world.serving.endpoints.values()
    assert (ended.path.count("WarmServing"), endpoint.counts) == (2, {"main": 3})
    assert said.count(("Updating", "")) == 1


@pytest.mark.parametrize("required", ["", "required: true"])
def test_wrong_answers_never_switch_however_fast(world, context, required):
    ready(world, context, required)
    world.serving.answer = lambda body: b"[2]"
    ended = fail_over(world, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "WrongAnswers")
    assert world.catalog.takeover(CHURN) is None


def test_a_model_without_golden_inferences_is_not_kept_waiting(world, context):
    ready(world, context)
    world.policies.put(POLICY.replace('golden: {uri: "s3://lake/churn/golden.jsonl"}', "rto: 15m"))
    protect(world, context, world.registry.promote("churn", world.registry.describe(promoted(world)).document))
    ended = fail_over(world, context)
    assert (ended.status, ended.path.count("WarmServing")) == ("SUCCEEDED", 1)


def test_recorded_requests_warm_a_model_and_prove_nothing_of_it(world, context):
    """They have no right answer; the golden ones among them are proven all the same."""
    arn = promoted(world)
    lines = b'{"request": [1], "answer": [1]}\n{"request": [7]}\n{"request": [8]}\n'
    world.buckets.put("lake", "churn/golden.jsonl", lines)
    protect(world, context, arn)
    clients_follow(world)
    world.serving.answer = lambda body: b"[1]"
    ended = fail_over(world, context)
    assert ended.status == "SUCCEEDED"
    asked = [body for _, body, _, _ in world.serving.asked]
    assert asked[:3] == [b"[1]", b"[7]", b"[8]"]
    assert asked.count(b"[8]") > 1
    assert asked[-1] == b"[1]"
    assert ended.data["verify"]["reason"] == "1 of 1 golden answers reproduced"
