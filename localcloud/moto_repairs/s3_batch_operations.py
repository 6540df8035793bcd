"""S3 Batch Operations, which moto lacks: jobs of S3ComputeObjectChecksum over a CSV list, with AWS's report.

Restores CreateJob and DescribeJob: what AWS refuses is refused (a token with other parameters, an unknown role, a
report without its owner, a checksum type that an algorithm lacks), what AWS finds later fails the job or the line (a
list that is not there or has another ETag, a role that may not read, a version that is gone, SSE-C). A job passes
through its states as it is looked at, and its report has the columns, the files and the escapes of AWS's examples.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_CreateJob.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-examples-reports.html
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.iam.policy_validation import SERVICE_TYPE_REGION_INFORMATION_ERROR_ASSOCIATIONS as REGIONS
from moto.s3.models import FakeKey, s3_backends
from moto.s3control import urls
from moto.s3control.responses import S3ControlResponse

from localcloud.moto_repairs.s3_checksums import ALGORITHMS, checksum
from localcloud.patches import Patches
from localcloud.policies import Need

SERVICE = "batchoperations.s3.amazonaws.com"
FORMAT, COLUMNS = "S3BatchOperations_CSV_20180820", ("Bucket", "Key", "VersionId")
COMPUTED = (*ALGORITHMS, "MD5", "SHA512")  # XXHASH is not computed here
SCHEMA = "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"  # as AWS has it, wrongly
PATHS = (r"{0}/v20180820/jobs$", r"{0}/v20180820/jobs/(?P<id>[\w-]+)$", "/v20180820/jobs", "/v20180820/jobs/<id>")
STATES = ("New", "Preparing", "Ready", "Active")  # what the first looks see, before it is done
# moto's IAM refuses the ARN of a job in a policy, because it has a region; AWS's are like that.
WITH_A_REGION: list[str] = REGIONS["s3"]["valid_starting_values"]
JOB = "job/"
SSE_C = "x-amz-server-side-encryption-customer-algorithm"
RoleJudge = Callable[[str, Need], str | None]


class Refused(ServiceException):
    """CreateJob or DescribeJob says no."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class JobFailed(Exception):
    """A job fails as a whole."""


