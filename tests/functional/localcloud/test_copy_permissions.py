"""What a function's role must allow for copies, multipart uploads, versions, batches, metrics and executions."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcloud.principals import access_key
from tests.functional.localcloud.one_endpoint import ACCOUNT, STANDBY, OneEndpoint, one_endpoint
from tests.functional.localcloud.test_permissions import denied

KEY = access_key("function", STANDBY, "worker")
LOCK = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=1)}
VAULT, LAKE = "arn:aws:s3:::vault", "arn:aws:s3:::lake"
TABLE = f"arn:aws:dynamodb:{STANDBY}:{ACCOUNT}:table"
MACHINE = f"arn:aws:states:{STANDBY}:{ACCOUNT}:stateMachine:copy"
PINNED = [("s3:PutObject", f"{VAULT}/k"), ("s3:GetObjectVersion", f"{LAKE}/k")]
TAGS = [("s3:GetObjectVersionTagging", f"{LAKE}/k"), ("s3:PutObjectTagging", f"{VAULT}/k")]
ITEM = {"pk": {"S": "a"}}
Grants = list[tuple[str, str]]


class World:
    """A lake, a vault, two tables; `VERSION` stands for the lake's only version."""

    def __init__(self, endpoint: OneEndpoint) -> None:
        self.endpoint = endpoint
        endpoint.bucket("lake")
        endpoint.bucket("vault", locked=True)
        put = {"Bucket": "lake", "Key": "k", "Body": b"x", "Tagging": "a=1"}
        self.version = endpoint.client("s3").put_object(**put)["VersionId"]
        endpoint.client("s3").put_object(Bucket="lake", Key="plain", Body=b"x")
        self.upload = endpoint.client("s3").create_multipart_upload(Bucket="vault", Key="k")["UploadId"]
        self.worlds = 0

    def refusal(self, call: tuple[str, str, dict[str, Any]], granted: Grants) -> str:
        """Why a function with these grants may not make the call; empty when it may."""
        self.worlds += 1
        statements = [{"Effect": "Allow", "Action": action, "Resource": on} for action, on in granted]
        nothing = {"Effect": "Allow", "Action": "sts:Nothing", "Resource": "*"}
        self.endpoint.function(f"worker-{self.worlds}", [*statements, nothing])
        service, operation, arguments = call
        filled = json.loads(json.dumps(arguments, default=str).replace("VERSION", self.version))
        filled |= {"UploadId": self.upload} if "UploadId" in arguments else {}
        key = access_key("function", STANDBY, f"worker-{self.worlds}")
        return denied(getattr(self.endpoint.client(service, key=key), operation), **filled)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with one_endpoint() as endpoint:
        yield World(endpoint)


def s3(operation: str, **arguments: Any) -> tuple[str, str, dict[str, Any]]:
    return "s3", operation, arguments


