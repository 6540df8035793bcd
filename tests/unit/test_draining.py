"""How long the old side of a planned move must answer, and what a policy asks for that a model does not get."""

import datetime as dt

import pytest

from mldr.domain.draining import least_drain, too_short
from mldr.domain.identity import ModelKey
from mldr.domain.kserve_rules import KServeRule
from mldr.domain.model_rules import FailoverRule, ModelRules, ServingRule, Tier
from mldr.domain.recovery_point import Retention
from mldr.domain.routing import CheckTimes, Front, SwitchKind, plan_route
from mldr.domain.serving_state import ServingState
from mldr.domain.unkept import unkept

HERE, THERE = "ap-southeast-3", "ap-southeast-1"
CHURN = ModelKey(registry="sagemaker", name="churn")
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
FIVE_MINUTES = dt.timedelta(minutes=5)


def route(interval=10, threshold=3, ttl=30, kind="https"):
    fronts = [Front(region=region, host=region, target=region) for region in (THERE, HERE)]
    times = CheckTimes(interval=interval, threshold=threshold, ttl=ttl)
    return plan_route(CHURN, "models.example", active=fronts[0], standby=fronts[1], times=times, kind=SwitchKind(kind))


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 10 + 30 + 30),
        ({"interval": 30}, 10 + 90 + 30),
        ({"threshold": 10}, 10 + 100 + 30),
        ({"ttl": 300}, 10 + 30 + 300),
        ({"kind": "metric"}, 10 + 60 + 120 + 30),
    ],
)
def test_the_least_is_what_the_checks_and_the_life_of_an_answer_take(changes, seconds):
    assert least_drain(route(**changes)) == dt.timedelta(seconds=seconds)


def test_a_drain_that_is_long_enough_is_nothing_to_tell():
    assert too_short(least_drain(route()), route()) == ""


@pytest.mark.parametrize("kind", ["https", "metric"])
def test_one_second_less_is_named_with_what_is_right(kind):
    least = least_drain(route(kind=kind))
    found = too_short(least - dt.timedelta(seconds=1), route(kind=kind))
    assert "failover.drain" in found
    assert f"at least {least.total_seconds():.0f}s" in found


def test_the_default_is_enough_for_the_stacks_own_times():
    assert FailoverRule().drain == FIVE_MINUTES
    assert all(too_short(FIVE_MINUTES, route(kind=kind)) == "" for kind in SwitchKind)


def state(components=(), policies=()):
    return ServingState(
        model=CHURN, endpoint="churn", region=THERE, standby_region=HERE, captured_at=NOON, reason="test", epoch=0,
        retention=Retention(mode="GOVERNANCE", until=NOON),
        document={"Config": {}, "Components": list(components), "ScalingPolicies": list(policies)},
        live=(), carried=(),
    )  # fmt: skip


def rules(tier=Tier.WARM_STANDBY, floor=0, drain=FIVE_MINUTES):
    return ModelRules(tier=tier, serving=ServingRule(floor=floor), failover=FailoverRule(drain=drain))


def test_a_floor_of_zero_is_not_kept_where_nothing_scales_to_zero():
    [told] = unkept(rules(), route(), state())
    assert told == "serving.floor is 0, but only an endpoint of inference components scales to zero; it stands with 1"


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        (rules(), state([{"InferenceComponentName": "one"}])),
        (rules(floor=1), state()),
        (rules(tier=Tier.COLD_STANDBY), state()),
        (rules(), None),  # not known yet
    ],
)
def test_what_is_kept_or_unknown_is_not_told(asked, seen):
    assert unkept(asked, route(), seen) == ()


@pytest.mark.parametrize("tier", [Tier.WARM_STANDBY, Tier.ACTIVE_ACTIVE])
def test_a_tier_that_a_tag_gives_an_inference_service_is_told_as_not_kept(tier):
    serving = ServingRule(kserve=KServeRule(cluster="prod", namespace="models", name="a"), floor=0)
    [told] = unkept(ModelRules(tier=tier, serving=serving), None, state())
    assert told == f"the tier is {tier}, but nothing of an InferenceService stands by; it is restored cold"
    assert unkept(ModelRules(serving=serving), None, state()) == ()


def test_steps_that_nothing_triggers_are_told_by_day():
    steps = {"PolicyName": "p", "ResourceId": "endpoint/churn/variant/a", "PolicyType": "StepScaling"}
    [told] = unkept(rules(floor=1), None, state(policies=[steps]))
    assert told.startswith("policy p of endpoint/churn/variant/a scales by steps, and no CloudWatch alarm was captured")
    triggered = [{**steps, "Alarms": [{}]}, {**steps, "PolicyType": "TargetTrackingScaling"}]
    assert unkept(rules(floor=1), None, state(policies=triggered)) == ()


def test_a_short_drain_is_told_only_where_the_times_of_dns_are_known():
    short = rules(floor=1, drain=dt.timedelta(seconds=20))
    assert unkept(short, None, state()) == ()
    [told] = unkept(short, route(), state())
    assert "failover.drain is 20s" in told
