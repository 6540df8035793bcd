"""A failed region refuses what AWS would lose with it, and nothing else; healing brings the state back."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.outage import Outage
from tests.functional.localcloud.one_endpoint import ACTIVE, STANDBY, OneEndpoint, one_endpoint


@pytest.fixture
def endpoint() -> Iterator[OneEndpoint]:
    with one_endpoint() as running:
        yield running


def refused(call: Any, **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 503)
    return False


def test_listeners_hear_each_change_once() -> None:
    outage, heard = Outage(), []
    outage.subscribe(lambda region, failed: heard.append((region, failed)))
    for change in (outage.fail, outage.fail, outage.heal, outage.heal):
        change(ACTIVE)
    assert heard == [(ACTIVE, True), (ACTIVE, False)]


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("dynamodb", "list_tables"),
        ("sqs", "list_queues"),
        ("sns", "list_topics"),
        ("lambda", "list_functions"),
        ("cloudwatch", "list_metrics"),
        ("sagemaker", "list_models"),
        ("stepfunctions", "list_state_machines"),
    ],
)
def test_a_failed_region_refuses_and_the_other_answers(endpoint: OneEndpoint, service: str, operation: str) -> None:
    endpoint.outage.fail(ACTIVE)
    assert refused(getattr(endpoint.client(service, ACTIVE), operation))
    assert (endpoint.last_call().region, endpoint.last_call().refused) == (ACTIVE, "region failed")
    assert not refused(getattr(endpoint.client(service, STANDBY), operation))


def test_a_bucket_fails_with_its_region_whatever_the_signature(endpoint: OneEndpoint) -> None:
    lake, vault = endpoint.bucket("lake", ACTIVE), endpoint.bucket("vault", STANDBY)
    endpoint.client("s3", ACTIVE).put_object(Bucket=lake, Key="model", Body=b"weights")
    standby = endpoint.client("s3", STANDBY)
    endpoint.outage.fail(ACTIVE)
    assert refused(standby.get_object, Bucket=lake, Key="model")
    assert endpoint.last_call().region == ACTIVE
    assert refused(standby.copy_object, Bucket=vault, Key="copy", CopySource={"Bucket": lake, "Key": "model"})
    upload = standby.create_multipart_upload(Bucket=vault, Key="copy")["UploadId"]
    source = {"Bucket": lake, "Key": "model"}
    assert refused(standby.upload_part_copy, Bucket=vault, Key="copy", UploadId=upload, PartNumber=1, CopySource=source)
    assert not refused(standby.put_object, Bucket=vault, Key="own", Body=b"x")


def test_healing_keeps_the_state(endpoint: OneEndpoint) -> None:
    lake = endpoint.bucket("lake", ACTIVE)
    s3 = endpoint.client("s3", ACTIVE)
    s3.put_object(Bucket=lake, Key="model", Body=b"weights")
    endpoint.outage.fail(ACTIVE)
    endpoint.outage.heal(ACTIVE)
    assert s3.get_object(Bucket=lake, Key="model")["Body"].read() == b"weights"


def test_us_east_1_takes_the_global_control_planes_with_it(endpoint: OneEndpoint) -> None:
    vault = endpoint.bucket("vault", STANDBY)
    s3 = endpoint.client("s3", STANDBY)
    endpoint.outage.fail("us-east-1")
    assert refused(endpoint.client("route53").list_hosted_zones)
    assert refused(endpoint.client("iam").list_roles)
    assert refused(s3.create_bucket, Bucket="new", CreateBucketConfiguration={"LocationConstraint": STANDBY})
    assert refused(s3.put_bucket_versioning, Bucket=vault, VersioningConfiguration={"Status": "Enabled"})
    assert refused(s3.delete_bucket, Bucket=vault)
    assert not refused(s3.put_object, Bucket=vault, Key="k", Body=b"x")
    assert not refused(endpoint.client("dynamodb").list_tables)
