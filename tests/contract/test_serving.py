"""Every Serving keeps the same promises, on memory and on SageMaker."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from mldr.aws.serving import SageMakerServing
from mldr.domain.serving import ServingPlan
from mldr.errors import EndpointFailed, NotAllowed, RegionUnreachable
from tests.contract.conftest import ACCOUNT, STANDBY
from tests.fakes.serving import FakeServing

CONTAINER = {
    "Image": f"{ACCOUNT}.dkr.ecr.{STANDBY}.amazonaws.com/churn:1",
    "ModelDataUrl": "s3://vault/churn/model.tar.gz",
}
PLAN = ServingPlan(
    name="churn-12345678-e1",
    containers=(CONTAINER,),
    role=f"arn:aws:iam::{ACCOUNT}:role/serve",
    instance_type="ml.m5.large",
    instance_count=2,
)


def on_sagemaker(moto, **more):
    return SageMakerServing(lambda: moto.client("sagemaker"), lambda: moto.client("sagemaker-runtime"), **more)


@pytest.fixture(params=["memory", "moto"])
def serving(request) -> Any:
    return FakeServing() if request.param == "memory" else on_sagemaker(request.getfixturevalue("moto"))


@pytest.fixture
def sagemaker(moto):
    return moto.client("sagemaker")


def refused(operation, code="ValidationException", message="no", status=400):
    """A call that AWS refuses."""

    def refuse(**_):
        error = {"Code": code, "Message": message}
        raise ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)  # type: ignore[typeddict-item]

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
        PLAN.role,
        CONTAINER["ModelDataUrl"],
    )
    [variant] = sagemaker.describe_endpoint_config(EndpointConfigName=PLAN.name)["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.m5.large", 2)
    assert sagemaker.describe_endpoint(EndpointName=PLAN.name)["EndpointConfigName"] == PLAN.name
    arn = sagemaker.describe_endpoint(EndpointName=PLAN.name)["EndpointArn"]
    assert {"Key": "mldr:owner", "Value": "mldr"} in sagemaker.list_tags(ResourceArn=arn)["Tags"]


def test_several_containers_are_a_pipeline(moto, sagemaker):
    containers = tuple({**CONTAINER, "ContainerHostname": name} for name in ("prepare", "predict"))
    on_sagemaker(moto).restore(PLAN.model_copy(update={"containers": containers}))
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


def test_an_endpoint_that_is_not_there_does_not_answer():
    with pytest.raises(EndpointFailed, match="churn did not answer"):
        FakeServing().invoke("churn", b"", "text/csv")


@pytest.mark.parametrize("code", ["ValidationError", "ModelError", "ModelNotReadyException"])
def test_an_endpoint_that_refuses_did_not_answer(moto, monkeypatch, code):
    monkeypatch.setattr(moto.client("sagemaker-runtime"), "invoke_endpoint", refused("InvokeEndpoint", code))
    with pytest.raises(EndpointFailed, match="churn did not answer"):
        on_sagemaker(moto).invoke("churn", b"", "text/csv")


def test_an_answer_that_never_comes_is_an_unreachable_region(moto, monkeypatch):
    def silent(**_):
        raise ReadTimeoutError(endpoint_url="https://runtime")

    monkeypatch.setattr(moto.client("sagemaker-runtime"), "invoke_endpoint", silent)
    with pytest.raises(RegionUnreachable):
        on_sagemaker(moto).invoke("churn", b"", "text/csv")
