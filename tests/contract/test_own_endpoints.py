"""What a model's own endpoint was made of, as SageMaker describes it."""

import pytest

from mldr.aws.own_endpoints import SageMakerOwnEndpoints
from mldr.errors import RegionUnreachable
from tests.contract.conftest import ACCOUNT, STANDBY

IMAGE, DATA = f"{ACCOUNT}.dkr.ecr.{STANDBY}.amazonaws.com/churn:1", "s3://lake/churn/model.tar.gz"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/serve"
PACKAGE = f"arn:aws:sagemaker:{STANDBY}:{ACCOUNT}:model-package/churn/1"


@pytest.fixture
def sagemaker(moto):
    return moto.client("sagemaker", STANDBY)


def serve(sagemaker, container, name="churn"):
    """Make an endpoint of one container."""
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "all", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=f"{name}-2", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-2")


def test_the_images_and_the_data_of_its_containers_are_told(sagemaker):
    serve(sagemaker, {"Image": IMAGE, "ModelDataUrl": DATA})
    assert SageMakerOwnEndpoints(lambda: sagemaker).contents("churn") == {IMAGE, DATA}


def test_a_container_made_of_a_package_is_that_package(sagemaker, monkeypatch):
    """moto describes only what it was given, and it is not given packages; SageMaker adds what they hold."""
    serve(sagemaker, {"Image": IMAGE, "ModelDataUrl": DATA})
    described = {"PrimaryContainer": {"ModelPackageName": PACKAGE, "Image": IMAGE}}
    monkeypatch.setattr(sagemaker, "describe_model", lambda **_: described)
    assert SageMakerOwnEndpoints(lambda: sagemaker).contents("churn") == {PACKAGE}


def test_an_endpoint_that_does_not_exist_holds_nothing(sagemaker):
    assert SageMakerOwnEndpoints(lambda: sagemaker).contents("churn") == frozenset()


def test_one_that_is_not_in_service_holds_nothing(sagemaker, monkeypatch):
    answer = {"EndpointStatus": "Creating", "EndpointConfigName": "churn-2"}
    monkeypatch.setattr(sagemaker, "describe_endpoint", lambda **_: answer)
    assert SageMakerOwnEndpoints(lambda: sagemaker).contents("churn") == frozenset()


def test_a_region_that_does_not_answer_is_unreachable(sagemaker, monkeypatch):
    from botocore.exceptions import EndpointConnectionError

    def cut_off(**_):
        raise EndpointConnectionError(endpoint_url="https://sagemaker")

    monkeypatch.setattr(sagemaker, "describe_endpoint", cut_off)
    with pytest.raises(RegionUnreachable):
        SageMakerOwnEndpoints(lambda: sagemaker).contents("churn")


def test_a_look_says_what_an_endpoint_is_made_of_and_since_when(sagemaker):
    serve(sagemaker, {"Image": IMAGE, "ModelDataUrl": DATA})
    look = SageMakerOwnEndpoints(lambda: sagemaker).look("churn")
    assert (look.status, look.config, look.contents, look.models) == ("InService", "churn-2", {IMAGE, DATA}, 1)
    assert look.made_at <= look.changed_at


def test_a_look_at_a_container_made_of_a_package_is_that_package(sagemaker, monkeypatch):
    serve(sagemaker, {"Image": IMAGE, "ModelDataUrl": DATA})
    described = {"PrimaryContainer": {"ModelPackageName": PACKAGE, "Image": IMAGE}}
    monkeypatch.setattr(sagemaker, "describe_model", lambda **_: described)
    assert SageMakerOwnEndpoints(lambda: sagemaker).look("churn").contents == {PACKAGE}


def test_an_unchanged_endpoint_is_described_no_deeper_twice(sagemaker, monkeypatch):
    serve(sagemaker, {"Image": IMAGE, "ModelDataUrl": DATA})
    endpoints = SageMakerOwnEndpoints(lambda: sagemaker)
    first = endpoints.look("churn")
    monkeypatch.setattr(sagemaker, "describe_endpoint_config", None)
    assert endpoints.look("churn") == first


def test_two_models_behind_one_endpoint_are_two(sagemaker):
    serve(sagemaker, {"Image": IMAGE, "ModelDataUrl": DATA}, name="other")
    serve(sagemaker, {"Image": IMAGE, "ModelDataUrl": DATA})
    variants = [
        {"VariantName": name, "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        for name in ("churn", "other")
    ]
    sagemaker.create_endpoint_config(EndpointConfigName="both", ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName="both", EndpointConfigName="both")
    assert SageMakerOwnEndpoints(lambda: sagemaker).look("both").models == 2


def test_a_look_at_no_endpoint_or_one_in_between_says_so(sagemaker, monkeypatch):
    endpoints = SageMakerOwnEndpoints(lambda: sagemaker)
    assert endpoints.look("churn").status == "Missing"
    serve(sagemaker, {"Image": IMAGE, "ModelDataUrl": DATA})
    answer = {**sagemaker.describe_endpoint(EndpointName="churn"), "EndpointStatus": "Updating"}
    monkeypatch.setattr(sagemaker, "describe_endpoint", lambda **_: answer)
    assert (endpoints.look("churn").status, endpoints.look("churn").contents) == ("Updating", frozenset())


def compose(sagemaker, *names):
    """An endpoint of components, each of which has data of its own."""
    hosts = {"VariantName": "all", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="hosts", ProductionVariants=[hosts], ExecutionRoleArn=ROLE)
    sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="hosts")
    for name in names:
        sagemaker.create_inference_component(
            InferenceComponentName=name,
            EndpointName="churn",
            VariantName="all",
            Specification={"Container": {"Image": IMAGE, "ArtifactUrl": f"s3://lake/{name}"}},
            RuntimeConfig={"CopyCount": 1},
        )


def test_of_an_endpoint_of_components_the_one_that_answers_is_looked_into(sagemaker):
    compose(sagemaker, "one", "two")
    endpoints = SageMakerOwnEndpoints(lambda: sagemaker)
    assert endpoints.contents("churn", "two") == endpoints.look("churn", "two").contents == {IMAGE, "s3://lake/two"}
    assert (endpoints.contents("churn"), endpoints.look("churn").models > 1) == (frozenset(), True)


def test_an_only_component_need_not_be_named_and_its_change_is_seen(sagemaker):
    compose(sagemaker, "one")
    endpoints = SageMakerOwnEndpoints(lambda: sagemaker)
    first = endpoints.look("churn")
    assert (first.models, first.contents) == (1, {IMAGE, "s3://lake/one"})
    sagemaker.update_inference_component_runtime_config(
        InferenceComponentName="one", DesiredRuntimeConfig={"CopyCount": 2}
    )
    assert endpoints.look("churn").changed_at > first.changed_at


def test_a_component_of_another_endpoint_says_nothing(sagemaker):
    compose(sagemaker, "one")
    serve(sagemaker, {"Image": IMAGE, "ModelDataUrl": DATA}, "plain")
    hosts = {"VariantName": "all", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="other", ProductionVariants=[hosts], ExecutionRoleArn=ROLE)
    sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="other")
    endpoints = SageMakerOwnEndpoints(lambda: sagemaker)
    assert (endpoints.contents("other", "one"), endpoints.look("other", "one").contents) == (frozenset(), frozenset())
