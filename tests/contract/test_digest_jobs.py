"""Checksums that S3 computes over the vault's versions: on memory, and on moto with the local Batch Operations."""

import csv
import hashlib
import json
import tracemalloc
from types import SimpleNamespace

import boto3
import pytest

from localcloud.moto_repairs.s3_batch_operations import SERVICE, BatchOperations
from mldr.aws.batch_operations import COLUMNS, S3BatchOperations, _computed
from mldr.domain.digest_jobs import Phase, Target
from mldr.errors import ChecksumUnavailable, RegionUnreachable
from tests.contract.conftest import ACCOUNT, STANDBY, endpoint
from tests.fakes.digest_jobs import FakeDigestJobs
from tests.fakes.objects import Buckets, checksum_of

KEYS = ["model.bin", "ünï cödé/モデル.bin", "a//b", '100% +plus&amp;=?,"x".bin', "sp ace ", "%41", "x" * 1000]
NAME = "in-progress/test/digests/jobs/000000"


class InMemory:
    """Buckets in memory."""

    def __init__(self):
        self.buckets = Buckets()
        self.jobs = FakeDigestJobs(self.buckets)

    def put(self, key, body):
        return Target(key, self.buckets.put("vault", key, body).version_id)


class OnMoto:
    """The real adapter."""

    def __init__(self, moto, trusted=SERVICE):
        moto.bucket("vault", STANDBY, locked=True)
        self.s3 = moto.client("s3", STANDBY)
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": trusted}, "Action": "sts:AssumeRole"}]}
        iam = boto3.client("iam", **keys)
        role = iam.create_role(RoleName="digests", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        control = boto3.client("s3control", region_name=STANDBY, endpoint_url=endpoint(), **keys)
        self.jobs = S3BatchOperations(control, self.s3, bucket="vault", role_arn=role)

    def put(self, key, body):
        return Target(key, self.s3.put_object(Bucket="vault", Key=key, Body=body)["VersionId"])

    def files(self, prefix=NAME):
        found = self.s3.list_objects_v2(Bucket="vault", Prefix=prefix).get("Contents", [])
        return [one["Key"] for one in found]


def nothing_refused(role, need):
    return None


@pytest.fixture
def batch(moto):
    """moto with the local cloud's Batch Operations."""
    operations = BatchOperations(ACCOUNT, nothing_refused)
    operations.start()
    yield moto
    operations.stop()


@pytest.fixture(params=["memory", "moto"])
def place(request):
    return InMemory() if request.param == "memory" else OnMoto(request.getfixturevalue("batch"))


def ended(place, job):
    """Look until a job has ended; its state."""
    for _ in range(10):
        state = place.jobs.state(job)
        if state.phase is not Phase.RUNNING:
            return state
    raise AssertionError("it never ends")


def computed(place, targets, algorithm="SHA256", name=NAME, token="t" * 64):
    """What a job told of versions."""
    job = place.jobs.start(name, token, targets, algorithm)
    assert ended(place, job).phase is Phase.COMPLETE
    return {line.version_id: line for line in place.jobs.results(job, algorithm)}


@pytest.mark.parametrize("algorithm", ["SHA256", "CRC64NVME", "CRC32C", "SHA1"])
def test_every_version_gets_its_checksum_whatever_its_key(place, algorithm):
    targets = {place.put(key, key.encode() * 3): key.encode() * 3 for key in KEYS}
    told = computed(place, targets, algorithm)
    assert {target.version_id for target in targets} == set(told)
    for target, body in targets.items():
        assert (told[target.version_id].value, told[target.version_id].error) == (
            checksum_of(body, algorithm).value,
            "",
        )


def test_the_named_version_is_computed_and_not_the_current_one(place):
    first = place.put("one", b"first")
    place.put("one", b"second")
    assert computed(place, [first])[first.version_id].value == checksum_of(b"first", "SHA256").value


def test_what_is_gone_is_told_by_its_version_beside_what_is_there(place):
    there = place.put("one", b"first")
    told = computed(place, [there, Target("gone", "no-such-version")])
    assert "not found" in told["no-such-version"].error.lower()
    assert told[there.version_id].value


def test_a_job_runs_before_it_is_complete(place):
    job = place.jobs.start(NAME, "t" * 64, [place.put("one", b"first")], "SHA256")
    assert place.jobs.state(job).phase is Phase.RUNNING


def test_the_same_token_is_the_same_job_and_another_one_is_another(place):
    targets = [place.put("one", b"first")]
    job = place.jobs.start(NAME, "t" * 64, targets, "SHA256")
    assert place.jobs.start(NAME, "t" * 64, targets, "SHA256") == job
    assert place.jobs.start(NAME + "1", "u" * 64, targets, "SHA256") != job


def test_a_list_that_was_written_already_is_not_written_again(batch):
    """Under a KMS key a second writing has another ETag, and the same token would name another request."""
    place = OnMoto(batch)
    targets = [place.put("one", b"first")]
    place.jobs.start(NAME, "t" * 64, targets, "SHA256")
    place.jobs.start(NAME, "t" * 64, targets, "SHA256")
    assert len(place.s3.list_object_versions(Bucket="vault", Prefix=f"{NAME}.csv")["Versions"]) == 1


def test_a_role_that_the_service_may_not_assume_is_refused_with_what_to_do(batch):
    place = OnMoto(batch, trusted="lambda.amazonaws.com")
    with pytest.raises(ChecksumUnavailable, match="look at the role"):
        place.jobs.start(NAME, "t" * 64, [place.put("one", b"first")], "SHA256")


def test_a_list_that_is_gone_fails_the_job_with_its_reason(batch):
    place = OnMoto(batch)
    job = place.jobs.start(NAME, "t" * 64, [place.put("one", b"first")], "SHA256")
    place.s3.put_object(Bucket="vault", Key=f"{NAME}.csv", Body=b"another list")
    state = ended(place, job)
    assert (state.phase, "does not have the given ETag" in state.reason) == (Phase.FAILED, True)
    assert list(place.jobs.results(job, "SHA256")) == []


def test_a_complete_job_runs_until_its_report_is_there(batch):
    place = OnMoto(batch)
    job = place.jobs.start(NAME, "t" * 64, [place.put("one", b"first")], "SHA256")
    assert ended(place, job).phase is Phase.COMPLETE
    place.s3.delete_object(Bucket="vault", Key=f"{NAME}/job-{job}/manifest.json")
    assert place.jobs.state(job).phase is Phase.RUNNING


def test_a_report_that_was_changed_is_not_believed(batch):
    place = OnMoto(batch)
    job = place.jobs.start(NAME, "t" * 64, [place.put("one", b"first")], "SHA256")
    ended(place, job)
    [file] = [key for key in place.files() if key.endswith(".csv") and "/results/" in key]
    held = place.s3.get_object(Bucket="vault", Key=file)["Body"].read()
    place.s3.put_object(Bucket="vault", Key=file, Body=held.replace(b"succeeded", b"succeedee"))
    with pytest.raises(RegionUnreachable, match="MD5"):
        list(place.jobs.results(job, "SHA256"))


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ('{"checksum_base64":"x","checksumAlgorithm":"CRC32","checksumType":"FULL_OBJECT"}', "another one"),
        ('{"checksum_base64":"x","checksumAlgorithm":"SHA256","checksumType":"COMPOSITE"}', "another one"),
        ("Successful", "cannot be read"),
        ("[]", "cannot be read"),
    ],
)
def test_a_line_that_is_not_the_checksum_asked_for_is_an_error_of_its_version(message, error):
    row = dict(zip(COLUMNS, ("vault", "one", "v1", "succeeded", "200", "", message), strict=True))
    line = _computed(row, "SHA256")
    assert (line.version_id, line.value, error in line.error) == ("v1", "", True)


