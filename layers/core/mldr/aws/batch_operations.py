"""Checksums of the vault's objects, computed by S3 Batch Operations: jobs of S3ComputeObjectChecksum and their reports.

docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-compute-checksums.html
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mldr.domain.digest_jobs import Computed, JobState, Phase, Target
from mldr.errors import ChecksumUnavailable, MissingArtifact, RegionUnreachable
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FORMAT, FIELDS = "S3BatchOperations_CSV_20180820", ["Bucket", "Key", "VersionId"]
CHUNK = 64 * 1024
PRIORITY = 10
ENDED = {"Failed": Phase.FAILED, "Cancelled": Phase.FAILED, "Complete": Phase.COMPLETE}
# The columns of a report's lines. The schema in its manifest.json names the code and the status the other way round;
# the examples of the documentation and real reports are like this.
COLUMNS = ("Bucket", "Key", "VersionId", "TaskStatus", "HTTPStatusCode", "ErrorCode", "ResultMessage")


class S3BatchOperations:
    """Needs s3:CreateJob, s3:DescribeJob on the jobs, iam:PassRole on the role; s3:PutObject, s3:GetObject and
    s3:ListBucket on the vault's working files, and kms:Decrypt and kms:GenerateDataKey on its key.

    The role that is passed needs s3:GetObjectVersion on what is computed, s3:GetObject on the lists and s3:PutObject
    for the reports; it trusts batchoperations.s3.amazonaws.com.
    """

    def __init__(self, control: Any, s3: S3Client, *, bucket: str, role_arn: str) -> None:
        self._control, self._s3, self._bucket, self._role = control, s3, bucket, role_arn
        # Only the service's own names have one in front per account; whoever names another endpoint means that host.
        if ".amazonaws.com" not in control.meta.endpoint_url:
            control.meta.events.register("before-sign.s3-control", self._without_account)

    @property
    def _account(self) -> str:
        return self._role.split(":")[4]

    def start(self, name: str, token: str, targets: Iterable[Target], algorithm: str) -> str:
        etag = self._listed(f"{name}.csv", targets)
        arn = f"arn:{self._role.split(':')[1]}:s3:::{self._bucket}"
        refused = ChecksumUnavailable(
            f"S3 Batch Operations refused a job over {name}.csv; look at the role {self._role} and at the job's "
            "parameters in the log, then ask again"
        )
        with translated(f"create a job over {name}.csv", BadRequestException=refused, InvalidRequest=refused):
            made = self._control.create_job(
                AccountId=self._account,
                ConfirmationRequired=False,
                ClientRequestToken=token,
                Description=f"mldr: {algorithm} of objects in the vault",
                Operation={"S3ComputeObjectChecksum": {"ChecksumAlgorithm": algorithm, "ChecksumType": "FULL_OBJECT"}},
                Manifest={
                    "Spec": {"Format": FORMAT, "Fields": FIELDS},
                    "Location": {"ObjectArn": f"{arn}/{name}.csv", "ETag": etag},
                },
                Report={
                    "Enabled": True,
                    "Bucket": arn,
                    "ExpectedBucketOwner": self._account,
                    "Format": "Report_CSV_20180820",
                    "Prefix": name,
                    "ReportScope": "AllTasks",
                },
                Priority=PRIORITY,
                RoleArn=self._role,
            )
        return str(made["JobId"])

    def state(self, job: str) -> JobState:
        found = self._described(job)
        phase = ENDED.get(found["Status"], Phase.RUNNING)
        if phase is Phase.COMPLETE and self._report(job, found) is None:
            return JobState(phase=Phase.RUNNING, reason="the report is not there yet")
        told = [f"{one.get('FailureCode')}: {one.get('FailureReason')}" for one in found.get("FailureReasons", [])]
        why = "; ".join(told) or found.get("StatusUpdateReason") or "no reason was told"
        failed = phase is Phase.FAILED
        return JobState(phase=phase, reason=f"job {job} {found['Status'].lower()}: {why}" if failed else "")

    def results(self, job: str, algorithm: str) -> Iterator[Computed]:
        report = self._report(job, self._described(job))
        for file in (report or {}).get("Results", []):
            for row in csv.reader(self._lines(file["Key"], file["MD5Checksum"])):
                yield _computed(dict(zip(COLUMNS, row, strict=False)), algorithm)

    def _described(self, job: str) -> Any:
        with translated(f"describe job {job}"):
            return self._control.describe_job(AccountId=self._account, JobId=job)["Job"]

    def _report(self, job: str, found: Any) -> Any:
        """Return the report's manifest.json, or None before S3 wrote it."""
        key = f"{found['Report']['Prefix']}/job-{job}/manifest.json"
        absent = MissingArtifact(key)
        try:
            with translated(f"read {key}", NoSuchKey=absent, _404=absent):
                return json.loads(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except MissingArtifact:
            return None

    def _lines(self, key: str, md5: str) -> Iterator[str]:
        """Yield a file's lines, with their ends; only one piece of it is in memory."""
        digest, rest = hashlib.md5(usedforsecurity=False), ""
        decoder = codecs.getincrementaldecoder("utf-8")()
        with translated(f"read {key}"):
            body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
            for chunk in body.iter_chunks(CHUNK):
                digest.update(chunk)
                *lines, rest = (rest + decoder.decode(chunk)).split("\n")
                yield from (f"{line}\n" for line in lines)
        if rest:
            yield rest
        if digest.hexdigest() != md5:
            raise RegionUnreachable(f"read {key}: its MD5 is not what the report says; it is tried again")

    def _listed(self, key: str, targets: Iterable[Target]) -> str:
        """Return the ETag of a job's list. One that is there stays: under a KMS key a second one has another ETag."""
        absent = MissingArtifact(key)
        try:
            with translated(f"describe {key}", NoSuchKey=absent, _404=absent):
                return self._s3.head_object(Bucket=self._bucket, Key=key)["ETag"].strip('"')
        except MissingArtifact:
            lines = (f"{self._bucket},{quote(one.key, safe='/')},{one.version_id}\n" for one in targets)
            content = "".join(lines).encode()
        with translated(f"write {key}"):
            made = self._s3.put_object(Bucket=self._bucket, Key=key, Body=content, ContentType="text/csv")
        return made["ETag"].strip('"')

    def _without_account(self, request: Any, **_: Any) -> None:
        request.url = request.url.replace(f"//{self._account}.", "//", 1)


def _computed(row: dict[str, str], algorithm: str) -> Computed:
    version, message = row.get("VersionId", ""), row.get("ResultMessage", "")
    if row.get("TaskStatus") != "succeeded":
        return Computed(version, "", f"{row.get('HTTPStatusCode')} {row.get('ErrorCode')}: {message}")
    try:
        told = json.loads(message)
        whole = (told["checksumAlgorithm"], told["checksumType"]) == (algorithm, "FULL_OBJECT")
        return Computed(version, told["checksum_base64"]) if whole else Computed(version, "", f"another one: {message}")
    except (ValueError, KeyError, TypeError):
        return Computed(version, "", f"a report that cannot be read: {message}")
