"""Goldens: the first recorded inference of a file, in memory and in S3."""

import json

import pytest

from mldr.aws import goldens as module
from mldr.aws.goldens import S3Goldens
from mldr.errors import BadGolden, MissingArtifact
from tests.fakes.objects import Buckets
from tests.fakes.proofs import FakeGoldens

SERVICE = "s3"
URI = "s3://lake/churn/golden.jsonl"


def recorded(number):
    return json.dumps({"request": [number], "answer": [number]}).encode() + b"\n"


class Memory:
    """A bucket in memory."""

    def __init__(self):
        self.buckets = Buckets()
        self.buckets.make("lake")
        self.goldens = FakeGoldens(self.buckets)

    def put(self, body):
        return self.buckets.put("lake", "churn/golden.jsonl", body).version_id


class S3:
    """A bucket of S3."""

    def __init__(self, cloud):
        self.client = cloud.client("s3")
        self.client.create_bucket(
            Bucket="lake", CreateBucketConfiguration={"LocationConstraint": self.client.meta.region_name}
        )
        self.client.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
        self.goldens = S3Goldens(self.client)

    def put(self, body):
        return self.client.put_object(Bucket="lake", Key="churn/golden.jsonl", Body=body)["VersionId"]


@pytest.fixture
def lake(backend):
    return S3(backend) if backend else Memory()


@pytest.fixture
def stored(cloud):
    return S3(cloud)


def test_the_first_inference_of_a_file_is_read(lake):
    lake.put(recorded(1) + recorded(2))
    assert lake.goldens.first(URI).request == [1]


def test_a_pinned_version_is_read_whatever_came_after_it(lake):
    pinned = lake.put(recorded(1))
    lake.put(recorded(2))
    assert lake.goldens.first(URI, pinned).request == [1]
    assert lake.goldens.first(URI).request == [2]


def test_a_file_that_is_not_there_is_missing(lake):
    with pytest.raises(MissingArtifact, match="do not exist in this region"):
        lake.goldens.first(URI)


@pytest.mark.parametrize("body", [b"", b"not JSON\n"])
def test_a_file_that_holds_none_is_refused(lake, body):
    lake.put(body)
    with pytest.raises(BadGolden):
        lake.goldens.first(URI)


def test_of_a_large_file_only_the_beginning_is_read(stored, monkeypatch):
    monkeypatch.setattr(module, "LONGEST", len(recorded(1)) + 10)
    stored.put(b"\n" + recorded(1) + recorded(2) * 10_000)
    assert stored.goldens.first(URI).request == [1]


def test_a_first_line_that_is_too_long_is_refused(stored, monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 10)
    stored.put(recorded(1))
    with pytest.raises(BadGolden, match="longer than 10 bytes"):
        stored.goldens.first(URI)


def test_a_file_is_not_read_again_for_a_while(stored, monkeypatch):
    stored.put(recorded(1))
    assert stored.goldens.first(URI).request == [1]
    stored.put(recorded(2))
    assert stored.goldens.first(URI).request == [1]
    monkeypatch.setattr(module, "FRESH", -1.0)
    assert stored.goldens.first(URI).request == [2]
