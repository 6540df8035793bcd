"""Requests of a real SDK are recognised: service, operation, region and caller, in every protocol."""

import io
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from localcloud.calls import Call, CallLog, bucket_and_key, copy_source, identify, is_remote_control_plane, parameters

SESSION = boto3.Session(aws_access_key_id="function:ap-southeast-3:f", aws_secret_access_key="x")
OBJECT = {"Bucket": "vault", "Key": "models/a b/model.tar.gz"}
PART = {**OBJECT, "UploadId": "u", "PartNumber": 1}
SOURCE = {"CopySource": {"Bucket": "lake", "Key": "x/y z", "VersionId": "v1"}}
CHANGES = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": {"Name": "a", "Type": "A"}}]}
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("dynamodb", "PutItem", {"TableName": "t", "Item": {"pk": {"S": "a"}}}),
    ("sagemaker", "DescribeModelPackage", {"ModelPackageName": "m"}),
    ("sagemaker-runtime", "InvokeEndpoint", {"EndpointName": "e", "Body": b"{}"}),
    ("sns", "Publish", {"TopicArn": "arn:aws:sns:ap-southeast-3:1:t", "Message": "m"}),
    ("iam", "CreateRole", {"RoleName": "r", "AssumeRolePolicyDocument": "{}"}),
    ("sqs", "SendMessage", {"QueueUrl": "http://q/1/q", "MessageBody": "m"}),
    ("stepfunctions", "StartExecution", {"stateMachineArn": "arn:aws:states:ap-southeast-3:1:stateMachine:m"}),
    ("cloudwatch", "PutMetricData", {"Namespace": "n", "MetricData": []}),
    ("lambda", "Invoke", {"FunctionName": "f"}),
    ("apigatewayv2", "CreateRoute", {"ApiId": "a", "RouteKey": "GET /"}),
    ("route53", "ChangeResourceRecordSets", {"HostedZoneId": "Z1", "ChangeBatch": CHANGES}),
    ("route53", "CreateHealthCheck", {"CallerReference": "c", "HealthCheckConfig": {"Type": "CALCULATED"}}),
    ("s3", "ListBuckets", {}),
    ("s3", "CreateBucket", {"Bucket": "vault"}),
    ("s3", "PutBucketPolicy", {"Bucket": "vault", "Policy": "{}"}),
    ("s3", "HeadBucket", {"Bucket": "vault"}),
    ("s3", "ListObjects", {"Bucket": "vault", "Prefix": "a"}),
    ("s3", "ListObjectsV2", {"Bucket": "vault"}),
    ("s3", "ListObjectVersions", {"Bucket": "vault"}),
    ("s3", "DeleteObjects", {"Bucket": "vault", "Delete": {"Objects": [{"Key": "a"}]}}),
    ("s3", "PutObject", {**OBJECT, "Body": b"x"}),
    ("s3", "GetObject", {**OBJECT, "VersionId": "v"}),
    ("s3", "HeadObject", OBJECT),
    ("s3", "GetObjectAttributes", {**OBJECT, "ObjectAttributes": ["Checksum"]}),
    ("s3", "CopyObject", {**OBJECT, **SOURCE}),
    ("s3", "CreateMultipartUpload", OBJECT),
    ("s3", "UploadPart", {**PART, "Body": b"x"}),
    ("s3", "UploadPartCopy", {**PART, **SOURCE}),
    ("s3", "CompleteMultipartUpload", {**OBJECT, "UploadId": "u", "MultipartUpload": {"Parts": []}}),
    ("s3", "AbortMultipartUpload", {**OBJECT, "UploadId": "u"}),
    ("s3", "ListParts", {**OBJECT, "UploadId": "u"}),
    ("s3", "PutObjectRetention", {**OBJECT, "Retention": {"Mode": "COMPLIANCE"}}),
    ("s3", "GetObjectRetention", OBJECT),
    ("s3", "PutObjectTagging", {**OBJECT, "Tagging": {"TagSet": []}}),
]


