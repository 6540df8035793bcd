"""What a plan of a whole region is drawn from: durations, instances, capacity, ids, and what each model is owed."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.capacity import ALL_TYPES, Capacity, capacity_of, instance_type
from mldr.domain.evacuation import Listed, expected, instances_of, recovery_id
from mldr.domain.evidence import GENESIS, Evidence, PhaseTime
from mldr.domain.failover import Kind, Takeover
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Leadership
from mldr.domain.model_rules import Criticality, Tier
from mldr.domain.policy import Policy
from mldr.domain.recovery_point import Manifest, Origin, Phase, Record, Retention
from mldr.domain.region_plan import Direction, ModelFacts, draw, leaving, left_by, taken_since
from mldr.domain.routing import CheckTimes, Front, SwitchKind, plan_route
from mldr.domain.serving import plan_serving
from mldr.domain.serving_state import Live, ServingState
from mldr.domain.tiers import standing_name

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
        ("Number of instances across active endpoints", ALL_TYPES),
        ("Maximum number of instances per endpoint", None),
    ],
)
def test_only_quotas_of_endpoints_limit_instances(name, kind):
    assert instance_type(name) == kind


def test_more_in_use_than_the_quota_allows_leaves_nothing():
    assert Capacity(limits={"a": 2}, used={"a": 5, "b": 1}, side_by_side=1, read_at=NOON).free == {"a": 0}


def test_what_mldr_made_is_used_like_all_else_and_known_by_its_name():
    held = {"churn-08f8163c-s970548": {"a": 2}, "churn": {"a": 1, "b": 1}, "churn-08f8163c-e3": {"b": 2}}
    found = capacity_of({"a": 5, "b": 3}, held, side_by_side=1, read_at=NOON)
    assert (found.used, found.free) == ({"a": 3, "b": 3, ALL_TYPES: 6}, {"a": 2, "b": 0})
    assert found.standing == {"churn-08f8163c-s970548": {"a": 2}, "churn-08f8163c-e3": {"b": 2}}


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
    made = planned(facts(home), asked)
    [one] = (*made.planned, *made.refused)
    assert one.kind is kind


def test_a_model_that_nobody_announced_and_nobody_took_over_is_served_by_the_other_region():
    where = Direction(here=HERE, there=THERE, kind=Kind.FAILOVER)
    assert leaving(where, Leadership(), None, NOON) == ""
    back = where.model_copy(update={"kind": Kind.FAILBACK})
    assert leaving(back, Leadership(), None, NOON) is None


# what stands already needs no other instances

KIND = "ml.m5.large"
ORIGIN = Origin(region=THERE, version="1", arn="arn:package/churn/1", promoted_at=NOON)


def rules(tier="warm-standby", count=3, more=""):
    return Policy.parse(
        f"version: 1\nregions: [{THERE}, {HERE}]\nmodels:\n"
        f"  - {{match: sagemaker/churn, tier: {tier}, serving: {{instance_count: {count}}}{more}}}\n"
    )


def sealed(version="1", containers=({"Image": "image"},), policy=None):
    return Manifest(
        recovery_point=f"v{version}-0123456789a{version}", model=CHURN, origin=ORIGIN, standby_region=HERE,
        sealed_at=NOON, retention=Retention(mode="GOVERNANCE", until=NOON),
        policy=(policy or rules()).for_model("sagemaker", "churn", {}),
        policy_version="1", registry_document={"InferenceSpecification": {"Containers": list(containers)}},
        rewrites=(), golden=None, shards=(), objects=0, bytes=0, shared=0, layout="layout",
    )  # fmt: skip


def point_of(manifest):
    return Record(
        model=CHURN, recovery_point=manifest.recovery_point, phase=Phase.SEALED, attempt=1, origin=ORIGIN,
        started_at=NOON, sealed_at=NOON,
    )  # fmt: skip


def name_of(manifest, captured=None):
    """What an endpoint is called that stands for a point."""
    made = plan_serving(manifest, epoch=0, state=captured, name="name")
    return standing_name(made, CHURN, manifest.recovery_point)


def still_needed(standing, policy=None, **more):
    """How many instances must be started, told by a region that has none left."""
    manifest = more.pop("sealed", sealed())
    known = facts(point=point_of(manifest), sealed=manifest, **more)
    none = Capacity(limits={KIND: 0}, used={}, standing=standing, side_by_side=1, read_at=NOON)
    made = planned(known, policy=policy or rules(), capacity=none)
    if made.planned:
        return 0
    [refused] = made.refused
    return int(refused.reason.removeprefix("it needs ").partition(f" x {KIND} and the quota")[0])


@pytest.mark.parametrize(("stands", "needed"), [(0, 3), (1, 2), (3, 0), (5, 0)])
def test_what_stands_for_the_newest_point_is_deducted_and_never_more_than_all(stands, needed):
    assert still_needed({name_of(sealed()): {KIND: stands}}) == needed


def test_what_stands_of_another_type_is_no_help():
    assert still_needed({name_of(sealed()): {"ml.c5.large": 3}}) == 3


def test_what_stands_for_an_older_point_is_no_help():
    assert still_needed({name_of(sealed("0")): {KIND: 3}}) == 3


def test_what_stands_for_another_shape_of_what_was_captured_is_no_help():
    """Standing is found by its name, which says what it is made of; counts are no part of that."""

    def captured(environment, instances=3):
        container = {"Image": "image", "Environment": {"MODE": environment}}
        one = {"VariantName": "a", "ModelName": "m", "InstanceType": KIND, "InitialInstanceCount": 1}
        found = state(Live(variant="a", weight=1.0, instances=instances), ProductionVariants=[one])
        models = [{"ModelName": "m", "ExecutionRoleArn": "role", "Containers": [container], "Tags": []}]
        return found.model_copy(update={"document": {**found.document, "Endpoint": {"Tags": []}, "Models": models}})

    stands = {name_of(sealed(), captured("old", instances=1)): {KIND: 1}}
    assert still_needed(stands, state=captured("old")) == 2
    assert still_needed(stands, state=captured("new")) == 3


def test_what_answers_clients_beside_the_home_has_its_own_load_to_carry():
    both = rules("active-active")
    stands = {name_of(sealed()): {KIND: 3}}
    assert still_needed(stands, both) == 0
    assert still_needed(stands, both, beside=True) == 3


def test_what_is_left_of_a_tier_that_nobody_wants_any_more_is_not_counted_on():
    """It is about to be deleted."""
    assert still_needed({name_of(sealed()): {KIND: 3}}, rules("cold-standby")) == 3


def test_what_was_never_captured_needs_what_its_sealed_policy_says_and_not_a_newer_one():
    """That is what its failover makes of it."""
    assert still_needed({}, rules(count=7)) == 3


def test_a_point_that_cannot_be_laid_out_stops_no_plan():
    """Its own failover says why."""
    assert still_needed({name_of(sealed()): {KIND: 3}}, sealed=sealed(containers=())) == 3


def test_at_home_no_instances_are_counted_because_its_own_endpoint_runs():
    assert still_needed({}, home=HERE) == 0


def test_what_stands_is_free_for_its_own_model_and_for_no_other():
    """Its instances are among those in use, and are deducted from what it needs, not added to what is free."""
    stands = {name_of(sealed()): {KIND: 2}}
    known = facts(point=point_of(sealed()), sealed=sealed())
    other = known.model_copy(update={"model": CHURN.model_copy(update={"name": "apples"}), "sealed": None})
    room = capacity_of({KIND: 4}, stands, side_by_side=1, read_at=NOON)
    where = Direction(here=HERE, there=THERE, kind=Kind.FAILOVER)
    policy = Policy.parse(
        f"version: 1\nregions: [{THERE}, {HERE}]\nmodels:\n"
        "  - {match: sagemaker/churn, tier: warm-standby, rto: 10m, serving: {instance_count: 3}}\n"
        "  - {match: sagemaker/apples, rto: 20m, serving: {instance_count: 2}}\n"
    )
    made = draw(
        [known, other], where, policy=policy, capacity=room, began_at=NOON, now=NOON, side_by_side=1
    ).plan  # fmt: skip
    assert [one.model.name for one in made.planned] == ["churn"]
    assert "it needs 2 x ml.m5.large and the quota of this region leaves 1" in made.refused[0].reason


def test_what_stands_beyond_a_models_need_makes_no_room_for_another():
    """It still holds its instances."""
    known = facts(point=point_of(sealed()), sealed=sealed())
    other = known.model_copy(update={"model": CHURN.model_copy(update={"name": "apples"}), "sealed": None})
    room = capacity_of({KIND: 5}, {name_of(sealed()): {KIND: 5}}, side_by_side=1, read_at=NOON)
    where = Direction(here=HERE, there=THERE, kind=Kind.FAILOVER)
    made = draw(
        [known, other], where, policy=rules(more=", rto: 10m"), capacity=room, began_at=NOON, now=NOON, side_by_side=1
    ).plan  # fmt: skip
    assert [one.model.name for one in made.planned] == ["churn"]


# what other failovers began since the quotas were read

APPLES = CHURN.model_copy(update={"name": "apples"})
CLAIMED = "churn-23456789-e1"


def left(begun, held, quota=5, kind=KIND, **more):
    """How many instances a region has left for apples, once churn, which needs three, was begun."""
    where = Direction(here=HERE, there=THERE, kind=Kind.FAILOVER)
    churn = facts(point=point_of(sealed()), sealed=sealed(), begun=begun, **more)
    room = capacity_of({KIND: quota, ALL_TYPES: 99}, held, side_by_side=1, read_at=NOON)
    return left_by([churn, facts(model=APPLES)], where, rules(), room)[kind]


def test_what_was_begun_after_the_quotas_were_read_is_deducted():
    assert (left("", {}), left(CLAIMED, {})) == (5, 2)
    assert left(CLAIMED, {}, kind=ALL_TYPES) == 96


@pytest.mark.parametrize(("there", "room"), [(1, 2), (3, 2), (4, 1)])
def test_what_was_begun_before_the_quotas_were_read_is_deducted_once(there, room):
    assert left(CLAIMED, {CLAIMED: {KIND: there}}) == room


def test_what_stands_and_is_made_larger_by_what_was_begun_is_deducted_once():
    assert left(CLAIMED, {name_of(sealed()): {KIND: 1}}) == 2
    assert left(name_of(sealed()), {name_of(sealed()): {KIND: 1}}, moved=True) == 2


def test_more_than_the_quota_was_begun_leaves_nothing_and_not_less():
    assert left(CLAIMED, {}, quota=2) == 0


@pytest.mark.parametrize("moved", [False, True])
def test_what_answers_beside_the_home_gets_as_many_more_and_its_own_share_is_no_part_of_them(moved):
    """The reading holds that share, also where it was made before the failover began."""
    name = name_of(sealed())
    begun = name if moved else CLAIMED
    assert left(begun, {name: {KIND: 3}}, quota=9, beside=True, moved=moved) == 3


def test_what_was_begun_at_home_is_not_deducted_because_its_own_endpoint_runs():
    assert left(CLAIMED, {}, home=HERE) == 5
    assert left("churn", {}, home=HERE, moved=True) == 5


@pytest.mark.parametrize(("there", "room"), [(0, 2), (1, 2), (3, 2)])
def test_what_a_home_restored_to_take_over_is_deducted_once(there, room):
    assert left(CLAIMED, {CLAIMED: {KIND: there}} if there else {}, home=HERE, moved=True) == room


def test_an_evacuation_that_follows_another_gives_nobody_what_the_first_one_took():
    """Whether the first one is still at it, has just ended, or is asked for again with all that joins it."""
    where = Direction(here=HERE, there=THERE, kind=Kind.FAILOVER)
    churn = facts(point=point_of(sealed()), sealed=sealed(), begun=CLAIMED)
    apples = facts(point=point_of(sealed()), sealed=sealed(), model=APPLES)
    room = Capacity(limits={KIND: 5}, used={}, side_by_side=1, read_at=NOON)
    listed = {str(APPLES): Listed(model=APPLES, failover_id="f", reason="down")}
    for began, asked in ((churn, None), (churn, listed), (churn.model_copy(update={"moved": True}), None)):
        made = draw(
            [apples, began], where, policy=rules(), capacity=room, began_at=NOON, now=NOON, side_by_side=1, asked=asked
        ).plan
        assert [one.reason.partition(";")[0] for one in made.refused if one.model == APPLES] == [
            "it needs 3 x ml.m5.large and the quota of this region leaves 2"
        ]
        assert CHURN not in [one.model for one in made.refused]
        assert (CHURN in [one.model for one in made.planned]) == (asked is None and not began.moved)


@pytest.mark.parametrize(("minutes", "endpoint"), [(-1, ""), (0, ""), (1, CLAIMED)])
def test_a_takeover_counts_as_begun_while_the_quotas_are_older(minutes, endpoint):
    taken = Takeover(epoch=1, endpoint=CLAIMED, recovery_point="v", flipped_at=NOON + dt.timedelta(minutes=minutes))
    assert taken_since(Leadership(takeover=taken), NOON) == endpoint
    assert taken_since(Leadership(takeover=taken), None) == ""
    assert taken_since(Leadership(), NOON) == ""


# a planned move of a region fails no request


def slow_route(ttl=300):
    fronts = [Front(region=region, host=region, target=region) for region in (THERE, HERE)]
    times = CheckTimes(interval=10, threshold=3, ttl=ttl)
    return plan_route(CHURN, "models.example", active=fronts[0], standby=fronts[1], times=times, kind=SwitchKind.HTTPS)


def moved(kind, drain="30s", **more):
    """What the plan says of a model whose clients keep an answer for five minutes."""
    policy = rules("cold-standby", 1, f", failover: {{drain: {drain}}}")
    given = {"point": point_of(sealed()), "sealed": sealed(), "route": slow_route(), **more}
    return planned(facts(**given), kind, policy)


@pytest.mark.parametrize(("kind", "home"), [(Kind.MOVE, THERE), (Kind.MOVE, HERE), (Kind.FAILBACK, HERE)])
def test_a_planned_move_is_refused_where_the_old_side_would_stop_before_dns_has_moved(kind, home):
    [refused] = moved(kind, home=home).refused
    assert "failover.drain is 30s, shorter than DNS needs to move" in refused.reason
    assert not refused.tried, "trying it at the end would fail requests as well"


def test_a_drain_that_is_long_enough_is_no_obstacle():
    assert not moved(Kind.MOVE, "340s").refused
    assert moved(Kind.MOVE, "339s").refused


def test_a_region_that_failed_is_left_however_short_the_drain():
    """Nobody drains there."""
    assert not moved(Kind.FAILOVER).refused


def test_what_a_model_lacks_more_is_told_before_its_drain():
    [refused] = moved(Kind.FAILOVER, point=None).refused
    assert refused.reason.startswith("no sealed recovery point")
    [refused] = moved(Kind.MOVE, home="").refused
    assert refused.reason.startswith("never onboarded")


@pytest.mark.parametrize(("kind", "home"), [(Kind.MOVE, THERE), (Kind.FAILBACK, HERE)])
def test_what_is_not_sealed_yet_is_no_obstacle_to_a_planned_move(kind, home):
    """Its gate asks for the protection and waits, as it does for a model that is moved alone."""
    found = moved(kind, "340s", home=home, point=None, sealed=None)
    assert (found.refused, [one.kind for one in found.planned]) == ((), [kind])
