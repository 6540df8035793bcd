"""Every StandingEndpoints sees mldr's own endpoints alone, makes them small and takes them away whole."""

from typing import Any

import pytest

from mldr.aws.serving import SageMakerServing
from mldr.aws.standing_endpoints import SageMakerStandingEndpoints
from mldr.domain.serving import MODEL_TAG, POINT_TAG, PlannedModel, ServingPlan
from mldr.domain.warming import Count
from mldr.errors import EndpointFailed, NotAllowed
from tests.contract.conftest import ACCOUNT, STANDBY
from tests.fakes.serving import Endpoint, FakeServing, FakeStandingEndpoints

NAME = "churn-12345678-sabcdef"
CONTAINER = {"Image": f"{ACCOUNT}.dkr.ecr.{STANDBY}.amazonaws.com/churn:1", "ModelDataUrl": "s3://vault/model.tar.gz"}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/serve"
VARIANT = {"VariantName": "a", "ModelName": NAME, "InstanceType": "ml.m5.large", "InitialInstanceCount": 3}
PLAN = ServingPlan(
    name=NAME,
    models=(PlannedModel(name=NAME, role=ROLE, containers=(CONTAINER,)),),
    config={"ProductionVariants": [VARIANT]},
    marks=({"Key": MODEL_TAG, "Value": "sagemaker/churn"}, {"Key": POINT_TAG, "Value": "v1-abc12345678"}),
)


@pytest.fixture(params=["memory", "moto"])
def both(request) -> Any:
    """What serves, and what of it is mldr's; `foreign` makes an endpoint of somebody else."""
    if request.param == "memory":
        serving = FakeServing()
        return serving, FakeStandingEndpoints(serving), lambda name: serving.endpoints.update({name: Endpoint()})
    moto = request.getfixturevalue("moto")
    clients = [lambda name=name: moto.client(name) for name in ("sagemaker", "sagemaker-runtime", AUTOSCALING)]
    standing = SageMakerStandingEndpoints(clients[0], clients[2])
    return SageMakerServing(*clients), standing, lambda name: foreign(moto.client("sagemaker"), name)


AUTOSCALING = "application-autoscaling"


def foreign(sagemaker, name):
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=CONTAINER)
    variant = {**VARIANT, "ModelName": name}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)


def test_what_mldr_made_is_found_with_all_that_decides_about_it(both):
    serving, standing, _ = both
    assert standing.held() == []
    serving.restore(PLAN)
    [found] = standing.held()
    assert (found.name, found.model, found.recovery_point) == (NAME, "sagemaker/churn", "v1-abc12345678")
    assert (found.status, found.components) == ("InService", 0)
    assert {name: (one.current, one.desired) for name, one in found.counts.items()} == {"a": (3, 3)}


@pytest.mark.parametrize("name", ["churn", "churn-12345678-e1", "churn-12345678-s000000"])
def test_what_somebody_else_made_is_not_seen_and_cannot_be_deleted(both, name):
    serving, standing, make = both
    make(name)
    assert standing.held() == []
    with pytest.raises(NotAllowed, match="is not mldr's"):
        standing.delete(name)
    assert serving.status(name)[0] == "InService"


def test_it_is_made_small(both):
    serving, standing, _ = both
    serving.restore(PLAN)
    standing.resize(NAME, {"a": 1})
    assert serving.capacity(NAME) == {"a": Count(current=1, desired=1, weight=1.0)}


def test_it_is_made_large(both):
    serving, standing, _ = both
    serving.restore(PLAN)
    standing.resize(NAME, {"a": 5})
    assert serving.capacity(NAME)["a"].desired == 5


def test_a_variant_that_is_not_there_cannot_be_made_small(both):
    serving, standing, _ = both
    serving.restore(PLAN)
    with pytest.raises(EndpointFailed):
        standing.resize(NAME, {"b": 1})


def test_it_is_deleted_whole_and_twice_is_harmless(both, request):
    serving, standing, _ = both
    serving.restore(PLAN)
    standing.delete(NAME)
    standing.delete(NAME)
    assert (standing.held(), serving.status(NAME)[0]) == ([], "Missing")
    if isinstance(serving, FakeServing):
        return
    sagemaker = request.getfixturevalue("moto").client("sagemaker")
    assert sagemaker.list_models()["Models"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []


def test_what_was_deleted_half_is_deleted_whole_the_next_time(moto):
    serving = SageMakerServing(*[lambda name=name: moto.client(name) for name in ("sagemaker", "x", AUTOSCALING)])
    standing = SageMakerStandingEndpoints(lambda: moto.client("sagemaker"), lambda: moto.client(AUTOSCALING))
    serving.restore(PLAN)
    moto.client("sagemaker").delete_model(ModelName=NAME)
    standing.delete(NAME)
    assert standing.held() == []


def test_autoscaling_does_not_raise_it_again(moto):
    serving = SageMakerServing(*[lambda name=name: moto.client(name) for name in ("sagemaker", "x", AUTOSCALING)])
    standing = SageMakerStandingEndpoints(lambda: moto.client("sagemaker"), lambda: moto.client(AUTOSCALING))
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{NAME}/variant/a",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "MinCapacity": 3,
        "MaxCapacity": 9,
    }
    plan = PLAN.model_copy(update={"targets": (target,)})
    serving.restore(plan)
    serving.finish(plan)
    standing.resize(NAME, {"a": 1})
    assert moto.client(AUTOSCALING).describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
