"""Every Restorer keeps the same promises, in memory and on S3: verified, resumable, and never over something else."""

import pytest

from mldr.aws.restorer import S3Restorer
from mldr.domain.manifests import Entry
from mldr.domain.pace import PaceLimits
from mldr.domain.transfers import MIB, CopyLimits
from mldr.errors import ChecksumMismatch, MissingArtifact, TargetDiffers
from tests.contract.conftest import STANDBY
from tests.fakes.objects import Buckets, checksum_of
from tests.fakes.restorer import FakeRestorer

SERVICE = "s3"
LIMITS = CopyLimits(single_copy=5 * MIB, part=5 * MIB)
QUICK = PaceLimits(first_delay=0.001, longest_delay=0.01)
NAMES = ["a.jpg", "ünï cödé/モデル.bin", "folder/", "a//b", "100% +plus&amp;=?.bin", " sp ace ", "A.jpg", "é" * 500]
LARGE = b"a" * 5 * MIB + b"b" * 5 * MIB + b"c" * MIB + b"!"


class InMemory:
    """Buckets in memory."""

    def __init__(self):
        self.buckets = Buckets()
        for bucket in ("vault", "back"):
            self.buckets.make(bucket)
        self.restorer = FakeRestorer(self.buckets)

    def put(self, bucket, key, body, **more):
        return self.buckets.put(bucket, key, body, checksum="CRC64NVME", **more).version_id

    def erase(self, key, version):
        self.buckets.erase("vault", key, version)

    def read(self, key):
        found = self.buckets.get("back", key)
        return found.body if found else None

    def described(self, key):
        found = self.buckets.get("back", key)
        return found.content_type, found.metadata, found.tags

    def versions(self, key):
        return len(self.buckets.all("back", key))


class OnS3:
    """The real adapter; both buckets in the standby region."""

    def __init__(self, cloud):
        cloud.bucket("vault", STANDBY)
        cloud.bucket("back", STANDBY)
        self.s3 = cloud.client("s3", STANDBY)
        self.restorer = S3Restorer(self.s3, vault="vault", limits=LIMITS, pace=QUICK)

    def put(self, bucket, key, body, *, content_type="binary/octet-stream", metadata=None, tags=None):
        return self.s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=body,
            ChecksumAlgorithm="CRC64NVME",
            ContentType=content_type,
            Metadata=metadata or {},
            Tagging="&".join(f"{name}={value}" for name, value in (tags or {}).items()),
        )["VersionId"]

    def erase(self, key, version):
        self.s3.delete_object(Bucket="vault", Key=key, VersionId=version)

    def read(self, key):
        try:
            return self.s3.get_object(Bucket="back", Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None

    def described(self, key):
        head = self.s3.head_object(Bucket="back", Key=key)
        tags = self.s3.get_object_tagging(Bucket="back", Key=key)["TagSet"]
        return head["ContentType"], head["Metadata"], {tag["Key"]: tag["Value"] for tag in tags}

    def versions(self, key):
        found = self.s3.list_object_versions(Bucket="back", Prefix=key).get("Versions", [])
        return sum(one["Key"] == key for one in found)


@pytest.fixture
def place(backend):
    return OnS3(backend) if backend else InMemory()


def kept(place, name, body, **more):
    """An object of the vault, as a manifest names it."""
    key = f"objects/version/{checksum_of(name.encode(), 'SHA256').value.replace('/', '_')}"
    version = place.put("vault", key, body, **more)
    return Entry(
        name=name,
        bucket="lake",
        source_key=name,
        source_version="v",
        etag="e" * 32,
        modified=0,
        size=len(body),
        key=key,
        version_id=version,
        digests={"CRC64NVME": checksum_of(body).value},
    )


def restore(place, *entries, base="images/"):
    return [entry.name for entry in place.restorer.restore(entries, "back", base)]


@pytest.mark.parametrize("name", NAMES)
def test_an_object_comes_back_under_its_name(place, name):
    assert restore(place, kept(place, name, b"bytes of " + name.encode())) == [name]
    assert place.read(f"images/{name}") == b"bytes of " + name.encode()


def test_what_describes_an_object_comes_back_with_it(place):
    told = {"content_type": "image/jpeg", "metadata": {"camera": "x1"}, "tags": {"label": "cat"}}
    restore(place, kept(place, "a", b"cat", **told), kept(place, "empty", b""))
    assert place.described("images/a") == ("image/jpeg", {"camera": "x1"}, {"label": "cat"})
    assert place.read("images/empty") == b""


def test_the_pinned_version_comes_back_not_the_newest(place):
    entry = kept(place, "a", b"old")
    place.put("vault", entry.key, b"new")
    restore(place, entry, base="")
    assert place.read("a") == b"old"


@pytest.mark.needs("conditional copy")
def test_restoring_again_copies_nothing_again(place):
    entries = [kept(place, name, name.encode()) for name in ("a", "b")]
    restore(place, *entries)
    assert sorted(restore(place, *entries)) == ["a", "b"]
    assert [place.versions(f"images/{name}") for name in ("a", "b")] == [1, 1]


@pytest.mark.needs("conditional copy")
@pytest.mark.parametrize("other", [b"someone's own", b"bytez"])
def test_something_else_is_never_written_over(place, other):
    entry = kept(place, "a", b"bytes")
    place.put("back", "images/a", other)
    with pytest.raises(TargetDiffers, match="images/a"):
        restore(place, entry)
    assert (place.read("images/a"), place.versions("images/a")) == (other, 1)


def test_a_version_that_is_gone_is_named(place):
    entry = kept(place, "a", b"bytes")
    place.erase(entry.key, entry.version_id)
    with pytest.raises(MissingArtifact, match="objects/version"):
        restore(place, entry)
    assert place.read("images/a") is None


def test_bytes_that_are_not_what_was_sealed_are_not_called_restored(place):
    entry = kept(place, "a", b"bytes")
    with pytest.raises(ChecksumMismatch):
        restore(place, entry._replace(digests={"CRC64NVME": checksum_of(b"other").value}))


def test_a_large_object_comes_back_in_parts_and_once(place):
    entry = kept(place, "large", LARGE, content_type="image/tiff")
    assert restore(place, entry) == restore(place, entry) == ["large"]
    assert place.read("images/large") == LARGE
    assert (place.described("images/large")[0], place.versions("images/large")) == ("image/tiff", 1)


def test_a_large_object_is_not_written_over_either(place):
    entry = kept(place, "large", LARGE)
    place.put("back", "images/large", b"!" + LARGE[1:])
    with pytest.raises(TargetDiffers):
        restore(place, entry)
    assert place.versions("images/large") == 1
