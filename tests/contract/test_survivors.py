"""Survivors and ScalingLimits: what a home remembers, and how far autoscaling may go, on memory and on AWS's APIs."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mldr.aws.scaling_limits import AutoScalingLimits
from mldr.aws.serving import SageMakerServing
from mldr.aws.survivors import DynamoSurvivors
from mldr.domain.components import copies_key
from mldr.domain.growth import Growth
from mldr.domain.health import HealthState, Sight
from mldr.domain.identity import ModelKey
from mldr.domain.serving import PlannedModel, ServingPlan
from mldr.domain.survivor import Survivor
from mldr.errors import EndpointFailed, LostRace
from tests.contract.conftest import ACCOUNT, STANDBY
from tests.fakes.survivors import FakeScalingLimits, FakeSurvivors

SERVICE = "dynamodb"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CHURN = ModelKey(registry="sagemaker", name="churn")
OTHER = ModelKey(registry="sagemaker", name="churn-2")
GROWTH = Growth(endpoint="churn", before={"a": 2}, wanted={"a": 4}, limits={"a": 3}, planned_at=NOW)
AUTOSCALING = "application-autoscaling"


@pytest.fixture
def survivors(backend) -> Any:
    if not backend:
        return FakeSurvivors()
    backend.client("dynamodb").create_table(
        TableName="catalog",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return DynamoSurvivors(backend.client("dynamodb"), table="catalog")


def test_nothing_is_remembered_before_the_first_round(survivors):
    assert survivors.of(CHURN) == Survivor()


def test_what_a_round_leaves_is_read_back_whole_and_kept_apart(survivors):
    left = Survivor().next(peer={"a": 2}, growth=GROWTH, health=HealthState(verdict=Sight.UNHEALTHY))
    survivors.put(CHURN, left)
    assert (survivors.of(CHURN), survivors.of(OTHER)) == (left, Survivor())


def test_a_round_that_read_an_older_revision_is_refused(survivors):
    first = Survivor().next(peer={"a": 2})
    survivors.put(CHURN, first)
    with pytest.raises(LostRace):
        survivors.put(CHURN, Survivor().next(peer={"a": 9}))
    second = first.next(growth=GROWTH)
    survivors.put(CHURN, second)
    with pytest.raises(LostRace):
        survivors.put(CHURN, first.next(growth=None))
    assert survivors.of(CHURN) == second


@pytest.mark.parametrize("before", [Survivor(), Survivor().next()])
def test_of_eight_rounds_at_once_one_writes(survivors, before):
    if before.revision:
        survivors.put(CHURN, before)

    def write(number):
        try:
            survivors.put(CHURN, before.next(peer={"a": number}))
        except LostRace:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        [won] = [number for number in pool.map(write, range(1, 9)) if number]
    assert survivors.of(CHURN).peer == {"a": won}


# autoscaling


@pytest.fixture(params=["memory", "moto"])
def scaled(request) -> Any:
    """The limits of an endpoint whose variants `a` and `b` may have 3 and 5 instances; `c` does not scale by itself."""
    if request.param == "memory":
        limits = FakeScalingLimits()
        limits.targets = {("churn", "a"): 3, ("churn", "b"): 5, ("other", "a"): 9}
        return limits
    moto = request.getfixturevalue("moto")
    made(moto)
    return AutoScalingLimits(lambda: moto.client(AUTOSCALING))


def made(moto):
    image = f"{ACCOUNT}.dkr.ecr.{STANDBY}.amazonaws.com/churn:1"
    model = PlannedModel(
        name="m",
        role=f"arn:aws:iam::{ACCOUNT}:role/serve",
        containers=({"Image": image, "ModelDataUrl": "s3://vault/model.tar.gz"},),
    )
    for endpoint, most in (("churn", {"a": 3, "b": 5}), ("other", {"a": 9})):
        variants = [
            {"VariantName": name, "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
            for name in "abc"
        ]
        plan = ServingPlan(
            name=endpoint,
            models=(model,),
            config={"ProductionVariants": variants},
            targets=tuple(target(endpoint, name, count) for name, count in most.items()),
        )
        serving = SageMakerServing(
            *[lambda name=name: moto.client(name) for name in ("sagemaker", "x", AUTOSCALING, "x")]
        )
        serving.restore(plan)
        assert serving.finish(plan).warnings == ()


def target(endpoint, variant, most):
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/{variant}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "MinCapacity": 1,
        "MaxCapacity": most,
    }


def test_only_what_scales_by_itself_has_a_limit(scaled):
    assert scaled.limits("churn", ["a", "b", "c"]) == {"a": 3, "b": 5}
    assert scaled.limits("churn", ["b"]) == {"b": 5}
    assert scaled.limits("nobody", ["a"]) == {}
    assert scaled.limits("churn", []) == {}


def test_a_limit_is_set_and_nothing_besides(scaled, request):
    scaled.allow("churn", {"a": 6})
    scaled.allow("churn", {})
    assert scaled.limits("churn", ["a", "b"]) == {"a": 6, "b": 5}
    assert scaled.limits("other", ["a"]) == {"a": 9}
    if isinstance(scaled, AutoScalingLimits):
        found = (
            request.getfixturevalue("moto")
            .client(AUTOSCALING)
            .describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=["endpoint/churn/variant/a"])[
                "ScalableTargets"
            ]
        )
        assert [(one["MinCapacity"], one["MaxCapacity"]) for one in found] == [(1, 6)]


def test_copies_that_scale_by_themselves_have_a_limit_of_their_own(moto):
    made(moto)
    moto.client("sagemaker").create_inference_component(
        InferenceComponentName="a",
        EndpointName="churn",
        VariantName="a",
        Specification={"ModelName": "m"},
        RuntimeConfig={"CopyCount": 1},
    )
    moto.client(AUTOSCALING).register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId="inference-component/a",
        ScalableDimension="sagemaker:inference-component:DesiredCopyCount",
        MinCapacity=1,
        MaxCapacity=7,
    )
    limits = AutoScalingLimits(lambda: moto.client(AUTOSCALING))
    limits.allow("churn", {copies_key("a"): 8})
    assert limits.limits("churn", ["a", copies_key("a")]) == {"a": 3, copies_key("a"): 8}


def test_what_does_not_scale_by_itself_is_given_no_limit(scaled):
    with pytest.raises(EndpointFailed):
        scaled.allow("churn", {"c": 6})