SOURCE = {"Bucket": "lake", "Key": "k", "VersionId": "VERSION"}
COPY = {"Bucket": "vault", "Key": "k", "CopySource": SOURCE}
PART = {"Bucket": "vault", "Key": "k", "UploadId": "", "PartNumber": 1}
ATTRIBUTES = {"Bucket": "lake", "Key": "k", "ObjectAttributes": ["Checksum"]}
DELETED = {"Objects": [{"Key": "a"}, {"Key": "b", "VersionId": "VERSION"}]}
RETAIN = {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": "2099-01-01T00:00:00Z"}}
NEEDS: dict[str, tuple[tuple[str, str, dict[str, Any]], Grants]] = {
    "a copy of a tagged version": (s3("copy_object", **COPY), PINNED + TAGS),
    "a copy that replaces the tags": (
        s3("copy_object", **COPY, TaggingDirective="REPLACE", Tagging="b=2"),
        [*PINNED, ("s3:PutObjectTagging", f"{VAULT}/k")],
    ),
    "a copy of the current object": (
        s3("copy_object", **{**COPY, "CopySource": {"Bucket": "lake", "Key": "plain"}}),
        [("s3:PutObject", f"{VAULT}/k"), ("s3:GetObject", f"{LAKE}/plain")],
    ),
    "a locked copy": (
        s3("copy_object", **COPY, **LOCK),
        [*PINNED, *TAGS, ("s3:PutObjectRetention", f"{VAULT}/k")],
    ),
    "the start of a locked, tagged upload": (
        s3("create_multipart_upload", Bucket="vault", Key="k", Tagging="a=1", **LOCK),
        [(f"s3:{action}", f"{VAULT}/k") for action in ("PutObject", "PutObjectTagging", "PutObjectRetention")],
    ),
    "a copied part": (s3("upload_part_copy", **PART, CopySource=SOURCE), PINNED),
    "the parts so far": (
        s3("list_parts", Bucket="vault", Key="k", UploadId=""),
        [("s3:ListMultipartUploadParts", f"{VAULT}/k")],
    ),
    "the uploads": (s3("list_multipart_uploads", Bucket="vault"), [("s3:ListBucketMultipartUploads", VAULT)]),
    "an abort": (
        s3("abort_multipart_upload", Bucket="vault", Key="k", UploadId=""),
        [("s3:AbortMultipartUpload", f"{VAULT}/k")],
    ),
    "the versions of a bucket": (s3("list_object_versions", Bucket="lake"), [("s3:ListBucketVersions", LAKE)]),
    "the attributes of a version": (
        s3("get_object_attributes", **ATTRIBUTES, VersionId="VERSION"),
        [("s3:GetObjectVersion", f"{LAKE}/k"), ("s3:GetObjectVersionAttributes", f"{LAKE}/k")],
    ),
    "the attributes of an object": (
        s3("get_object_attributes", **ATTRIBUTES),
        [("s3:GetObject", f"{LAKE}/k"), ("s3:GetObjectAttributes", f"{LAKE}/k")],
    ),
    "the tags of a version": (
        s3("get_object_tagging", Bucket="lake", Key="k", VersionId="VERSION"),
        [("s3:GetObjectVersionTagging", f"{LAKE}/k")],
    ),
    "the retention of a version": (
        s3("get_object_retention", Bucket="vault", Key="k", VersionId="VERSION"),
        [("s3:GetObjectRetention", f"{VAULT}/k")],
    ),
    "a longer retention": (
        s3("put_object_retention", Bucket="vault", Key="k", VersionId="VERSION", **RETAIN),
        [("s3:PutObjectRetention", f"{VAULT}/k")],
    ),
    "a retention past governance": (
        s3("put_object_retention", Bucket="vault", Key="none", BypassGovernanceRetention=True, **RETAIN),
        [(f"s3:{action}", f"{VAULT}/none") for action in ("PutObjectRetention", "BypassGovernanceRetention")],
    ),
    "deletions of objects and versions at once": (
        s3("delete_objects", Bucket="lake", Delete=DELETED),
        [("s3:DeleteObject", f"{LAKE}/a"), ("s3:DeleteObjectVersion", f"{LAKE}/b")],
    ),
    "a batch of writes": (
        ("dynamodb", "batch_write_item", {"RequestItems": {name: [{"PutRequest": {"Item": ITEM}}] for name in "ab"}}),
        [("dynamodb:BatchWriteItem", f"{TABLE}/a"), ("dynamodb:BatchWriteItem", f"{TABLE}/b")],
    ),
    "a batch of reads": (
        ("dynamodb", "batch_get_item", {"RequestItems": {"a": {"Keys": [ITEM]}}}),
        [("dynamodb:BatchGetItem", f"{TABLE}/a")],
    ),
    "a metric": (
        ("cloudwatch", "put_metric_data", {"Namespace": "mldr", "MetricData": [{"MetricName": "m", "Value": 1}]}),
        [("cloudwatch:PutMetricData", "*")],
    ),
    "an execution": (
        ("stepfunctions", "start_execution", {"stateMachineArn": MACHINE}),
        [("states:StartExecution", MACHINE)],
    ),
}


@pytest.mark.parametrize("name", NEEDS)
def test_each_of_its_permissions_is_needed_and_together_they_are_enough(world: World, name: str) -> None:
    call, granted = NEEDS[name]
    for missing in granted:
        assert missing[0] in world.refusal(call, [one for one in granted if one != missing])
    assert world.refusal(call, granted) == ""


def test_a_bucket_policy_keeps_versions_from_mass_deletion(world: World) -> None:
    s3 = world.endpoint.client("s3")
    keep = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObjectVersion", "Resource": f"{VAULT}/*"}
    s3.put_bucket_policy(Bucket="vault", Policy=json.dumps({"Version": "2012-10-17", "Statement": [keep]}))
    version = s3.put_object(Bucket="vault", Key="sealed", Body=b"x")["VersionId"]
    pinned = {"Objects": [{"Key": "sealed", "VersionId": version}]}
    assert denied(s3.delete_objects, Bucket="vault", Delete=pinned)
    assert s3.head_object(Bucket="vault", Key="sealed")["VersionId"] == version
    assert not denied(s3.delete_objects, Bucket="vault", Delete={"Objects": [{"Key": "sealed"}]})


def test_the_key_of_a_copied_source_must_be_usable(world: World) -> None:
    def sealed(call: Callable[..., Any], name: str) -> dict[str, Any]:
        key = world.endpoint.client("kms").create_key()["KeyMetadata"]["Arn"]
        call(Bucket="lake", Key=name, Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
        return {"key": key, "copy": {"Bucket": "vault", "Key": name, "CopySource": f"lake/{name}"}}

    made = sealed(world.endpoint.client("s3").put_object, "secret")
    granted = [("s3:PutObject", f"{VAULT}/secret"), ("s3:GetObject", f"{LAKE}/secret")]
    copy = s3("copy_object", **made["copy"])
    assert "kms:Decrypt" in world.refusal(copy, granted)
    assert world.refusal(copy, [*granted, ("kms:Decrypt", made["key"])]) == ""
