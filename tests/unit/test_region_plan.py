"""What a plan of a whole region is drawn from: durations, instances, capacity, ids, and what each model is owed."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.capacity import Capacity, capacity_of, instance_type
from mldr.domain.evacuation import expected, instances_of, recovery_id
from mldr.domain.evidence import GENESIS, Evidence, PhaseTime
from mldr.domain.failover import Kind
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Leadership
from mldr.domain.model_rules import Criticality, Tier
from mldr.domain.policy import Policy
from mldr.domain.recovery_point import Retention
from mldr.domain.region_plan import Direction, ModelFacts, draw, leaving
from mldr.domain.serving_state import Live, ServingState

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HERE, THERE = "ap-southeast-3", "ap-southeast-1"
CHURN = ModelKey(registry="sagemaker", name="churn")
POLICY = Policy.parse(f"version: 1\nregions: [{THERE}, {HERE}]\nmodels:\n  - {{match: sagemaker/churn, rto: 30m}}\n")


def recovery(outcome="completed", **seconds):
    return Evidence(
        sequence=1, previous=GENESIS, kind="failover", id="f", model=CHURN, outcome=outcome, reason="", region=HERE,
        epoch=1, recovery_point="v1", recorded_at=NOON,
        phases=tuple(PhaseTime(name=name, seconds=took) for name, took in seconds.items()),
    )  # fmt: skip


def took(*earlier, tier=Tier.COLD_STANDBY, size=0):
    span, measured = expected(earlier, tier, size)
    return span.total_seconds(), measured


def test_the_longest_of_the_last_three_recoveries_is_expected_again():
    runs = [recovery(restore=float(seconds)) for seconds in (10, 30, 20, 999)]
    assert took(*runs) == (30.0, 3)


def test_how_long_it_waited_to_begin_does_not_count():
    assert took(recovery(detect=50.0, gate=60.0, decide=70.0, restore=10.0, confirm=5.0)) == (15.0, 1)


def test_what_was_refused_or_failed_measures_nothing():
    assert took(recovery("failed", restore=10.0), recovery("refused", detect=1.0)) == (600.0, 0)


def test_an_assumption_grows_with_the_bytes_and_shrinks_with_the_tier():
    assert took(size=100 * 2**20 * 60) == (660.0, 0)
    assert took(tier=Tier.WARM_STANDBY) == (300.0, 0)
    assert took(tier=Tier.ACTIVE_ACTIVE, size=2**40) == (60.0, 0)


def state(*live, **config):
    return ServingState(
        model=CHURN, endpoint="churn", region=THERE, standby_region=HERE, captured_at=NOON, reason="test", epoch=0,
        retention=Retention(mode="GOVERNANCE", until=NOON), document={"Config": config}, live=live, carried=(),
    )  # fmt: skip


def test_instances_are_those_that_live_and_shadows_count():
    found = instances_of(
        state(
            Live(variant="a", weight=1.0, instances=4),
            Live(variant="b", weight=1.0, instances=None, serverless={"MaxConcurrency": 5}),
            Live(variant="s", weight=1.0, instances=2, shadow=True),
            ProductionVariants=[
                {"VariantName": "a", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1},
                {"VariantName": "b", "ServerlessConfig": {}},
            ],
            ShadowProductionVariants=[{"VariantName": "s", "InstanceType": "ml.c5.large"}],
        )
    )
    assert found == {"ml.m5.large": 4, "ml.c5.large": 2}


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,61}[A-Za-z0-9]", fullmatch=True)


@given(NAMES, NAMES, st.from_regex(r"[A-Za-z0-9_-]{1,60}", fullmatch=True))
def test_each_model_is_recovered_under_an_id_of_its_own_that_is_short_enough(one, other, evacuation):
    models = [ModelKey(registry="sagemaker", name=name) for name in (one, other)]
    ids = [recovery_id(evacuation, model) for model in models]
    assert (ids[0] == ids[1]) == (one == other)
    assert all(len(found) <= 60 for found in ids)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ml.m5.large for endpoint usage", "ml.m5.large"),
        ("ml.p5en.48xlarge for endpoint usage", "ml.p5en.48xlarge"),
        ("ml.m5.large for training job usage", None),
        ("ml.m5.large for endpoint usage (spot)", None),
        ("Maximum number of instances per endpoint", None),
    ],
)
def test_only_quotas_of_endpoints_limit_instances(name, kind):
    assert instance_type(name) == kind


def test_more_in_use_than_the_quota_allows_leaves_nothing():
    assert Capacity(limits={"a": 2}, used={"a": 5, "b": 1}, side_by_side=1, read_at=NOON).free == {"a": 0}


def test_what_stands_for_a_tier_is_used_like_all_else_and_known_by_its_name():
    held = {"churn-08f8163c-s970548": {"a": 2}, "churn": {"a": 1, "b": 1}, "churn-08f8163c-e3": {"b": 2}}
    found = capacity_of({"a": 5, "b": 3}, held, side_by_side=1, read_at=NOON)
    assert (found.used, found.free) == ({"a": 3, "b": 3}, {"a": 2, "b": 0})
    assert found.standing == {"churn-08f8163c-s970548": {"a": 2}}


def planned(facts, kind=Kind.FAILOVER, policy=POLICY, capacity=None):
    where = Direction(here=HERE, there=THERE, kind=kind)
    return draw(
        [facts], where, policy=policy, capacity=capacity, began_at=NOON, now=NOON, side_by_side=1
    ).plan  # fmt: skip


def facts(home=THERE, **more):
    return ModelFacts(model=CHURN, home=home, point=None, sealed=None, earlier=(), state=None).model_copy(update=more)


def test_a_model_is_owed_what_the_policy_in_force_says():
    [refused] = planned(facts()).refused
    assert (refused.criticality, refused.tried) == (Criticality.IMPORTANT, False)


@pytest.mark.parametrize(
    ("asked", "home", "kind"),
    [
        (Kind.FAILOVER, THERE, Kind.FAILOVER),
        (Kind.FAILOVER, HERE, Kind.FAILOVER),
        (Kind.MOVE, THERE, Kind.MOVE),
        (Kind.MOVE, HERE, Kind.FAILBACK),
        (Kind.FAILBACK, HERE, Kind.FAILBACK),
    ],
)
def test_a_planned_move_of_a_region_takes_home_what_is_at_home_here(asked, home, kind):
    [refused] = planned(facts(home), asked).refused
    assert refused.kind is kind


def test_a_model_that_nobody_announced_and_nobody_took_over_is_served_by_the_other_region():
    where = Direction(here=HERE, there=THERE, kind=Kind.FAILOVER)
    assert leaving(where, Leadership(), None, NOON) == ""
    back = where.model_copy(update={"kind": Kind.FAILBACK})
    assert leaving(back, Leadership(), None, NOON) is None
