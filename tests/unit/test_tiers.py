"""Converging to a tier, as a pure decision: it ends, touches only mldr's own, and never deletes what serves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.components import copies_key
from mldr.domain.identity import ModelKey
from mldr.domain.model_rules import Tier
from mldr.domain.serving import PlannedModel, ServingPlan
from mldr.domain.tiers import (
    Held,
    Situation,
    Verb,
    Wanted,
    at_floor,
    converge,
    counts_beside,
    for_both,
    standing_name,
    wanted_of,
    without_shadows,
)
from mldr.domain.warming import Count

CHURN = ModelKey(registry="sagemaker", name="churn")
STATUSES = ("InService", "Creating", "Updating", "Failed", "OutOfService", "Deleting")
NAMES = ("churn-aaaaaaaa-s111111", "churn-bbbbbbbb-s222222", "churn-aaaaaaaa-e1")


def held(name, status="InService", model=str(CHURN), count=1, components=0):
    counts = {"a": Count(current=count, desired=count)}
    return Held(
        name=name, model=model, recovery_point="v1", status=status, counts=counts, components=components
    )  # fmt: skip


def plan(count=4, *, components=(), weight=1.0, image="one", **config):
    variant = {"VariantName": "a", "ModelName": "m", "InstanceType": "ml.c5.xlarge", "InitialInstanceCount": count,
               "InitialVariantWeight": weight}  # fmt: skip
    model = PlannedModel(name="m", role="r", containers=({"Image": image},))
    return ServingPlan(
        name="m", models=(model,), config={"ProductionVariants": [variant], **config}, components=components
    )


def wanted(name=NAMES[0], **more):
    return Wanted(name=name, recovery_point="v1", counts={"a": 1}, **more)


situations = st.builds(
    Situation,
    model=st.just(CHURN),
    region=st.just("ap-southeast-3"),
    tier=st.sampled_from(Tier),
    busy=st.sampled_from(["", "", "epoch 1 is being claimed"]),
    used=st.frozensets(st.sampled_from(NAMES)),
    wanted=st.none() | st.builds(wanted, st.sampled_from(NAMES[:2]), from_zero=st.booleans()),
    held=st.lists(
        st.builds(
            held,
            st.sampled_from(NAMES),
            st.sampled_from(STATUSES),
            st.sampled_from(["sagemaker/churn", "sagemaker/other"]),
            st.integers(1, 4),
            st.integers(0, 2),
        ),
        unique_by=lambda one: one.name,
    ).map(tuple),
)


def after(now, actions):
    """The same situation once the actions are done and every endpoint has come as far as it comes by itself."""
    there = {one.name: one for one in now.held}
    for action in actions:
        if action.verb is Verb.DELETE:
            del there[action.endpoint]
        elif action.verb is Verb.CREATE:
            there[action.endpoint] = held(action.endpoint, "Creating")
        else:
            there[action.endpoint] = held(action.endpoint, "Updating")
    moved = {"Creating": "InService", "Updating": "InService", "Deleting": None}
    come = [one.model_copy(update={"status": moved.get(one.status, one.status)}) for one in there.values()]
    return now.model_copy(update={"held": tuple(one for one in come if one.status)})


@given(situations)
def test_what_may_answer_clients_is_never_touched(now):
    assert not {one.endpoint for one in converge(now).actions} & now.used


@given(situations)
def test_only_endpoints_of_the_model_itself_are_touched(now):
    others = {one.name for one in now.held if one.model != str(CHURN)}
    touched = {one.endpoint for one in converge(now).actions if one.verb is not Verb.CREATE}
    assert not touched & others
    assert converge(now).actions == () or not now.busy


@given(situations)
def test_converging_ends(now):
    now = now.model_copy(update={"held": tuple(one for one in now.held if one.model == str(CHURN))})
    for _ in range(6):
        now = after(now, converge(now).actions)
    assert converge(now).actions == ()
    if not now.busy and now.wanted and now.wanted.name not in now.used:
        assert now.wanted.name in {one.name for one in now.held}


@given(situations)
def test_there_is_never_less_standing_than_before_unless_nothing_is_wanted(now):
    serving = {one.name for one in now.held if one.status == "InService" and one.model == str(CHURN)}
    gone = {one.endpoint for one in converge(now).actions if one.verb is Verb.DELETE}
    from_zero = now.wanted is not None and now.wanted.from_zero
    if now.wanted and serving and not now.busy and not from_zero:
        assert serving - gone


@given(situations)
def test_every_action_says_why(now):
    found = converge(now)
    assert found.reason
    assert all(one.reason for one in found.actions)


def test_the_name_follows_the_version_and_the_shape_but_no_count_and_no_weight():
    same = {standing_name(one, CHURN, "v1-12345678") for one in (plan(1), plan(9), plan(weight=0.3))}
    other = standing_name(plan(image="two"), CHURN, "v1-12345678")
    assert len(same) == 1
    assert other not in same
    assert standing_name(plan(), CHURN, "v2-87654321") not in same
    assert standing_name(plan(KmsKeyId="key"), CHURN, "v1-12345678") not in same


def test_a_name_fits_into_sagemaker_with_room_for_its_models():
    long = ModelKey(registry="sagemaker", name="m" * 63)
    assert len(standing_name(plan(), long, "v1-12345678") + "-m99") <= 63


@pytest.mark.parametrize(("floor", "served", "stands"), [(1, 4, 1), (3, 4, 3), (9, 4, 4), (0, 4, 1), (1, 1, 1)])
def test_a_variant_stands_at_the_floor_and_never_with_more_than_served(floor, served, stands):
    full = plan(served)
    assert wanted_of(full, CHURN, "v1-12345678", floor).counts == {"a": stands}
    [variant] = at_floor(full, floor).config["ProductionVariants"]
    assert variant["InitialInstanceCount"] == stands


def test_only_inference_components_let_it_stand_at_zero():
    component = {"InferenceComponentName": "c", "Specification": {"ModelName": "m"}, "RuntimeConfig": {"CopyCount": 2}}
    full = plan(4, components=(component,))
    assert wanted_of(full, CHURN, "v1-12345678", 0).from_zero
    made = at_floor(full, 0)
    [variant] = made.config["ProductionVariants"]
    assert (made.components, variant["ManagedInstanceScaling"]["MinInstanceCount"]) == ((), 0)
    assert "only an endpoint of inference components" in wanted_of(plan(), CHURN, "v1-12345678", 0).remark


def test_at_zero_managed_instances_go_as_they_did():
    managed = {"Status": "ENABLED", "MinInstanceCount": 3, "MaxInstanceCount": 9, "ScaleInPolicy": {"Strategy": "X"}}
    full = plan(4, components=(component(),))
    variant = {**full.config["ProductionVariants"][0], "ManagedInstanceScaling": managed}
    full = full.model_copy(update={"config": {"ProductionVariants": [variant]}})
    [made] = at_floor(full, 0).config["ProductionVariants"]
    assert made["ManagedInstanceScaling"] == {**managed, "MinInstanceCount": 0}


def component(copies=3, **more):
    return {"InferenceComponentName": "c", "Specification": {"ModelName": "m"}, "RuntimeConfig": {"CopyCount": copies}}


@pytest.mark.parametrize(("floor", "copies", "stands"), [(1, 3, 1), (2, 3, 2), (5, 3, 3), (1, 0, 1)])
def test_a_component_stands_with_no_more_copies_than_its_floor_has_instances(floor, copies, stands):
    full = plan(4, components=(component(copies),))
    assert wanted_of(full, CHURN, "v1-12345678", floor).counts[copies_key("c")] == stands
    assert at_floor(full, floor).components[0]["RuntimeConfig"]["CopyCount"] == stands


def test_managed_instances_may_go_down_to_the_floor_and_are_not_asked_for():
    full = plan(4, components=(component(),))
    managed = {"Status": "ENABLED", "MinInstanceCount": 3, "MaxInstanceCount": 9}
    variant = {**full.config["ProductionVariants"][0], "ManagedInstanceScaling": managed}
    full = full.model_copy(update={"config": {"ProductionVariants": [variant]}})
    assert wanted_of(full, CHURN, "v1-12345678", 1).counts == {copies_key("c"): 1}
    [made] = at_floor(full, 1).config["ProductionVariants"]
    assert made["ManagedInstanceScaling"] == {**managed, "MinInstanceCount": 1}


def test_copies_that_scale_by_themselves_are_left_alone_beside_the_home():
    target = {"ResourceId": "inference-component/c", "MinCapacity": 1, "MaxCapacity": 4}
    full = plan(4, components=(component(),)).model_copy(update={"targets": (target,)})
    assert counts_beside(full, {}, answers=True) == {"a": 4}
    assert counts_beside(full, {}, answers=False) == {"a": 4, copies_key("c"): 3}


def test_provisioned_concurrency_that_autoscaling_changes_makes_no_other_endpoint():
    def serverless(provisioned, memory=2048):
        config = {"MemorySizeInMB": memory, "MaxConcurrency": 5, "ProvisionedConcurrency": provisioned}
        variant = {"VariantName": "a", "ModelName": "m", "ServerlessConfig": config}
        return plan().model_copy(update={"config": {"ProductionVariants": [variant]}})

    one, two = (standing_name(serverless(count), CHURN, "v1-12345678") for count in (1, 2))
    assert one == two != standing_name(serverless(1, memory=4096), CHURN, "v1-12345678")


def test_nothing_that_would_raise_it_is_created_with_it():
    target = {"ResourceId": "endpoint/m/variant/a"}
    full = plan(4, ShadowProductionVariants=[{"VariantName": "s"}]).model_copy(update={"targets": (target,)})
    made = at_floor(full, 1)
    assert made.targets == ()
    assert "ShadowProductionVariants" not in made.config


def both_scale(plan):
    """The plan with autoscaling of a variant, of a shadow and of a component, and a schedule."""
    target = {"MinCapacity": 1, "MaxCapacity": 4}
    resources = ("endpoint/m/variant/a", "endpoint/m/variant/s", "inference-component/c")
    return plan.model_copy(
        update={
            "targets": tuple({"ResourceId": one, **target} for one in resources),
            "policies": tuple({"ResourceId": one} for one in resources),
            "schedules": ({"ResourceId": resources[0], "ScalableTargetAction": {"MinCapacity": 2, "MaxCapacity": 6}},
                          {"ResourceId": resources[1]}),
            "components": ({"InferenceComponentName": "c"},),
        }
    )  # fmt: skip


def test_what_answers_beside_the_home_may_grow_to_twice_its_size_and_has_no_shadows():
    made = for_both(both_scale(plan(2, ShadowProductionVariants=[{"VariantName": "s"}])))
    assert made.capacity == {"a": 2}
    assert "ShadowProductionVariants" not in made.config
    assert [(one["ResourceId"], one["MinCapacity"], one["MaxCapacity"]) for one in made.targets] == [
        ("endpoint/m/variant/a", 1, 8),
        ("inference-component/c", 1, 8),
    ]
    assert [one["ResourceId"] for one in made.policies] == ["endpoint/m/variant/a", "inference-component/c"]
    assert [one["ScalableTargetAction"] for one in made.schedules] == [{"MinCapacity": 2, "MaxCapacity": 12}]
    assert made.components


def test_the_instances_that_a_variant_manages_itself_may_grow_as_well():
    full = plan(2)
    [variant] = full.config["ProductionVariants"]
    managed = {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 3}
    full = full.model_copy(update={"config": {"ProductionVariants": [{**variant, "ManagedInstanceScaling": managed}]}})
    [made] = for_both(full).config["ProductionVariants"]
    assert made["ManagedInstanceScaling"] == {**managed, "MaxInstanceCount": 6}


def test_it_is_found_by_the_name_of_what_was_captured():
    full = both_scale(plan(2))
    assert standing_name(full, CHURN, "v1-12345678") == standing_name(
        plan(9, components=full.components), CHURN, "v1-12345678"
    )


@pytest.mark.parametrize(
    ("scales", "answers", "there", "asked"),
    [
        (False, False, 1, {"a": 4}),
        (False, True, 1, {"a": 4}),
        (False, True, 9, {"a": 4}),
        (True, False, 1, {"a": 4}),
        (True, False, 9, {}),
        (True, False, None, {"a": 4}),
        (True, True, 1, {}),
        (True, True, 9, {}),
    ],
)
def test_what_scales_by_itself_is_made_as_large_as_the_home_before_it_answers_and_then_left_alone(
    scales, answers, there, asked
):
    full = both_scale(plan(4)) if scales else plan(4)
    held_there = {} if there is None else {"a": Count(current=there, desired=there)}
    assert counts_beside(full, held_there, answers=answers) == asked


def test_an_active_active_endpoint_is_scaled_for_another_reason_than_a_floor():
    small = held(NAMES[0], count=1)
    now = Situation(
        model=CHURN, region="r", tier=Tier.ACTIVE_ACTIVE, held=(small,),
        wanted=Wanted(name=NAMES[0], recovery_point="v1", counts={"a": 2}),
    )  # fmt: skip
    [action] = converge(now).actions
    assert (action.verb, action.counts) == (Verb.SCALE, {"a": 2})
    assert "as large as it serves at home" in action.reason


def test_what_stands_at_its_floor_does_not_scale_by_itself_and_has_no_shadows():
    """Each would make it larger while nobody is served by it: a minimum, a policy, and the next schedule."""
    full = both_scale(plan(2, ShadowProductionVariants=[{"VariantName": "s"}]))
    for floor in (0, 1):
        made = at_floor(full, floor)
        assert (made.targets, made.policies, made.schedules) == ((), (), ())
        assert "ShadowProductionVariants" not in made.config


def test_that_the_shadows_are_missing_is_said_by_their_names():
    [said] = without_shadows(plan(2, ShadowProductionVariants=[{"VariantName": "s"}, {"VariantName": "t"}]))
    assert "endpoint m stood by without the shadow variants of what served (s, t)" in said
    assert without_shadows(plan(2)) == ()
