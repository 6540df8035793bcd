"""The model registry of the local cloud keeps what it is given and tells about every change."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.functional.localcloud.one_endpoint import ACCOUNT, STANDBY, OneEndpoint, one_endpoint

CONTAINER = {"Image": "1.dkr.ecr.ap-southeast-3.amazonaws.com/x:1", "ModelDataUrl": "s3://lake/model.tar.gz"}
SPECIFICATION = {
    "Containers": [CONTAINER],
    "SupportedContentTypes": ["text/csv"],
    "SupportedResponseMIMETypes": ["text/csv"],
}


@pytest.fixture
def endpoint() -> Iterator[OneEndpoint]:
    with one_endpoint() as running:
        running.client("sagemaker").create_model_package_group(ModelPackageGroupName="churn")
        yield running


def register(endpoint: OneEndpoint, **more: Any) -> str:
    given = {"ModelPackageGroupName": "churn", "InferenceSpecification": SPECIFICATION, **more}
    arn: str = endpoint.client("sagemaker").create_model_package(**given)["ModelPackageArn"]
    return arn


def test_an_approval_is_an_event_in_aws_s_shape(endpoint: OneEndpoint) -> None:
    arn = register(endpoint)
    endpoint.client("sagemaker").update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    (_, created), (region, approved) = endpoint.events
    assert (region, approved["source"], approved["account"]) == (STANDBY, "aws.sagemaker", ACCOUNT)
    assert approved["detail-type"] == "SageMaker Model Package State Change"
    assert approved["resources"] == [arn]
    assert created["id"] != approved["id"]
    detail = approved["detail"]
    assert detail["UpdatedModelPackageFields"] == ["ModelApprovalStatus"]
    assert (detail["ModelPackageGroupName"], detail["ModelPackageVersion"]) == ("churn", 1)
    assert (detail["ModelApprovalStatus"], created["detail"]["ModelApprovalStatus"]) == (
        "Approved",
        "PendingManualApproval",
    )
    assert detail["InferenceSpecification"]["Containers"] == [CONTAINER]
    json.dumps(approved)


def test_the_event_has_the_fields_of_the_documented_one(endpoint: OneEndpoint) -> None:
    documented = json.loads(Path("events/model_package_state_change.json").read_text()) if _documented() else None
    register(endpoint, ModelApprovalStatus="Rejected", CertifyForMarketplace=False)
    event = endpoint.events[0][1]
    assert set(event) == {
        "version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail",
    }  # fmt: skip
    assert {"ModelPackageArn", "CreationTime", "ModelPackageStatus", "ModelPackageStatusDetails"} <= set(
        event["detail"]
    )
    assert documented is None or documented["detail-type"] == event["detail-type"]


def _documented() -> bool:
    return Path("events/model_package_state_change.json").exists()


def test_a_metadata_edit_keeps_the_approval_and_is_told(endpoint: OneEndpoint) -> None:
    sagemaker, arn = endpoint.client("sagemaker"), register(endpoint, ModelApprovalStatus="Approved")
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"a": "1"})
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"b": "2"})
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataPropertiesToRemove=["a"])
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    assert (found["ModelApprovalStatus"], found["CustomerMetadataProperties"]) == ("Approved", {"b": "2"})
    assert [event["detail"]["UpdatedModelPackageFields"] for _, event in endpoint.events[1:]] == [
        ["CustomerMetadataProperties"]
    ] * 3


def test_nothing_that_is_registered_gets_lost(endpoint: OneEndpoint) -> None:
    given = {
        "ModelCard": {"ModelCardContent": "{}", "ModelCardStatus": "Approved"},
        "ModelLifeCycle": {"Stage": "prod", "StageStatus": "ready"},
        "SecurityConfig": {"KmsKeyId": "arn:aws:kms:ap-southeast-3:1:key/k"},
        "SourceUri": "s3://lake/source",
        "CustomerMetadataProperties": {"team": "risk"},
        "Domain": "MACHINE_LEARNING",
        "Task": "CLASSIFICATION",
    }
    arn = register(endpoint, **given)
    sagemaker = endpoint.client("sagemaker")
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    assert {name: found[name] for name in given} == given
    sagemaker.update_model_package(ModelPackageArn=arn, ModelLifeCycle={"Stage": "prod", "StageStatus": "retired"})
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    assert (found["ModelLifeCycle"]["StageStatus"], found["SourceUri"]) == ("retired", "s3://lake/source")


def test_a_client_token_makes_creation_idempotent(endpoint: OneEndpoint) -> None:
    first = register(endpoint, ClientToken="one")
    assert register(endpoint, ClientToken="one") == first
    assert register(endpoint, ClientToken="two") != first
    assert len(endpoint.events) == 2


def test_version_numbers_are_never_given_twice(endpoint: OneEndpoint) -> None:
    sagemaker = endpoint.client("sagemaker")
    second = [register(endpoint), register(endpoint)][1]
    sagemaker.delete_model_package(ModelPackageName=second)
    third = register(endpoint)
    assert third.endswith("/3")
    assert sagemaker.describe_model_package(ModelPackageName=third)["ModelPackageVersion"] == 3
    with pytest.raises(ClientError, match=r"does not exist|not found"):
        sagemaker.describe_model_package(ModelPackageName=second)
    listed = sagemaker.list_model_packages(ModelPackageGroupName="churn")["ModelPackageSummaryList"]
    assert sorted(package["ModelPackageVersion"] for package in listed) == [1, 3]


def test_deleting_what_is_not_there_is_refused(endpoint: OneEndpoint) -> None:
    with pytest.raises(ClientError, match="does not exist"):
        endpoint.client("sagemaker").delete_model_package(ModelPackageName="arn:aws:sagemaker:x:1:model-package/none/1")


def test_an_unknown_approval_status_is_refused_and_changes_nothing(endpoint: OneEndpoint) -> None:
    arn = register(endpoint, ModelApprovalStatus="Approved")
    with pytest.raises(ClientError):
        endpoint.client("sagemaker").update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Maybe")
    found = endpoint.client("sagemaker").describe_model_package(ModelPackageName=arn)
    assert found["ModelApprovalStatus"] == "Approved"
    assert len(endpoint.events) == 1