@dataclass
class Job:
    """One job and how far it is."""

    asked: dict[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    looks: int = 0
    status: str = STATES[0]
    reasons: list[dict[str, str]] = field(default_factory=list)
    succeeded: int = 0
    failed: int = 0

    @property
    def algorithm(self) -> str:
        """What is computed."""
        return str(self.asked["Operation"]["S3ComputeObjectChecksum"]["ChecksumAlgorithm"])


class BatchOperations:
    """Runs jobs on the buckets of an account; `role_refuses` says what the role of a job does not allow."""

    def __init__(self, account: str, role_refuses: RoleJudge) -> None:
        self._account, self._refuses = account, role_refuses
        self._jobs: dict[str, Job] = {}
        self._patches, self._lock = Patches(), threading.Lock()

    def start(self) -> None:
        """Put the operations in place."""
        self._jobs.clear()
        urls.url_paths.update(dict.fromkeys(PATHS, S3ControlResponse.dispatch))
        WITH_A_REGION.append(JOB)
        for name, act in (("create_job", self._create), ("describe_job", self._describe)):
            setattr(S3ControlResponse, name, _bound(act))

    def stop(self) -> None:
        """Restore moto."""
        for path in PATHS:
            urls.url_paths.pop(path, None)
        WITH_A_REGION.remove(JOB)
        for name in ("create_job", "describe_job"):
            delattr(S3ControlResponse, name)

    def _create(self, response: S3ControlResponse) -> ActionResult:
        names = ("AccountId", "Operation", "Report", "Manifest", "Priority", "RoleArn", "ClientRequestToken")
        asked = {name: response._get_param(name) for name in names}
        with self._lock:
            held = [
                job for job in self._jobs.values() if job.asked["ClientRequestToken"] == asked["ClientRequestToken"]
            ]
            if held and held[0].asked != asked:
                raise Refused("IdempotencyException", "The token was used for a request with other parameters.")
            job = held[0] if held else self._checked(asked)
            self._jobs[job.id] = job
        return ActionResult({"JobId": job.id})

    def _checked(self, asked: dict[str, Any]) -> Job:
        wanted = (asked["Operation"] or {}).get("S3ComputeObjectChecksum")
        report, manifest = asked["Report"] or {}, asked["Manifest"] or {}
        if not wanted or wanted.get("ChecksumAlgorithm") not in COMPUTED:
            raise Refused(
                "InvalidRequest", f"The local cloud computes {', '.join(COMPUTED)}, not {asked['Operation']}."
            )
        if wanted.get("ChecksumType") != "FULL_OBJECT":
            raise Refused("InvalidRequest", "The local cloud computes full-object checksums only.")
        if not report.get("Enabled") or not report.get("ExpectedBucketOwner"):
            raise Refused("InvalidRequest", "A compute checksum job needs a report with ExpectedBucketOwner.")
        spec = manifest.get("Spec", {})
        if spec.get("Format") != FORMAT or tuple(spec.get("Fields") or ()) not in (COLUMNS, COLUMNS[:2]):
            raise Refused("InvalidRequest", f"The local cloud reads {FORMAT} of {', '.join(COLUMNS)}.")
        if not self._trusted(str(asked["RoleArn"])):
            raise Refused("InvalidRequest", f"The role {asked['RoleArn']} is not there or does not trust {SERVICE}.")
        return Job(asked)

    def _trusted(self, arn: str) -> bool:
        roles = iam_backends[self._account]["aws"].roles.values()
        found = next((role for role in roles if role.arn == arn), None)
        document = json.loads(found.assume_role_policy_document) if found else {"Statement": []}
        services = [one.get("Principal", {}).get("Service", []) for one in document["Statement"]]
        return any(SERVICE in (one if isinstance(one, list) else [one]) for one in services)

    def _describe(self, response: S3ControlResponse) -> ActionResult:
        name = str(response.path).rpartition("/")[2]
        with self._lock:
            job = self._jobs.get(name)
            if job is None:
                raise Refused("NotFoundException", "The specified job does not exist.")
            self._look(job)
            counts = {"NumberOfTasksSucceeded": job.succeeded, "NumberOfTasksFailed": job.failed}
            told = {
                "JobId": job.id, "Status": job.status, "RoleArn": job.asked["RoleArn"], "Report": job.asked["Report"],
                "Manifest": job.asked["Manifest"], "Operation": job.asked["Operation"],
                "ProgressSummary": {"TotalNumberOfTasks": job.succeeded + job.failed, **counts},
                "FailureReasons": job.reasons,
            }  # fmt: skip
        return ActionResult({"Job": told})

    def _look(self, job: Job) -> None:
        """Go one state further; what has been active is done."""
        job.looks += 1
        if job.looks < len(STATES):
            job.status = STATES[job.looks]
        elif job.looks == len(STATES):
            try:
                self._run(job)
                job.status = "Complete"
            except JobFailed as failed:
                job.status = "Failed"
                job.reasons = [{"FailureCode": "JobFailed", "FailureReason": str(failed)[:256]}]

    def _run(self, job: Job) -> None:
        lines = [self._line(job, *target) for target in self._targets(job)]
        job.succeeded = sum(line[3] == "succeeded" for line in lines)
        job.failed = len(lines) - job.succeeded
        self._report(job, lines)

    def _targets(self, job: Job) -> Iterator[tuple[str, str, str]]:
        location = job.asked["Manifest"]["Location"]
        bucket, _, key = str(location["ObjectArn"]).partition(":::")[2].partition("/")
        held = self._stored(bucket, key, None)
        self._allowed(job, Need("s3:GetObject", (f"arn:aws:s3:::{bucket}/{key}",)), "Reading the manifest is forbidden")
        if held is None or held.etag.strip('"') != location["ETag"].strip('"'):
            raise JobFailed(f"The manifest s3://{bucket}/{key} is not there, or does not have the given ETag.")
        for need in _decryption(held):
            self._allowed(job, need, "Reading the manifest is forbidden")
        for row in csv.reader(io.StringIO(held.value.decode())):
            if len(row) != len(job.asked["Manifest"]["Spec"]["Fields"]):
                raise JobFailed(f"The manifest has a line of {len(row)} columns.")
            yield row[0], unquote(row[1]), row[2] if len(row) > 2 else ""

    def _allowed(self, job: Job, need: Need, what: str) -> None:
        if reason := self._refuses(str(job.asked["RoleArn"]), need):
            raise JobFailed(f"{what}: 403 {need.action} {reason}")

    def _line(self, job: Job, bucket: str, key: str, version: str) -> list[str]:
        def failed(status: int, message: str) -> list[str]:
            told = f'error details: {{"failureMessage":"Task {uuid.uuid4()} {message}", "errorCode": "{status}"}}'
            return [bucket, quote(key, safe="/"), version, "failed", "200", "PermanentFailure", told]

        action = "s3:GetObjectVersion" if version else "s3:GetObject"
        held = self._stored(bucket, key, version or None)
        needed = [Need(action, (f"arn:aws:s3:::{bucket}/{key}",)), *(_decryption(held) if held else [])]
        if any(self._refuses(str(job.asked["RoleArn"]), need) for need in needed):
            return failed(403, "Access Denied")
        if held is None:
            return failed(404, "Key not found")
        if SSE_C in {name.lower() for name in held.metadata}:
            return failed(400, "SSE-C encryption type is not supported for this operation")
        value = checksum(job.algorithm, held.value)
        told = {
            "checksum_base64": value, "etag": held.etag.strip('"'), "checksumAlgorithm": job.algorithm,
            "checksumType": "FULL_OBJECT", "checksum_hex": base64.b64decode(value).hex().upper(),
        }  # fmt: skip
        message = json.dumps(told, separators=(",", ":")).replace("=", "\\u003d")
        return [bucket, quote(key, safe="/"), version, "succeeded", "200", "", message]

    def _stored(self, bucket: str, key: str, version: str | None) -> FakeKey | None:
        backend = s3_backends[self._account]["aws"]
        found = backend.get_object(bucket, key, version_id=version) if bucket in backend.buckets else None
        return found if isinstance(found, FakeKey) else None

    def _report(self, job: Job, lines: list[list[str]]) -> None:
        """Write what came of each line, the succeeded and the failed ones apart."""
        wanted = job.asked["Report"]
        bucket, prefix = str(wanted["Bucket"]).rpartition(":::")[2], f"{wanted['Prefix']}/job-{job.id}"
        self._allowed(job, Need("s3:PutObject", (f"arn:aws:s3:::{bucket}/{prefix}/manifest.json",)), "No report")
        if wanted["ExpectedBucketOwner"] != self._account or bucket not in s3_backends[self._account]["aws"].buckets:
            raise JobFailed(f"The report's bucket {bucket} is not there, or is another account's.")
        results = [
            self._file(bucket, prefix, status, [line for line in lines if line[3] == status])
            for status in ("succeeded", "failed")
            if any(line[3] == status for line in lines)
        ]
        made = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        top = {"Format": wanted["Format"], "ReportCreationDate": made, "Results": results, "ReportSchema": SCHEMA}
        self._put(bucket, f"{prefix}/manifest.json", json.dumps(top).encode())

    def _file(self, bucket: str, prefix: str, status: str, lines: list[list[str]]) -> dict[str, str]:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        content = text.getvalue().encode()
        key = f"{prefix}/results/{hashlib.sha1(content, usedforsecurity=False).hexdigest()}.csv"
        self._put(bucket, key, content)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return {"TaskExecutionStatus": status, "Bucket": bucket, "MD5Checksum": md5, "Key": key}

    def _put(self, bucket: str, key: str, content: bytes) -> None:
        s3_backends[self._account]["aws"].put_object(bucket, key, content)


def _decryption(held: FakeKey) -> list[Need]:
    """What reading an encrypted object takes besides."""
    return [Need("kms:Decrypt", (str(held.kms_key_id),))] if held.encryption == "aws:kms" and held.kms_key_id else []


def _bound(act: Callable[[S3ControlResponse], ActionResult]) -> Callable[[S3ControlResponse], ActionResult]:
    """Return a method of a response that is this object's."""

    def method(response: S3ControlResponse) -> ActionResult:
        return act(response)

    return method