def test_the_lines_of_awss_own_examples_are_read():
    """docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-examples-reports.html"""
    succeeded = (
        'amzn-s3-demo-bucket1,s3-standard-1mb-test-object,,succeeded,200,,"{""checksum_base64"":""bS9TOQ\\u003d\\u003d"",'
        '""etag"":""3c3c1813042989094598e4b57ecbdc82"",""checksumAlgorithm"":""CRC32"",""checksumType"":""FULL_OBJECT"",'
        '""checksum_hex"":""6D2F5339""}"'
    )
    failed = (
        'amzn-s3-demo-bucket1,image_14975,,failed,200,PermanentFailure,"error details: {""failureMessage"":""Task x '
        'Key not found"", ""errorCode"": ""404""}"'
    )
    lines = [_computed(dict(zip(COLUMNS, row, strict=True)), "CRC32") for row in csv.reader([succeeded, failed])]
    assert lines[0].value == "bS9TOQ=="
    assert lines[1].error.startswith("200 PermanentFailure: ")
    assert "Key not found" in lines[1].error


def test_a_large_report_is_read_line_by_line():
    """What is in memory is one piece of a file, whatever its length."""
    known = {"checksum_base64": "bS9TOQ==", "checksumAlgorithm": "CRC32", "checksumType": "FULL_OBJECT"}
    told = json.dumps(known).replace('"', '""').replace("=", "\\u003d")
    row = f'vault,key,%032d,succeeded,200,,"{told}"\n'
    pieces = [(row % number).encode() for number in range(100_000)]

    class Body:
        def read(self):
            md5 = hashlib.md5(b"".join(pieces), usedforsecurity=False).hexdigest()
            return json.dumps({"Results": [{"Key": "file", "MD5Checksum": md5}]}).encode()

        def iter_chunks(self, size):
            return (b"".join(pieces[at : at + 500]) for at in range(0, len(pieces), 500))

    class Client:
        meta = SimpleNamespace(endpoint_url="https://s3-control.ap-southeast-3.amazonaws.com")

        def describe_job(self, **_):
            return {"Job": {"Status": "Complete", "Report": {"Prefix": "p"}}}

        def get_object(self, **_):
            return {"Body": Body()}

    jobs = S3BatchOperations(Client(), Client(), bucket="vault", role_arn="arn:aws:iam::123456789012:role/digests")
    lines = jobs.results("job", "CRC32")
    next(lines)
    tracemalloc.start()
    count = 1 + sum(1 for line in lines if line.value == "bS9TOQ==")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 2 * 1024**2