def environ_of(service: str, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What the server would see of the request that the SDK makes."""
    seen: dict[str, Any] = {}
    client = SESSION.client(service, region_name="ap-southeast-3", endpoint_url="http://127.0.0.1:1")  # type: ignore[call-overload]

    def capture(request: Any, **_: Any) -> AWSResponse:
        url, body = urlsplit(request.url), request.body or b""
        content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else body.read()
        seen.update(REQUEST_METHOD=request.method, PATH_INFO=unquote(url.path), QUERY_STRING=url.query)
        seen["wsgi.input"] = io.BytesIO(content)
        for name, value in request.headers.items():
            text = value.decode() if isinstance(value, bytes) else value
            key = name.upper().replace("-", "_")
            seen[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = text
        raise InterruptedError

    client.meta.events.register("before-send", capture)
    with pytest.raises(InterruptedError):
        client._make_api_call(operation, arguments)
    return seen


@pytest.mark.parametrize(("service", "operation", "arguments"), REQUESTS, ids=[f"{s}-{o}" for s, o, _ in REQUESTS])
def test_every_protocol_is_recognised(service: str, operation: str, arguments: dict[str, Any]) -> None:
    region = "us-east-1" if service in ("iam", "route53") else "ap-southeast-3"
    found = identify(environ_of(service, operation, arguments))
    assert found == (service, operation, region, "function:ap-southeast-3:f")


def test_parameters_come_from_path_query_and_body() -> None:
    environ = environ_of("route53", "ChangeResourceRecordSets", dict(REQUESTS[10][2]))
    assert parameters(environ, identify(environ))["HostedZoneId"] == "Z1"
    environ = environ_of("sns", "Publish", dict(REQUESTS[3][2]))
    assert parameters(environ, identify(environ))["TopicArn"].endswith(":t")
    environ = environ_of("apigatewayv2", "CreateRoute", dict(REQUESTS[9][2]))
    assert parameters(environ, identify(environ))["ApiId"] == "a"


def test_a_copy_names_its_source_and_target() -> None:
    environ = environ_of("s3", "CopyObject", {**OBJECT, **SOURCE})
    assert copy_source(environ) == ("lake", "x/y z", "v1")
    assert bucket_and_key(environ) == ("vault", "models/a b/model.tar.gz")


def test_reading_the_parameters_leaves_the_body_for_moto() -> None:
    environ = environ_of("dynamodb", "PutItem", dict(REQUESTS[0][2]))
    parameters(environ, identify(environ))
    assert b"TableName" in environ["wsgi.input"].read()


@pytest.mark.parametrize(
    ("service", "operation", "remote"),
    [
        ("route53", "ChangeResourceRecordSets", True),
        ("route53", "CreateHealthCheck", True),
        ("route53", "ListHostedZonesByName", False),
        ("iam", "GetRole", True),
        ("s3", "CreateBucket", True),
        ("s3", "PutBucketVersioning", True),
        ("s3", "PutPublicAccessBlock", True),
        ("s3", "PutObject", False),
        ("s3", "PutObjectRetention", False),
        ("s3", "ListObjectsV2", False),
        ("cloudformation", "CreateStack", True),
        ("route53-recovery-control-config", "CreateCluster", True),
        ("arc-region-switch", "StartPlanExecution", True),
        ("sagemaker", "CreateEndpoint", False),
    ],
)
def test_remote_control_planes_are_told_apart(service: str, operation: str, remote: bool) -> None:
    assert is_remote_control_plane(Call(0.0, "us-east-1", service, operation, "f", 200)) is remote


def test_the_log_gives_what_came_since() -> None:
    log = CallLog()
    for at in (1.0, 2.0, 3.0):
        log.append(Call(at, "r", "s3", "GetObject", "p", 200))
    assert [call.at for call in log.since(2.0)] == [2.0, 3.0]
