"""S3 Batch Operations in the local cloud: what AWS refuses, finds and reports, and what the calls need."""

import base64
import csv
import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.s3control import urls
from moto.s3control.responses import S3ControlResponse

from localcloud.moto_repairs.s3_batch_operations import SERVICE, STATES, WITH_A_REGION, BatchOperations
from localcloud.principals import access_key
from tests.functional.localcloud.one_endpoint import ACCOUNT, STANDBY, OneEndpoint, one_endpoint

READS = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": "arn:aws:s3:::vault/*"}
WRITES = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::vault/reports/*"}
LIST = "lists/one.csv"


class Bench:
    """A vault, a role for jobs and a client."""

    def __init__(self, endpoint: OneEndpoint) -> None:
        self.endpoint, self.s3 = endpoint, endpoint.client("s3")
        endpoint.bucket("vault", locked=True)
        self.roles = 0

    def control(self, key: str = "person") -> Any:
        """A client that leaves the account out of the host's name."""
        client = self.endpoint.client("s3control", key=key)
        client.meta.events.register("before-sign.s3-control", _one_host)
        return client

    def role(self, *statements: dict[str, Any], service: str = SERVICE) -> str:
        """A role that the service may assume."""
        trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
        iam, self.roles = self.endpoint.client("iam"), self.roles + 1
        name = f"jobs-{self.roles}"
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
        return str(made["Role"]["Arn"])

    def request(self, role: str, lines: str, **more: Any) -> dict[str, Any]:
        """A job over a list."""
        etag = self.s3.put_object(Bucket="vault", Key=LIST, Body=lines.encode())["ETag"]
        return {
            "AccountId": ACCOUNT, "ConfirmationRequired": False, "Priority": 1, "RoleArn": role,
            "ClientRequestToken": "token-1",
            "Operation": {"S3ComputeObjectChecksum": {"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"}},
            "Manifest": {
                "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key", "VersionId"]},
                "Location": {"ObjectArn": f"arn:aws:s3:::vault/{LIST}", "ETag": etag},
            },
            "Report": {
                "Bucket": "arn:aws:s3:::vault", "Format": "Report_CSV_20180820", "Enabled": True, "Prefix": "reports",
                "ReportScope": "AllTasks", "ExpectedBucketOwner": ACCOUNT,
            },
            **more,
        }  # fmt: skip

    def ended(self, job: str) -> dict[str, Any]:
        """Look at a job until it has ended."""
        for _ in STATES:
            found: dict[str, Any] = self.control().describe_job(AccountId=ACCOUNT, JobId=job)["Job"]
        return found

    def report(self, job: str) -> dict[str, list[list[str]]]:
        """The lines of a report, by what came of them."""
        top = json.loads(self.read(f"reports/job-{job}/manifest.json"))
        assert top["ReportSchema"].startswith("Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode")
        found = {}
        for one in top["Results"]:
            content = self.read(one["Key"])
            assert hashlib.md5(content, usedforsecurity=False).hexdigest() == one["MD5Checksum"]
            found[one["TaskExecutionStatus"]] = list(csv.reader(io.StringIO(content.decode())))
        return found

    def read(self, key: str) -> bytes:
        """The bytes at a key."""
        return bytes(self.s3.get_object(Bucket="vault", Key=key)["Body"].read())


def _one_host(request: Any, **_: Any) -> None:
    request.url = request.url.replace(f"//{ACCOUNT}.", "//", 1)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with one_endpoint() as endpoint:
        operations = BatchOperations(ACCOUNT, endpoint.permissions.role_refusal)
        operations.start()
        try:
            yield Bench(endpoint)
        finally:
            operations.stop()


def test_a_job_goes_through_its_states_and_reports_every_line_as_aws_does(bench: Bench) -> None:
    version = bench.s3.put_object(Bucket="vault", Key='a b,"ü"', Body=b"body")["VersionId"]
    lines = f"vault,a%20b%2C%22%C3%BC%22,{version}\nvault,gone,{'0' * 32}\n"
    job = bench.control().create_job(**bench.request(bench.role(READS, WRITES), lines))["JobId"]
    seen = [bench.control().describe_job(AccountId=ACCOUNT, JobId=job)["Job"]["Status"] for _ in STATES]
    assert seen == [*STATES[1:], "Complete"]
    report = bench.report(job)
    [[*columns, message]] = report["succeeded"]
    assert columns == ["vault", "a%20b%2C%22%C3%BC%22", version, "succeeded", "200", ""]
    digest = hashlib.sha256(b"body").digest()
    assert json.loads(message)["checksum_base64"] == base64.b64encode(digest).decode()
    assert json.loads(message)["checksum_hex"] == digest.hex().upper()
    assert "=" not in message, "AWS writes it as \\u003d"
    [[*columns, message]] = report["failed"]
    assert columns == ["vault", "gone", "0" * 32, "failed", "200", "PermanentFailure"]
    assert "Key not found" in message
    summary = bench.ended(job)["ProgressSummary"]
    assert (summary["NumberOfTasksSucceeded"], summary["NumberOfTasksFailed"]) == (1, 1)


def test_what_the_role_may_not_read_fails_line_by_line(bench: Bench) -> None:
    version = bench.s3.put_object(Bucket="vault", Key="secret/one", Body=b"body")["VersionId"]
    lists = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::vault/lists/*"}
    request = bench.request(bench.role(lists, WRITES), f"vault,secret/one,{version}\n")
    job = bench.control().create_job(**request)["JobId"]
    assert bench.ended(job)["Status"] == "Complete"
    [[*_, message]] = bench.report(job)["failed"]
    assert "Access Denied" in message


@pytest.mark.parametrize(("statement", "why"), [(WRITES, "Reading the manifest is forbidden"), (READS, "No report")])
def test_a_role_that_may_not_read_the_list_or_write_the_report_fails_the_job(
    bench: Bench, statement: dict[str, Any], why: str
) -> None:
    version = bench.s3.put_object(Bucket="vault", Key="one", Body=b"body")["VersionId"]
    job = bench.control().create_job(**bench.request(bench.role(statement), f"vault,one,{version}\n"))["JobId"]
    found = bench.ended(job)
    assert found["Status"] == "Failed"
    assert why in found["FailureReasons"][0]["FailureReason"]


def test_a_list_that_changed_fails_the_job(bench: Bench) -> None:
    job = bench.control().create_job(**bench.request(bench.role(READS, WRITES), "vault,one,v1\n"))["JobId"]
    bench.s3.put_object(Bucket="vault", Key=LIST, Body=b"vault,two,v1\n")
    assert bench.ended(job)["Status"] == "Failed"


def refusal(bench: Bench, **more: Any) -> str:
    """The code with which a job is refused."""
    request = bench.request(bench.role(READS, WRITES), "vault,one,v1\n")
    for name, value in more.items():
        request[name] = {**request[name], **value} if isinstance(value, dict) else value
    with pytest.raises(ClientError) as refused:
        bench.control().create_job(**request)
    return str(refused.value.response["Error"]["Code"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/nobody"},
        {"Report": {"ExpectedBucketOwner": ""}},
        {"Report": {"Enabled": False}},
        {"Operation": {"S3ComputeObjectChecksum": {"ChecksumAlgorithm": "SHA256", "ChecksumType": "COMPOSITE"}}},
        {"Operation": {"S3ComputeObjectChecksum": {"ChecksumAlgorithm": "XXHASH3", "ChecksumType": "FULL_OBJECT"}}},
    ],
)
def test_a_request_that_cannot_be_run_is_refused(bench: Bench, wrong: dict[str, Any]) -> None:
    assert refusal(bench, **wrong) == "InvalidRequest"


def test_a_role_that_trusts_another_service_is_refused(bench: Bench) -> None:
    role = bench.role(READS, WRITES, service="lambda.amazonaws.com")
    assert refusal(bench, RoleArn=role) == "InvalidRequest"


def test_a_token_names_one_request(bench: Bench) -> None:
    request = bench.request(bench.role(READS, WRITES), "vault,one,v1\n")
    control = bench.control()
    assert control.create_job(**request)["JobId"] == control.create_job(**request)["JobId"]
    with pytest.raises(ClientError) as refused:
        control.create_job(**{**request, "Priority": 2})
    assert refused.value.response["Error"]["Code"] == "IdempotencyException"


def test_an_unknown_job_is_not_found(bench: Bench) -> None:
    with pytest.raises(ClientError, match="NotFound"):
        bench.control().describe_job(AccountId=ACCOUNT, JobId="no-such-job")


def test_a_function_needs_the_right_to_create_and_describe_jobs_and_to_pass_the_role(bench: Bench) -> None:
    role = bench.role(READS, WRITES)
    request = bench.request(role, "vault,one,v1\n")
    create = {"Effect": "Allow", "Action": "s3:CreateJob", "Resource": "*"}
    describe = {"Effect": "Allow", "Action": "s3:DescribeJob", "Resource": f"arn:aws:s3:{STANDBY}:{ACCOUNT}:job/*"}
    passed = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": role}
    bench.endpoint.function("all", [create, describe, passed])
    bench.endpoint.function("creates", [create])
    with pytest.raises(ClientError, match="iam:PassRole"):
        bench.control(access_key("function", STANDBY, "creates")).create_job(**request)
    control = bench.control(access_key("function", STANDBY, "all"))
    job = control.create_job(**request)["JobId"]
    assert (bench.endpoint.last_call().service, bench.endpoint.last_call().operation) == ("s3control", "CreateJob")
    assert control.describe_job(AccountId=ACCOUNT, JobId=job)["Job"]["JobId"] == job
    with pytest.raises(ClientError, match="s3:DescribeJob"):
        bench.control(access_key("function", STANDBY, "creates")).describe_job(AccountId=ACCOUNT, JobId=job)


def test_moto_is_left_as_it_was() -> None:
    before = dict(urls.url_paths), list(WITH_A_REGION)
    operations = BatchOperations(ACCOUNT, lambda role, need: None)
    operations.start()
    operations.stop()
    assert (dict(urls.url_paths), list(WITH_A_REGION)) == before
    assert not hasattr(S3ControlResponse, "create_job")
