"""Every StandingEndpoints sees mldr's own endpoints alone, makes them small and takes them away whole."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from mldr.aws.serving import SageMakerServing
from mldr.aws.standing_endpoints import SageMakerStandingEndpoints
from mldr.domain.components import copies_key
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
    clients = [
        lambda name=name: moto.client(name) for name in ("sagemaker", "sagemaker-runtime", AUTOSCALING, "cloudwatch")
    ]
    standing = SageMakerStandingEndpoints(clients[0], *clients[2:])
    return SageMakerServing(*clients), standing, lambda name: foreign(moto.client("sagemaker"), name)


AUTOSCALING = "application-autoscaling"


def standing_endpoints(moto, sagemaker):
    return SageMakerStandingEndpoints(sagemaker, lambda: moto.client(AUTOSCALING), lambda: moto.client("cloudwatch"))


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
    assert standing.delete(NAME)
    assert standing.delete(NAME)
    assert (standing.held(), serving.status(NAME)[0]) == ([], "Missing")
    if isinstance(serving, FakeServing):
        return
    sagemaker = request.getfixturevalue("moto").client("sagemaker")
    assert sagemaker.list_models()["Models"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []


COMPONENT = {
    "InferenceComponentName": f"{NAME}-c0",
    "EndpointName": NAME,
    "VariantName": "a",
    "Specification": {"ModelName": f"{NAME}-m1"},
    "RuntimeConfig": {"CopyCount": 2},
}
OF_COMPONENTS = PLAN.model_copy(
    update={
        "models": (PLAN.models[0].model_copy(update={"name": f"{NAME}-m1"}),),
        "config": {
            "ProductionVariants": [{name: one for name, one in VARIANT.items() if name != "ModelName"}],
            "ExecutionRoleArn": ROLE,
        },
        "components": (COMPONENT,),
    }
)


def test_copies_are_held_and_made_few_like_instances(both):
    serving, standing, _ = both
    serving.restore(OF_COMPONENTS)
    serving.finish(OF_COMPONENTS)
    [found] = standing.held()
    key = copies_key(f"{NAME}-c0")
    assert ({name: one.desired for name, one in found.counts.items()}, found.components) == ({"a": 3, key: 2}, 1)
    standing.resize(NAME, {"a": 1, key: 1})
    [found] = standing.held()
    assert {name: one.desired for name, one in found.counts.items()} == {"a": 1, key: 1}


def test_components_and_what_they_and_shadows_are_made_of_go_with_the_endpoint(moto):
    sagemaker = moto.client("sagemaker")
    serving = SageMakerServing(
        *[lambda name=name: moto.client(name) for name in ("sagemaker", "x", AUTOSCALING, "cloudwatch")]
    )
    standing = standing_endpoints(moto, lambda: sagemaker)
    shadow = {**VARIANT, "VariantName": "s", "ModelName": f"{NAME}-m2"}
    models = (*OF_COMPONENTS.models, PLAN.models[0].model_copy(update={"name": f"{NAME}-m2"}))
    config = {**OF_COMPONENTS.config, "ShadowProductionVariants": [shadow]}
    plan = OF_COMPONENTS.model_copy(update={"models": models, "config": config})
    serving.restore(plan)
    serving.finish(plan)
    for _ in range(2):
        standing.delete(NAME)
    assert (serving.status(NAME)[0], sagemaker.list_models()["Models"]) == ("Missing", [])
    assert sagemaker.list_inference_components()["InferenceComponents"] == []


def test_while_components_are_being_deleted_the_endpoint_and_its_configuration_stay(moto, monkeypatch):
    """SageMaker takes its time for them, and deletes no endpoint that has any."""
    sagemaker = moto.client("sagemaker")
    serving = SageMakerServing(
        *[lambda name=name: moto.client(name) for name in ("sagemaker", "x", AUTOSCALING, "cloudwatch")]
    )
    standing = standing_endpoints(moto, lambda: sagemaker)
    serving.restore(OF_COMPONENTS)
    serving.finish(OF_COMPONENTS)
    with monkeypatch.context() as slowly:
        slowly.setattr(sagemaker, "delete_inference_component", lambda **_: None)
        assert not standing.delete(NAME)
    assert serving.status(NAME)[0] == "InService"
    assert len(sagemaker.list_endpoint_configs()["EndpointConfigs"]) == 1
    assert standing.delete(NAME)
    assert serving.status(NAME)[0] == "Missing"


def test_a_refusal_to_delete_is_no_missing_endpoint(moto, monkeypatch):
    """One code says both; an endpoint that lives keeps its configuration."""
    sagemaker = moto.client("sagemaker")
    serving = SageMakerServing(
        *[lambda name=name: moto.client(name) for name in ("sagemaker", "x", AUTOSCALING, "cloudwatch")]
    )
    standing = standing_endpoints(moto, lambda: sagemaker)
    serving.restore(PLAN)
    error = {"Error": {"Code": "ValidationException", "Message": "Cannot update in-progress endpoint"}}

    def refuse(**_):
        raise ClientError(error, "DeleteEndpoint")  # type: ignore[arg-type]

    monkeypatch.setattr(sagemaker, "delete_endpoint", refuse)
    with pytest.raises(EndpointFailed, match="a later look"):
        standing.delete(NAME)
    assert len(sagemaker.list_endpoint_configs()["EndpointConfigs"]) == 1


def test_nothing_that_is_gone_is_deleted_again_for_a_right_by_tag_would_refuse_it(moto, monkeypatch):
    """IAM finds no tag on what is not there, and refuses: while an endpoint is being deleted its models are gone."""
    sagemaker = moto.client("sagemaker")
    serving = SageMakerServing(
        *[lambda name=name: moto.client(name) for name in ("sagemaker", "x", AUTOSCALING, "cloudwatch")]
    )
    standing = standing_endpoints(moto, lambda: sagemaker)
    serving.restore(PLAN)
    described = sagemaker.describe_endpoint(EndpointName=NAME)
    sagemaker.delete_model(ModelName=NAME)
    sagemaker.delete_endpoint_config(EndpointConfigName=NAME)
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no tag"}}, "Delete")  # type: ignore[arg-type]

    def refuse(**_):
        raise denied

    monkeypatch.setattr(sagemaker, "describe_endpoint", lambda **_: {**described, "EndpointStatus": "Deleting"})
    for operation in ("delete_model", "delete_endpoint", "delete_endpoint_config"):
        monkeypatch.setattr(sagemaker, operation, refuse)
    standing.delete(NAME)


def test_what_was_deleted_half_is_deleted_whole_the_next_time(moto):
    serving = SageMakerServing(
        *[lambda name=name: moto.client(name) for name in ("sagemaker", "x", AUTOSCALING, "cloudwatch")]
    )
    standing = standing_endpoints(moto, lambda: moto.client("sagemaker"))
    serving.restore(PLAN)
    moto.client("sagemaker").delete_model(ModelName=NAME)
    standing.delete(NAME)
    assert standing.held() == []


def test_autoscaling_does_not_raise_it_again(moto):
    serving = SageMakerServing(
        *[lambda name=name: moto.client(name) for name in ("sagemaker", "x", AUTOSCALING, "cloudwatch")]
    )
    standing = standing_endpoints(moto, lambda: moto.client("sagemaker"))
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
    serving.finish(plan)
    standing.settle(NAME, ("a",))
    assert moto.client(AUTOSCALING).describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert serving.capacity(NAME) == {"a": Count(current=1, desired=1, weight=1.0)}


def test_what_does_not_scale_by_itself_is_only_looked_at(both):
    serving, standing, _ = both
    serving.restore(PLAN)
    standing.settle(NAME, ("a",))
    standing.settle(NAME, ())
    assert serving.capacity(NAME)["a"].desired == 3


STEPPED = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"endpoint/{NAME}/variant/a",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    "PolicyName": "steps",
    "PolicyType": "StepScaling",
    "StepScalingPolicyConfiguration": {"AdjustmentType": "ChangeInCapacity"},
}
ALARM = {
    "Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1,
    "Threshold": 9.0, "ComparisonOperator": "GreaterThanThreshold", "AlarmActions": [],
}  # fmt: skip


@pytest.mark.parametrize("act", ["resize", "delete"])
def test_the_alarms_that_were_put_for_an_endpoint_go_with_its_autoscaling_and_no_others(moto, act):
    serving, cloudwatch = sagemaker_serving(moto), moto.client("cloudwatch")
    target = {name: STEPPED[name] for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
    plan = PLAN.model_copy(
        update={
            "targets": ({**target, "MinCapacity": 3, "MaxCapacity": 9},),
            "policies": ({**STEPPED, "Alarms": [ALARM, {**ALARM, "Threshold": 99.0}]},),
        }
    )
    serving.restore(plan)
    assert serving.finish(plan).warnings == ()
    assert len(cloudwatch.describe_alarms()["MetricAlarms"]) == 2
    others = {f"mldr-scaling-{NAME}-more-12345678", "mldr-prod-undelivered"}
    for name in others:
        cloudwatch.put_metric_alarm(AlarmName=name, **ALARM)
    standing = standing_endpoints(moto, lambda: moto.client("sagemaker"))
    standing.resize(NAME, {"a": 1}) if act == "resize" else standing.delete(NAME)
    assert {one["AlarmName"] for one in cloudwatch.describe_alarms()["MetricAlarms"]} == others


def test_an_alarm_that_is_refused_is_told_and_holds_nothing_up(moto, monkeypatch):
    serving, cloudwatch = sagemaker_serving(moto), moto.client("cloudwatch")

    def refuse(**_):
        raise ClientError({"Error": {"Code": "LimitExceeded", "Message": "too many alarms"}}, "PutMetricAlarm")

    monkeypatch.setattr(cloudwatch, "put_metric_alarm", refuse)
    target = {name: STEPPED[name] for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
    plan = PLAN.model_copy(
        update={
            "targets": ({**target, "MinCapacity": 3, "MaxCapacity": 9},),
            "policies": ({**STEPPED, "Alarms": [ALARM]},),
        }
    )
    serving.restore(plan)
    [warning] = serving.finish(plan).warnings
    assert warning.startswith(f"endpoint/{NAME}/variant/a does not scale as it did")


def sagemaker_serving(moto):
    names = ("sagemaker", "x", AUTOSCALING, "cloudwatch")
    return SageMakerServing(*[lambda name=name: moto.client(name) for name in names])
