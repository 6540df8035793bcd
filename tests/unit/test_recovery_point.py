"""Identity, phases, verification, epochs, evidence, serving and routing: small decisions, by example and by law."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.evidence import phase_times
from mldr.domain.failover import ABANDONED, Epoch, automatic_id, next_epoch
from mldr.domain.identity import ModelKey, recovery_point_id
from mldr.domain.policy import Policy
from mldr.domain.recovery_point import (
    Manifest,
    Origin,
    Phase,
    Record,
    Retention,
    Rewrite,
    newest_damaged,
    newest_restorable,
)
from mldr.domain.routing import CheckTimes, Front, plan_route
from mldr.domain.serving import plan_serving
from mldr.errors import BadEvent, EpochTaken, NotRestorable

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CHURN = ModelKey(registry="sagemaker", name="churn")
RULES = Policy.parse("version: 1\nregions: [ap-southeast-1, ap-southeast-3]\n")


def record(name="v1-abc", phase=Phase.SEALED, promoted=0, **more):
    origin = Origin(region="ap-southeast-1", version="1", arn="arn", promoted_at=NOW + dt.timedelta(minutes=promoted))
    return Record(model=CHURN, recovery_point=name, phase=phase, attempt=1, origin=origin, started_at=NOW, **more)


# identity


@pytest.mark.parametrize("text", ["churn", "sagemaker/churn"])
def test_a_model_is_sagemakers_unless_it_says_otherwise(text):
    assert ModelKey.parse(text) == CHURN
    assert str(ModelKey.parse(text)) == "sagemaker/churn"


def test_another_registry_is_kept():
    assert ModelKey.parse("mlflow/Churn-2") == ModelKey(registry="mlflow", name="Churn-2")
    assert ModelKey.parse("mlflow/Churn-2").label == "churn-2"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a/",
        "/churn",
        "-churn",
        "churn-",
        "ch urn",
        "churn\n",
        "a/b/churn",
        "../churn",
        "x" * 64,
        "chürn",
        "A/churn",
    ],
)
def test_what_is_no_model_is_refused(text):
    with pytest.raises(BadEvent, match="model: "):
        ModelKey.parse(text)


JSON = st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none()))


@given(JSON, JSON)
def test_the_same_record_has_the_same_id_and_another_has_another(one, other):
    ids = [recovery_point_id("1", "arn", document) for document in (one, dict(reversed(one.items())), other)]
    assert ids[0] == ids[1]
    assert (ids[0] == ids[2]) == (
        one == other and {k: type(v) for k, v in one.items()} == {k: type(v) for k, v in other.items()}
    )


def test_the_id_names_the_version_and_depends_on_the_arn():
    assert recovery_point_id("7", "arn", {}).startswith("v7-")
    assert recovery_point_id("7", "arn", {}) != recovery_point_id("7", "other", {})


# phases


def test_only_a_sealed_point_that_was_not_withdrawn_is_restorable():
    assert [phase for phase in Phase if record(phase=phase).restorable] == [Phase.SEALED]
    assert not record(withdrawn="Rejected").restorable


def test_the_newest_promotion_wins_not_the_newest_seal():
    older = record("v1-old", promoted=0, sealed_at=NOW + dt.timedelta(hours=5))
    newer = record("v2-new", promoted=9, sealed_at=NOW)
    assert newest_restorable([newer, older]) is newer
    assert (
        newest_restorable([older, newer, record("v3", Phase.FAILED, 99), record("v4", promoted=99, withdrawn="x")])
        is newer
    )
    assert newest_restorable([record(phase=Phase.COPYING)]) is None
    assert newest_restorable([]) is None


def test_a_damaged_point_is_named_while_nothing_newer_was_sealed():
    older, bad = record("v1-old"), record("v2-bad", promoted=9, damaged="damaged: other bytes")
    assert newest_damaged([bad, older]) is bad
    assert newest_damaged([bad]) is bad
    assert newest_restorable([bad, older]) is older
    again = record("v2-again", promoted=9).model_copy(update={"started_at": NOW + dt.timedelta(hours=1)})
    for sound in (again, record("v3", promoted=10)):
        assert newest_damaged([bad, older, sound]) is None
    assert newest_damaged([bad, older, record("v3", Phase.COPYING, promoted=10)]) is bad
    assert newest_damaged([older, record("v2", promoted=9, damaged="damaged", withdrawn="Rejected")]) is None
    assert newest_damaged([older]) is None


# epochs


def held(concluded=False, ago=dt.timedelta(minutes=1)):
    return Epoch(
        number=4, failover_id="first", region="r", recovery_point="v1-0", claimed_at=NOW - ago, concluded=concluded
    )


def claim(current, failover_id="second"):
    return next_epoch(current, failover_id=failover_id, region="ap-southeast-3", recovery_point="v1-0", now=NOW)


def test_the_first_epoch_is_one():
    assert (claim(None).number, claim(None).claimed_at) == (1, NOW)


def test_a_failover_keeps_the_epoch_that_it_has():
    assert claim(held(), "first") == held()
    assert claim(held(concluded=True, ago=ABANDONED * 9), "first").number == 4


@pytest.mark.parametrize("current", [held(concluded=True), held(ago=ABANDONED), held(ago=ABANDONED * 2)])
def test_a_concluded_or_abandoned_epoch_is_followed(current):
    following = claim(current)
    assert (following.number, following.failover_id, following.concluded) == (5, "second", False)


@pytest.mark.parametrize("ago", [dt.timedelta(0), ABANDONED - dt.timedelta(seconds=1)])
def test_an_epoch_that_is_held_is_taken(ago):
    with pytest.raises(EpochTaken, match="epoch 4 is held by failover first since 2026"):
        claim(held(ago=ago))


@given(st.text("abc-", min_size=1, max_size=63), st.text("abc-", min_size=1, max_size=63), st.integers(0, 10**6))
def test_automatic_ids_keep_models_apart_and_fit_into_a_request(one, other, number):
    epoch = Epoch(number=number, failover_id="x", region="r", recovery_point="v1-0", claimed_at=NOW)
    ids = {automatic_id(ModelKey(registry="sagemaker", name=name), epoch, NOW) for name in (one, other)}
    assert len(ids) == len({one, other})
    assert all(len(one) <= 60 for one in ids)


def test_an_automatic_id_is_the_same_for_the_same_outage_only():
    assert automatic_id(CHURN, None, NOW) == automatic_id(CHURN, None, NOW)
    assert automatic_id(CHURN, None, NOW) != automatic_id(CHURN, held(), NOW)
    assert automatic_id(CHURN, None, NOW) != automatic_id(CHURN, None, NOW + dt.timedelta(seconds=1))


# evidence


def after(seconds):
    return NOW + dt.timedelta(seconds=seconds)


def test_phases_are_measured_between_their_marks():
    found = phase_times([("start", after(0)), ("detect", after(30)), ("decide", after(31.5))])
    assert [(one.name, one.seconds) for one in found] == [("detect", 30.0), ("decide", 1.5)]


def test_what_was_not_measured_is_not_reported():
    marks = [("start", after(0)), ("detect", after(1)), ("decide", None), ("restore", after(9))]
    assert [one.name for one in phase_times(marks)] == ["detect"]
    assert phase_times([("start", None), ("detect", after(1))]) == ()
    assert phase_times([]) == ()


# serving


def manifest(document=None, rewrites=(), **policy):
    rules = RULES.for_model("sagemaker", "churn", {})
    serving = rules.serving.model_copy(update=policy)
    return Manifest(
        recovery_point="v1-0123456789ab",
        model=CHURN,
        origin=record().origin,
        standby_region="ap-southeast-3",
        sealed_at=NOW,
        retention=Retention(mode="GOVERNANCE", until=NOW),
        policy=rules.model_copy(update={"serving": serving}),
        policy_version="1",
        rewrites=rewrites,
        golden=None,
        shards=(),
        objects=0,
        bytes=0,
        shared=0,
        layout="recovery-points/sagemaker/churn/v1-0123456789ab/objects/p",
        registry_document=document
        or {"InferenceSpecification": {"Containers": [{"Image": "old", "ModelDataETag": "e"}]}},
    )


def test_a_plan_serves_the_rewritten_containers_with_what_create_model_takes():
    rewrite = Rewrite(path="InferenceSpecification.Containers[0].Image", kind="image", source="old", target="new")
    plan = plan_serving(manifest(rewrites=(rewrite,)), epoch=2, default_role="role")
    [model], [variant] = plan.models, plan.config["ProductionVariants"]
    assert model.containers == ({"Image": "new"},)
    assert (plan.name, model.name, model.role) == ("churn-456789ab-e2", "churn-456789ab-e2", "role")
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.m5.large", 1)


def test_the_policys_role_wins_over_the_stacks():
    assert plan_serving(manifest(role="its own"), epoch=1, default_role="role").models[0].role == "its own"


@pytest.mark.parametrize("document", [{"InferenceSpecification": {"Containers": []}}, {"ModelPackageDescription": "x"}])
def test_a_version_that_says_not_how_it_is_served_cannot_be(document):
    with pytest.raises(NotRestorable, match=r"no InferenceSpecification.Containers"):
        plan_serving(manifest(document), epoch=1, default_role="role")


# routing


def test_names_are_lower_case_and_the_zones_dot_is_dropped():
    front = Front(region="r", host="h", target="t")
    model = ModelKey(registry="sagemaker", name="Churn")
    route = plan_route(
        model, "models.example.", active=front, standby=front, times=CheckTimes(interval=10, threshold=1, ttl=1)
    )
    assert (route.name, route.verdict_name, route.switch_name) == (
        "churn.models.example",
        "_health.churn.models.example",
        "_switch.churn.models.example",
    )
    assert route.endpoint_checks[0].path == "/models/Churn/health"
