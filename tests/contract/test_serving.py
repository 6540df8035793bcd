"""Every Serving keeps the same promises, on memory and on SageMaker."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.loaders import Loader

from mldr.aws.serving import SageMakerServing
from mldr.domain.components import copies_key
from mldr.domain.serving import PlannedModel, ServingPlan
from mldr.errors import EndpointFailed, NotAllowed, RegionUnreachable, RequestRefused, Throttled
from mldr.ports.serving import Finished
from tests.contract.conftest import ACCOUNT, STANDBY
from tests.fakes.serving import FakeServing

CONTAINER = {
    "Image": f"{ACCOUNT}.dkr.ecr.{STANDBY}.amazonaws.com/churn:1",
    "ModelDataUrl": "s3://vault/churn/model.tar.gz",
}
PATHS = (401, 403, 404, 405, 407)  # said of the way to a model, not of a question
ROLE = f"arn:aws:iam::{ACCOUNT}:role/serve"
NAME = "churn-12345678-e1"
VARIANT = {"VariantName": "AllTraffic", "ModelName": NAME, "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
PLAN = ServingPlan(
    name=NAME,
    models=(PlannedModel(name=NAME, role=ROLE, containers=(CONTAINER,)),),
    config={"ProductionVariants": [VARIANT]},
)
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"endpoint/{NAME}/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
SCALED = PLAN.model_copy(
    update={
        "targets": ({**TARGET, "MinCapacity": 1, "MaxCapacity": 4},),
        "policies": (
            {
                **TARGET,
                "PolicyName": "follow",
                "PolicyType": "TargetTrackingScaling",
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": 70.0,
                    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
                },
            },
        ),
        "schedules": (
            {
                **TARGET,
                "ScheduledActionName": "morning",
                "Schedule": "cron(0 6 * * ? *)",
                "ScalableTargetAction": {"MinCapacity": 3},
            },
        ),
    }
)
COMPONENT = {
    "InferenceComponentName": f"{NAME}-c0",
    "EndpointName": NAME,
    "VariantName": "AllTraffic",
    "Specification": {"ModelName": NAME, "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 512}},
    "RuntimeConfig": {"CopyCount": 2},
}
OF_COMPONENTS = PLAN.model_copy(
    update={
        "config": {
            "ProductionVariants": [{k: v for k, v in VARIANT.items() if k != "ModelName"}],
            "ExecutionRoleArn": ROLE,
        },
        "components": (COMPONENT,),
    }
)


def hosted_by(hosts):
    """An endpoint of components whose one variant is as given."""
    return OF_COMPONENTS.model_copy(update={"config": {**OF_COMPONENTS.config, "ProductionVariants": [hosts]}})


CLIENTS = ("sagemaker", "sagemaker-runtime", "application-autoscaling", "cloudwatch")


def on_sagemaker(moto, **more):
    return SageMakerServing(*(lambda name=name: moto.client(name) for name in CLIENTS), **more)


@pytest.fixture(params=["memory", "moto"])
def serving(request) -> Any:
    return FakeServing() if request.param == "memory" else on_sagemaker(request.getfixturevalue("moto"))


@pytest.fixture
def sagemaker(moto):
    return moto.client("sagemaker")


def refused(operation, code="ValidationException", message="no", status=400, **more):
    """A call that AWS refuses."""

    def refuse(**_):
        error = {"Code": code, "Message": message}
        raise ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}, **more}, operation)  # type: ignore[typeddict-item]

    return refuse


def test_an_endpoint_that_nobody_made_is_missing(serving):
    status, reason = serving.status("churn")
    assert (status, reason) == ("Missing", "there is no endpoint churn in this region")


def test_a_restored_endpoint_comes_into_service(serving):
    serving.restore(PLAN)
    assert serving.status(PLAN.name) == ("InService", "")


def test_restoring_twice_creates_nothing_anew(serving, request):
    serving.restore(PLAN)
    serving.restore(PLAN)
    assert serving.status(PLAN.name) == ("InService", "")


def test_the_model_the_configuration_and_the_endpoint_say_what_the_plan_says(moto, sagemaker):
    on_sagemaker(moto).restore(PLAN)
    model = sagemaker.describe_model(ModelName=PLAN.name)
    assert (model["ExecutionRoleArn"], model["PrimaryContainer"]["ModelDataUrl"]) == (
        ROLE,
        CONTAINER["ModelDataUrl"],
    )
    [variant] = sagemaker.describe_endpoint_config(EndpointConfigName=PLAN.name)["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.m5.large", 2)
    assert sagemaker.describe_endpoint(EndpointName=PLAN.name)["EndpointConfigName"] == PLAN.name
    arn = sagemaker.describe_endpoint(EndpointName=PLAN.name)["EndpointArn"]
    assert {"Key": "mldr:owner", "Value": "mldr"} in sagemaker.list_tags(ResourceArn=arn)["Tags"]


def test_several_containers_are_a_pipeline(moto, sagemaker):
    containers = tuple({**CONTAINER, "ContainerHostname": name} for name in ("prepare", "predict"))
    model = PlannedModel(name=NAME, role=ROLE, containers=containers)
    on_sagemaker(moto).restore(PLAN.model_copy(update={"models": (model,)}))
    found = sagemaker.describe_model(ModelName=PLAN.name)["Containers"]
    assert [one["ContainerHostname"] for one in found] == ["prepare", "predict"]


@pytest.mark.parametrize("made", [0, 1, 2])
def test_what_an_earlier_try_left_is_gone_on_with(moto, sagemaker, monkeypatch, made):
    """A crash after each creation in turn: the next try makes only what is missing."""
    names = ["create_model", "create_endpoint_config", "create_endpoint"]

    def die(**_):
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(sagemaker, names[made], die)
        with pytest.raises(KeyboardInterrupt):
            on_sagemaker(moto).restore(PLAN)
    for name in names[:made]:
        monkeypatch.setattr(sagemaker, name, refused(name))
    on_sagemaker(moto).restore(PLAN)
    assert on_sagemaker(moto).status(PLAN.name)[0] == "InService"


def test_everything_of_a_plan_reaches_sagemaker(moto, sagemaker):
    """Several models and variants with their weights, a VPC, isolation, keys, data capture and tags."""
    second = PlannedModel(
        name=f"{NAME}-m1",
        role=ROLE,
        containers=(CONTAINER,),
        settings={
            "EnableNetworkIsolation": True,
            "VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        },
        tags=({"Key": "team", "Value": "risk"},),
    )
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 10,
        "DestinationS3Uri": "s3://captured/churn",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    config = {
        "ProductionVariants": [
            {**VARIANT, "InitialVariantWeight": 0.0},
            {
                "VariantName": "canary",
                "ModelName": second.name,
                "InitialVariantWeight": 3.0,
                "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
            },
        ],
        "DataCaptureConfig": capture,
        "KmsKeyId": "arn:aws:kms:ap-southeast-3:123456789012:key/volumes",
    }
    plan = PLAN.model_copy(
        update={
            "models": (*PLAN.models, second),
            "config": config,
            "tags": ({"Key": "cost", "Value": "7"},),
            "config_tags": ({"Key": "made", "Value": "by hand"},),
        }
    )
    on_sagemaker(moto).restore(plan)
    model = sagemaker.describe_model(ModelName=second.name)
    assert (model["EnableNetworkIsolation"], model["VpcConfig"]["Subnets"]) == (True, ["subnet-1"])
    assert {"Key": "team", "Value": "risk"} in sagemaker.list_tags(ResourceArn=model["ModelArn"])["Tags"]
    made = sagemaker.describe_endpoint_config(EndpointConfigName=NAME)
    assert (made["DataCaptureConfig"], made["KmsKeyId"]) == (capture, config["KmsKeyId"])
    endpoint = sagemaker.describe_endpoint(EndpointName=NAME)
    live = {one["VariantName"]: one for one in endpoint["ProductionVariants"]}
    assert (live["AllTraffic"]["CurrentWeight"], live["AllTraffic"]["CurrentInstanceCount"]) == (0.0, 2)
    assert (live["canary"]["CurrentWeight"], live["canary"]["CurrentServerlessConfig"]["MaxConcurrency"]) == (3.0, 5)
    assert {"Key": "cost", "Value": "7"} in sagemaker.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"]


def test_what_is_finished_serves(serving):
    serving.restore(SCALED)
    assert serving.finish(SCALED) == Finished(status="InService")
    assert serving.finish(SCALED) == Finished(status="InService")


def test_autoscaling_is_registered_anew(moto):
    serving = on_sagemaker(moto)
    serving.restore(SCALED)
    for _ in range(2):
        serving.finish(SCALED)
    client = moto.client("application-autoscaling")
    [target] = client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["ResourceId"], target["MinCapacity"], target["MaxCapacity"]) == (TARGET["ResourceId"], 1, 4)
    [policy] = client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 70.0
    [action] = client.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"]
    assert (action["Schedule"], action["ScalableTargetAction"]) == ("cron(0 6 * * ? *)", {"MinCapacity": 3})


@pytest.mark.parametrize("code", ["ValidationException", "AccessDeniedException"])
def test_autoscaling_that_is_refused_holds_nothing_up(moto, monkeypatch, code):
    """Of a schedule that is over by now, or for want of a permission: the capacity is there without it."""
    serving = on_sagemaker(moto)
    serving.restore(SCALED)
    client = moto.client("application-autoscaling")
    monkeypatch.setattr(client, "put_scheduled_action", refused("PutScheduledAction", code, "it is over"))
    finished = serving.finish(SCALED)
    assert finished.status == "InService"
    [warning] = finished.warnings
    assert warning.startswith(f"{TARGET['ResourceId']} does not scale as it did: ")


def test_autoscaling_that_cannot_be_reached_is_tried_again(moto, monkeypatch):
    serving = on_sagemaker(moto)
    serving.restore(SCALED)
    client = moto.client("application-autoscaling")
    monkeypatch.setattr(client, "register_scalable_target", refused("RegisterScalableTarget", "ThrottlingException"))
    with pytest.raises(Throttled):
        serving.finish(SCALED)


def test_inference_components_are_created_once_the_endpoint_serves(serving):
    serving.restore(OF_COMPONENTS)
    for _ in range(2):
        assert serving.finish(OF_COMPONENTS).status == "InService"


def test_an_inference_component_says_what_the_plan_says(moto, sagemaker):
    serving = on_sagemaker(moto)
    serving.restore(OF_COMPONENTS)
    serving.finish(OF_COMPONENTS)
    found = sagemaker.describe_inference_component(InferenceComponentName=f"{NAME}-c0")
    assert (found["EndpointName"], found["RuntimeConfig"]["CurrentCopyCount"]) == (NAME, 2)


@pytest.mark.parametrize(("status", "ends"), [("Creating", None), ("Failed", "no capacity")])
def test_an_inference_component_that_does_not_serve_says_so(moto, sagemaker, monkeypatch, status, ends):
    serving = on_sagemaker(moto)
    serving.restore(OF_COMPONENTS)
    found = {"InferenceComponentStatus": status, "FailureReason": "no capacity"}
    monkeypatch.setattr(sagemaker, "describe_inference_component", lambda **_: found)
    if ends is None:
        assert serving.finish(SCALED.model_copy(update={"components": (COMPONENT,)})) == Finished(status="Creating")
        assert (
            moto.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")[
                "ScalableTargets"
            ]
            == []
        )
    else:
        with pytest.raises(EndpointFailed, match=ends):
            serving.finish(OF_COMPONENTS)


ADAPTER = {
    **{name: value for name, value in COMPONENT.items() if name != "RuntimeConfig"},
    "InferenceComponentName": f"{NAME}-c1",
    "Specification": {
        "BaseInferenceComponentName": f"{NAME}-c0",
        "Container": {"ArtifactUrl": "s3://vault/adapter.tgz"},
    },
}
WITH_ADAPTER = OF_COMPONENTS.model_copy(update={"components": (COMPONENT, ADAPTER)})


def test_an_adapter_is_made_once_its_base_is_in_service(moto, sagemaker, monkeypatch):
    serving, made = on_sagemaker(moto), []
    serving.restore(WITH_ADAPTER)
    create, describe = sagemaker.create_inference_component, sagemaker.describe_inference_component
    monkeypatch.setattr(
        sagemaker, "create_inference_component", lambda **given: (made.append(given), create(**given))[1]
    )
    monkeypatch.setattr(
        sagemaker,
        "describe_inference_component",
        lambda **given: {**describe(**given), "InferenceComponentStatus": "Creating"},
    )
    assert serving.finish(WITH_ADAPTER).status == "Creating"
    assert [one["InferenceComponentName"] for one in made] == [f"{NAME}-c0"]
    monkeypatch.setattr(sagemaker, "describe_inference_component", describe)
    assert serving.finish(WITH_ADAPTER).status == "InService"
    assert ("RuntimeConfig" in made[0], "RuntimeConfig" in made[1]) == (True, False)


def test_copies_are_counted_and_asked_for_beside_the_instances(serving):
    """An adapter has those of its base."""
    serving.restore(WITH_ADAPTER)
    serving.finish(WITH_ADAPTER)
    key = copies_key(f"{NAME}-c0")
    assert {name: one.desired for name, one in serving.capacity(NAME).items()} == {"AllTraffic": 2, key: 2}
    serving.scale(NAME, {key: 5})
    assert {name: one.desired for name, one in serving.capacity(NAME).items()} == {"AllTraffic": 2, key: 5}


def test_instances_that_follow_their_copies_are_nobodys_to_ask_for(moto):
    managed = {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 3}
    hosts = {**OF_COMPONENTS.config["ProductionVariants"][0], "ManagedInstanceScaling": managed}
    plan = hosted_by(hosts)
    serving = on_sagemaker(moto)
    serving.restore(plan)
    serving.finish(plan)
    assert set(serving.capacity(NAME)) == set(plan.capacity) == {copies_key(f"{NAME}-c0")}


ZERO = {
    **{k: v for k, v in VARIANT.items() if k != "ModelName"},
    "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 3},
}


def test_a_region_that_does_not_scale_to_zero_says_so_and_what_to_write(moto):
    """AWS names no list of them: eu-west-3 was seen to be one."""
    there = SageMakerServing(*(lambda name=name: moto.client(name, "eu-west-3") for name in CLIENTS))
    with pytest.raises(EndpointFailed, match=r"needs to be greater than 0 .*; .* write serving\.floor: 1"):
        there.restore(hosted_by(ZERO))
    assert there.status(NAME)[0] == "Missing"
    on_sagemaker(moto).restore(hosted_by(ZERO))


@pytest.mark.parametrize(
    ("variant", "why"),
    [
        ({**ZERO, "InitialVariantWeight": 1.0}, "InitialVariantWeight"),
        ({**ZERO, "EnableSSMAccess": False}, "EnableSSMAccess"),
        ({**ZERO, "ModelName": NAME}, "only supported for inference component endpoints"),
    ],
)
def test_sagemaker_takes_of_a_variant_what_its_kind_has(moto, variant, why):
    with pytest.raises(EndpointFailed, match=why):
        on_sagemaker(moto).restore(hosted_by(variant))


def test_an_endpoint_of_components_names_the_role_that_it_runs_as_and_each_of_them_has_a_copy(moto):
    nobodys = OF_COMPONENTS.model_copy(update={"config": {"ProductionVariants": [ZERO]}})
    serving = on_sagemaker(moto)
    with pytest.raises(EndpointFailed, match="ExecutionRoleArn"):
        serving.restore(nobodys)
    none = OF_COMPONENTS.model_copy(update={"components": ({**COMPONENT, "RuntimeConfig": {"CopyCount": 0}},)})
    serving.restore(none)
    with pytest.raises(EndpointFailed, match="larger than 0"):
        serving.finish(none)


def test_an_endpoint_of_components_answers_only_a_request_that_says_which(serving):
    """The only one need not be named: it is found."""
    two = OF_COMPONENTS.model_copy(
        update={"components": (COMPONENT, {**COMPONENT, "InferenceComponentName": f"{NAME}-c1"})}
    )
    serving.restore(OF_COMPONENTS)
    with pytest.raises(RequestRefused):
        serving.invoke(NAME, b"[1]", "application/json")
    serving.finish(OF_COMPONENTS)
    for _ in range(2):
        serving.invoke(NAME, b"[1]", "application/json")
    serving.invoke(NAME, b"[1]", "application/json", component=f"{NAME}-c0")
    with pytest.raises(RequestRefused):
        serving.invoke(NAME, b"[1]", "application/json", component="another")
    serving.finish(two)
    serving.invoke(NAME, b"[1]", "application/json", component=f"{NAME}-c1")


def test_of_several_components_none_is_guessed(moto):
    two = OF_COMPONENTS.model_copy(
        update={"components": (COMPONENT, {**COMPONENT, "InferenceComponentName": f"{NAME}-c1"})}
    )
    serving = on_sagemaker(moto)
    serving.restore(two)
    serving.finish(two)
    with pytest.raises(RequestRefused, match=r"serving\.component"):
        serving.invoke(NAME, b"[1]", "application/json")


def two_variants(moto):
    """An endpoint of two variants, and what asks it."""
    plan = PLAN.model_copy(update={"config": {"ProductionVariants": [VARIANT, {**VARIANT, "VariantName": "canary"}]}})
    serving = on_sagemaker(moto)
    serving.restore(plan)
    return serving


def test_several_counts_and_weights_are_asked_for_at_once(moto, sagemaker, monkeypatch):
    serving, asked = two_variants(moto), []
    monkeypatch.setattr(sagemaker, "update_endpoint_weights_and_capacities", lambda **given: asked.append(given))
    serving.scale(NAME, {"AllTraffic": 3, "canary": 4}, {"AllTraffic": 2.0, "canary": 1.0})
    assert [len(one["DesiredWeightsAndCapacities"]) for one in asked] == [2]


def test_where_sagemaker_takes_one_variant_at_a_time_the_rest_is_asked_for_by_the_next_look(
    moto, sagemaker, monkeypatch
):
    serving, update = two_variants(moto), sagemaker.update_endpoint_weights_and_capacities

    def strict(**given):
        if len(given["DesiredWeightsAndCapacities"]) > 1:
            refused("UpdateEndpointWeightsAndCapacities", message="the capacity of one variant")()
        update(**given)

    monkeypatch.setattr(sagemaker, "update_endpoint_weights_and_capacities", strict)
    with pytest.raises(EndpointFailed, match="canary is asked for next"):
        serving.scale(NAME, {"AllTraffic": 3, "canary": 4})
    assert {name: one.desired for name, one in serving.capacity(NAME).items()} == {"AllTraffic": 3, "canary": 2}
    serving.scale(NAME, {"canary": 4})
    assert {name: one.desired for name, one in serving.capacity(NAME).items()} == {"AllTraffic": 3, "canary": 4}


def test_weights_and_counts_change_alone(moto, sagemaker):
    serving = on_sagemaker(moto)
    serving.restore(PLAN)
    serving.scale(NAME, {"AllTraffic": 5})
    serving.scale(NAME, {}, {"AllTraffic": 0.25})
    [live] = sagemaker.describe_endpoint(EndpointName=NAME)["ProductionVariants"]
    assert (live["CurrentInstanceCount"], live["CurrentWeight"]) == (5, 0.25)


@pytest.mark.parametrize(("endpoint", "variant"), [(NAME, "other"), ("nobody", "AllTraffic")])
def test_what_is_not_there_cannot_be_changed(serving, endpoint, variant):
    serving.restore(PLAN)
    with pytest.raises(EndpointFailed, match=f"{endpoint} cannot be changed"):
        serving.scale(endpoint, {variant: 1})


def test_what_another_made_meanwhile_is_no_error(moto, sagemaker, monkeypatch):
    create = sagemaker.create_model

    def beaten(**arguments):
        create(**arguments)
        refused("CreateModel", message="Cannot create already existing model")()

    monkeypatch.setattr(sagemaker, "create_model", beaten)
    on_sagemaker(moto).restore(PLAN)
    assert on_sagemaker(moto).status(PLAN.name)[0] == "InService"


@pytest.mark.parametrize("operation", ["create_model", "create_endpoint_config", "create_endpoint"])
def test_what_cannot_be_created_fails_with_sagemakers_reason(moto, sagemaker, monkeypatch, operation):
    monkeypatch.setattr(sagemaker, operation, refused(operation, "ResourceLimitExceeded", "the quota is 0"))
    with pytest.raises(EndpointFailed, match=r"cannot be created: .*the quota is 0"):
        on_sagemaker(moto).restore(PLAN)


def test_a_forbidden_creation_is_not_a_failed_endpoint(moto, sagemaker, monkeypatch):
    monkeypatch.setattr(sagemaker, "create_model", refused("CreateModel", "AccessDeniedException", status=403))
    with pytest.raises(NotAllowed, match="create model"):
        on_sagemaker(moto).restore(PLAN)


def test_a_failed_endpoint_says_why(moto, sagemaker, monkeypatch):
    found = {"EndpointStatus": "Failed", "FailureReason": "no capacity"}
    monkeypatch.setattr(sagemaker, "describe_endpoint", lambda **_: found)
    assert on_sagemaker(moto).status("churn") == ("Failed", "no capacity")


@pytest.mark.parametrize("call", ["status", "restore"])
def test_an_unknown_refusal_is_not_taken_for_a_missing_endpoint(moto, sagemaker, monkeypatch, call):
    for name in ("describe_endpoint", "describe_model"):
        monkeypatch.setattr(sagemaker, name, refused(name, "SomethingNew"))
    with pytest.raises(ClientError, match="SomethingNew"):
        on_sagemaker(moto).status("churn") if call == "status" else on_sagemaker(moto).restore(PLAN)


def test_a_glance_is_kept_for_its_time_only(moto, sagemaker, monkeypatch):
    looks = []
    monkeypatch.setattr(sagemaker, "describe_endpoint", lambda **_: looks.append(1) or {"EndpointStatus": "InService"})
    now = [0.5]  # a machine that has just started
    monkeypatch.setattr("mldr.aws.serving.time.monotonic", lambda: now[0])
    serving = on_sagemaker(moto, glance=3.0)
    for _ in range(50):
        assert serving.status("churn") == ("InService", "")
    assert len(looks) == 1
    now[0] += 3.0
    serving.status("churn")
    assert len(looks) == 2


def test_an_answer_comes_with_its_type(moto, monkeypatch):
    """moto answers from a queue; what is sent and what comes back are what this checks."""
    asked = []

    def invoke(**arguments):
        asked.append(arguments)
        return {"Body": type("Body", (), {"read": lambda self: b"[1]"})(), "ContentType": "application/json"}

    monkeypatch.setattr(moto.client("sagemaker-runtime"), "invoke_endpoint", invoke)
    serving = on_sagemaker(moto)
    assert serving.invoke("churn", b"[0]", "text/csv", "application/json") == (b"[1]", "application/json")
    serving.invoke("churn", b"[0]", "text/csv")
    assert [one.get("Accept") for one in asked] == ["application/json", None]
    assert asked[0]["ContentType"] == "text/csv"


def test_an_endpoint_that_is_not_there_takes_no_request():
    """moto answers for it; the local cloud refuses as AWS does (tests/functional/localcloud/test_endpoints.py)."""
    with pytest.raises(RequestRefused, match="churn did not answer"):
        FakeServing().invoke("churn", b"", "text/csv")


@pytest.mark.parametrize(
    ("code", "status", "original", "raised"),
    [
        ("ModelError", 424, 500, EndpointFailed),
        ("ModelError", 424, 503, EndpointFailed),
        ("ModelError", 424, 0, EndpointFailed),  # it did not answer SageMaker in time
        ("ModelError", 424, 400, RequestRefused),
        ("ModelError", 424, 415, RequestRefused),
        ("ModelError", 424, 429, Throttled),
        ("ModelError", 424, None, RequestRefused),  # what cannot be told is no failure
        ("ValidationError", 400, None, RequestRefused),
        ("SomethingNew", 418, None, RequestRefused),
        ("ModelNotReadyException", 429, None, Throttled),
        ("ThrottlingException", 400, None, Throttled),
        ("AccessDeniedException", 403, None, NotAllowed),
        ("InternalDependencyException", 530, None, RegionUnreachable),
        ("ServiceUnavailable", 503, None, RegionUnreachable),
        ("InternalFailure", 500, None, RegionUnreachable),
    ],
)
def test_only_an_error_of_the_container_itself_is_a_failed_endpoint(moto, monkeypatch, code, status, original, raised):
    said = {} if original is None else {"OriginalStatusCode": original}
    answer = refused("InvokeEndpoint", code, status=status, **said)
    monkeypatch.setattr(moto.client("sagemaker-runtime"), "invoke_endpoint", answer)
    with pytest.raises(raised, match="churn"):
        on_sagemaker(moto).invoke("churn", b"", "text/csv")


@pytest.mark.parametrize(
    ("code", "more", "heard"),
    [
        ("ModelError", {"OriginalStatusCode": 400, "OriginalMessage": "no such feature"}, (400, "no such feature")),
        ("ModelError", {"OriginalStatusCode": 422}, (422, "")),
        *[("ModelError", {"OriginalStatusCode": one, "OriginalMessage": "no"}, (0, "")) for one in PATHS],
        ("ModelError", {"OriginalMessage": "no status"}, (0, "")),
        ("ValidationError", {}, (0, "")),  # so answers an endpoint that is not there: no word of the model's
    ],
)
def test_only_what_the_container_itself_refused_has_its_words(moto, monkeypatch, code, more, heard):
    answer = refused("InvokeEndpoint", code, status=424, **more)
    monkeypatch.setattr(moto.client("sagemaker-runtime"), "invoke_endpoint", answer)
    with pytest.raises(RequestRefused) as told:
        on_sagemaker(moto).invoke("churn", b"", "text/csv")
    assert (told.value.status, told.value.said) == heard


def test_every_error_of_invoking_has_its_meaning():
    model = Loader().load_service_model("sagemaker-runtime", "service-2")
    told = {one["shape"] for one in model["operations"]["InvokeEndpoint"]["errors"]}
    assert told == {
        "InternalDependencyException", "InternalFailure", "ModelError", "ModelNotReadyException", "ServiceUnavailable",
        "ValidationError",
    }  # fmt: skip


def test_an_answer_that_never_comes_is_an_unreachable_region(moto, monkeypatch):
    def silent(**_):
        raise ReadTimeoutError(endpoint_url="https://runtime")

    monkeypatch.setattr(moto.client("sagemaker-runtime"), "invoke_endpoint", silent)
    with pytest.raises(RegionUnreachable):
        on_sagemaker(moto).invoke("churn", b"", "text/csv")
