"""Every Sources and every Vault keep the same promises, on memory and on S3."""

import datetime as dt
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mldr.aws.s3_wire import S3Wire, Stream
from mldr.aws.sources import S3Sources, full_checksum
from mldr.aws.vault import S3Vault, attempts
from mldr.domain.recovery_point import Retention, SourceVersion
from mldr.domain.transfers import MIB
from mldr.errors import (
    BadReference,
    LostRace,
    MissingArtifact,
    NotAllowed,
    RegionUnreachable,
    SourceNotVersioned,
    VaultRefused,
)
from tests.contract.conftest import ACTIVE, STANDBY
from tests.fakes.objects import Buckets, FakeSources, FakeVault, etag_of, sha256

SERVICE = "s3"
KEYS = ["model.tar.gz", "ünï cödé/モデル.bin", "folder/", "a//b", "100% +plus&amp;=?.bin", "sp ace "]
UNTIL = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=2)
LOCK = Retention(mode="GOVERNANCE", until=UNTIL)


class InMemory:
    """Buckets in memory."""

    def __init__(self):
        self.buckets = Buckets()
        self.buckets.make("lake")
        self.sources, self.vault = FakeSources(self.buckets), FakeVault(self.buckets)

    def put(self, key, body, *, checksum=True, **more):
        return self.buckets.put("lake", key, body, checksum=checksum, **more).version_id

    def remove(self, key, version):
        self.buckets.erase("lake", key, version)

    def mark_source_deleted(self, key):
        self.buckets.put("lake", key, None)

    def plain_bucket(self, name):
        self.buckets.make(name, versioned=False)
        self.buckets.put(name, "k", b"one")

    def put_in_vault(self, key, body):
        return self.buckets.put("vault", key, body).version_id

    def mark_deleted(self, key):
        self.buckets.put("vault", key, None)

    def retention(self, key, version):
        held = self.buckets.get("vault", key, version).retention
        return held.mode, held.until


class OnS3:
    """The real adapters: sources in the active region, the vault in the standby."""

    def __init__(self, cloud):
        cloud.bucket("lake", ACTIVE)
        cloud.bucket("vault", STANDBY, locked=True)
        self.cloud, self.lake, self.s3 = cloud, cloud.client("s3", ACTIVE), cloud.client("s3", STANDBY)
        self.sources = S3Sources(self.lake)
        self.vault = S3Vault(self.s3, bucket="vault", key_arn=cloud.key())

    def put(self, key, body, *, checksum=True, content_type=None, metadata=None):
        more = {"ContentType": content_type} if content_type else {}
        put = {**more, "Metadata": metadata or {}}
        if not checksum:
            return self.cloud.put_without_checksum("lake", key, body, **put)
        return self.lake.put_object(Bucket="lake", Key=key, Body=body, ChecksumAlgorithm="SHA256", **put)["VersionId"]

    def remove(self, key, version):
        self.lake.delete_object(Bucket="lake", Key=key, VersionId=version)

    def mark_source_deleted(self, key):
        self.lake.delete_object(Bucket="lake", Key=key)

    def plain_bucket(self, name):
        self.cloud.bucket(name, ACTIVE, versioned=False)
        self.lake.put_object(Bucket=name, Key="k", Body=b"one")

    def put_in_vault(self, key, body):
        return self.s3.put_object(Bucket="vault", Key=key, Body=body)["VersionId"]

    def mark_deleted(self, key):
        self.s3.delete_object(Bucket="vault", Key=key)

    def retention(self, key, version):
        held = self.s3.get_object_retention(Bucket="vault", Key=key, VersionId=version)["Retention"]
        return held["Mode"], held["RetainUntilDate"]


@pytest.fixture
def place(backend):
    return OnS3(backend) if backend else InMemory()


@pytest.fixture
def real(cloud):
    return OnS3(cloud)


# sources


@pytest.mark.needs("checksums")
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("body", [b"", b"weights"])
def test_an_object_is_found_as_it_is(place, key, body):
    version = place.put(key, body, content_type="application/x-tar", metadata={"trained-by": "ci"})
    found = place.sources.find("lake", key)
    assert found.source == SourceVersion(bucket="lake", key=key, version_id=version)
    assert (found.size, found.etag, found.checksum) == (len(body), etag_of(body), sha256(body))
    assert (found.content_type, found.metadata) == ("application/x-tar", {"trained-by": "ci"})


def test_a_named_version_is_found_after_an_overwrite(place):
    first = place.put("k", b"one")
    second = place.put("k", b"two!")
    assert place.sources.find("lake", "k", first).size == 3
    assert place.sources.find("lake", "k").source.version_id == second


@pytest.mark.parametrize(("bucket", "key"), [("lake", "nothing"), ("nowhere", "k")])
def test_what_is_not_there_is_a_missing_artifact(place, bucket, key):
    with pytest.raises(MissingArtifact, match=f"s3://{bucket}/{key}"):
        place.sources.find(bucket, key)


def test_a_version_that_is_gone_is_a_missing_artifact(place):
    first = place.put("k", b"one")
    place.put("k", b"two")
    place.remove("k", first)
    with pytest.raises(MissingArtifact, match="k"):
        place.sources.find("lake", "k", first)


@pytest.mark.needs("objects without a checksum")
def test_an_object_without_a_checksum_says_so(place):
    place.put("k", b"old", checksum=False)
    assert place.sources.find("lake", "k").checksum is None


def test_keys_are_listed_in_order_under_their_prefix_only(place):
    for name in ("m/b", "m/a/z", "m/", "model", "n/x", "m/ü"):
        place.put(name, b"x")
    assert [one.key for one in listed(place, "m/")] == ["m/", "m/a/z", "m/b", "m/ü"]
    assert listed(place, "nothing/") == []


def listed(place, prefix="", **more):
    return list(place.sources.list("lake", prefix, **more))


def test_a_listing_shows_the_current_version_of_each_key(place):
    place.put("m/a", b"old")
    place.put("m/gone", b"x")
    place.mark_source_deleted("m/gone")
    place.put("n", b"x")
    version = place.put("m/a", b"newer")
    [one] = listed(place, "m/")
    found = place.sources.find("lake", "m/a")
    assert (one.key, one.version_id, one.etag, one.size) == ("m/a", version, etag_of(b"newer"), 5)
    assert one.modified == found.modified
    assert abs(one.modified / 1_000_000 - dt.datetime.now(dt.UTC).timestamp()) < 60


@pytest.mark.needs("checksums", "checksums in a listing", "objects without a checksum")
def test_a_listing_tells_which_checksum_there_is(place):
    place.put("a", b"x")
    place.put("b", b"x", checksum=False)
    assert [one.algorithms for one in listed(place)] == [("SHA256",), ()]


@pytest.mark.needs("versions after a key")
@pytest.mark.needs("versions after any key")
def test_a_listing_goes_on_after_a_key(place):
    for key in KEYS:
        place.put(key, b"x")
    assert [one.key for one in listed(place)] == sorted(KEYS)
    for number, key in enumerate(sorted(KEYS), start=1):
        assert [one.key for one in listed(place, after=key)] == sorted(KEYS)[number:]


def test_a_listing_of_more_than_a_page_is_whole(place):
    """A page has 1,000 versions: one ends within the versions of a key."""
    for number in range(4):
        place.put("k000", str(number).encode())
    keys = [f"k{number:03d}" for number in range(1000)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: place.put(key, b"x"), keys[1:]))
    assert [one.key for one in listed(place)] == keys
    assert listed(place)[0].size == 1


def test_a_listing_of_an_instant_shows_what_was_there_then(place):
    second = dt.timedelta(seconds=1)
    first = place.put("k", b"one")
    place.put("later deleted", b"x")
    then = dt.datetime.now(dt.UTC)
    time.sleep(1.1)
    place.put("k", b"two!")
    place.put("new", b"x")
    place.mark_source_deleted("later deleted")
    deleted = dt.datetime.now(dt.UTC)
    time.sleep(1.1)
    place.put("later deleted", b"again")
    assert [(one.key, one.version_id) for one in listed(place, as_of=then)][:1] == [("k", first)]
    assert [one.key for one in listed(place, as_of=then)] == ["k", "later deleted"]
    assert [(one.key, one.size) for one in listed(place, as_of=deleted)] == [("k", 4), ("new", 1)]
    assert [(one.key, one.size) for one in listed(place)] == [("k", 4), ("later deleted", 5), ("new", 1)]
    assert listed(place, as_of=then - 3600 * second) == []


def test_a_bucket_that_keeps_no_versions_is_listed_as_it_is_now_and_not_as_of_an_instant(place):
    place.plain_bucket("plain")
    [one] = place.sources.list("plain", "")
    assert (one.key, one.version_id, one.size) == ("k", "null", 3)
    with pytest.raises(SourceNotVersioned, match="enable versioning"):
        list(place.sources.list("plain", "", as_of=dt.datetime.now(dt.UTC)))


@pytest.mark.parametrize("as_of", [None, dt.datetime.now(dt.UTC)], ids=["now", "then"])
def test_a_listing_of_versions_in_a_missing_bucket_is_a_missing_artifact(place, as_of):
    with pytest.raises(MissingArtifact, match="nowhere"):
        list(place.sources.list("nowhere", "", as_of=as_of))


def test_a_pinned_version_that_is_gone_is_a_missing_artifact(place):
    version = place.put("k", b"one")
    source = place.sources.find("lake", "k").source
    place.remove("k", version)
    with pytest.raises(MissingArtifact, match=r"the pinned s3://lake/k"):
        place.sources.read(source, 9)


def test_a_small_object_is_read_and_a_large_one_refused(place):
    place.put("k", b"12345")
    source = place.sources.find("lake", "k").source
    assert place.sources.read(source, 5) == b"12345"
    with pytest.raises(BadReference, match="5 bytes"):
        place.sources.read(source, 4)


def test_an_object_of_any_size_is_streamed(place):
    body = bytes(range(256)) * 10_000
    place.put("large", body)
    chunks = list(place.sources.stream("lake", "large"))
    assert (b"".join(chunks) == body, len(chunks) > 1) == (True, True)


@pytest.mark.parametrize(("bucket", "key"), [("lake", "no"), ("no-such-bucket", "k")])
def test_a_stream_of_what_is_not_there_is_a_missing_artifact(place, bucket, key):
    with pytest.raises(MissingArtifact):
        next(iter(place.sources.stream(bucket, key)))


def test_a_bucket_without_versions_has_the_version_null(cloud):
    cloud.bucket("plain", ACTIVE, versioned=False)
    s3 = cloud.client("s3", ACTIVE)
    s3.put_object(Bucket="plain", Key="k", Body=b"one")
    sources = S3Sources(s3)
    found = sources.find("plain", "k")
    assert found.source.version_id == "null"
    assert sources.read(found.source, 9) == b"one"
    assert sources.find("plain", "k", "null") == found


@pytest.mark.needs("composite checksum")
def test_a_composite_checksum_is_not_a_full_one(real):
    upload = real.lake.create_multipart_upload(Bucket="lake", Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    where = {"Bucket": "lake", "Key": "k", "UploadId": upload}
    done = []
    for number in (1, 2):
        answer = real.lake.upload_part(**where, PartNumber=number, Body=bytes(5 * MIB), ChecksumAlgorithm="SHA256")
        done.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": answer["ChecksumSHA256"]})
    real.lake.complete_multipart_upload(**where, MultipartUpload={"Parts": done})
    found = real.sources.find("lake", "k")
    assert (found.size, found.checksum) == (10 * MIB, None)
    assert found.etag.endswith("-2")


@pytest.mark.parametrize(
    ("head", "algorithm"),
    [
        ({"ChecksumSHA256": "abc=", "ChecksumType": "FULL_OBJECT"}, "SHA256"),
        ({"ChecksumCRC64NVME": "abc=", "ChecksumCRC32": "x"}, "CRC64NVME"),
        ({"ChecksumSHA256": "abc=", "ChecksumType": "COMPOSITE"}, None),
        ({"ChecksumSHA256": "abc=-2"}, None),
        ({"ChecksumSHA256": "abc=-2", "ChecksumCRC32": "x"}, "CRC32"),
        ({}, None),
    ],
)
def test_the_strongest_checksum_over_the_whole_object_is_taken(head, algorithm):
    found = full_checksum(head)
    assert (found.algorithm if found else None) == algorithm


# the vault


def test_a_lock_holds_a_version_and_can_be_prolonged(place):
    version = place.put_in_vault("k", b"one")
    place.vault.lock("k", version, LOCK)
    place.vault.lock("k", version, LOCK)
    assert place.retention("k", version) == ("GOVERNANCE", UNTIL)
    later = Retention(mode="GOVERNANCE", until=UNTIL + dt.timedelta(days=1))
    place.vault.lock("k", version, later)
    assert place.retention("k", version)[1] == later.until


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_a_lock_is_never_shortened(place, mode):
    version = place.put_in_vault("k", b"one")
    place.vault.lock("k", version, Retention(mode=mode, until=UNTIL))
    with pytest.raises(VaultRefused, match="k"):
        place.vault.lock("k", version, Retention(mode=mode, until=UNTIL - dt.timedelta(hours=1)))
    assert place.retention("k", version) == (mode, UNTIL)


def test_a_compliance_lock_is_never_weakened(place):
    version = place.put_in_vault("k", b"one")
    place.vault.lock("k", version, Retention(mode="COMPLIANCE", until=UNTIL))
    with pytest.raises(VaultRefused, match="k"):
        place.vault.lock("k", version, LOCK)


@pytest.mark.needs("conditional put in a versioned bucket")
def test_a_seal_is_written_once_and_locked(place):
    version = place.vault.seal("k/manifest.json", b"sealed", LOCK)
    with pytest.raises(LostRace, match="sealed already"):
        place.vault.seal("k/manifest.json", b"sealed again", LOCK)
    assert place.vault.read("k/manifest.json", version) == b"sealed"
    assert place.vault.versions("k/manifest.json") == [version]
    assert place.retention("k/manifest.json", version) == ("GOVERNANCE", UNTIL)


@pytest.mark.needs("one winner of many puts of versions")
def test_of_eight_seals_at_once_one_wins(place):
    def seal(number):
        try:
            place.vault.seal("k", str(number).encode(), LOCK)
        except LostRace:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(seal, range(8)) if number is not None]
    assert len(winners) == 1
    assert place.vault.read("k") == str(winners[0]).encode()


def test_a_delete_marker_hides_no_version(place):
    first = place.vault.seal("k", b"sealed", LOCK)
    place.mark_deleted("k")
    assert place.vault.read("k") is None
    assert place.vault.read("k", first) == b"sealed"
    assert place.vault.versions("k") == [first]


def test_versions_are_listed_oldest_first_and_of_this_key_only(place):
    versions = [place.put_in_vault("k", body) for body in (b"one", b"two", b"three")]
    place.put_in_vault("k.bak", b"other")
    assert place.vault.versions("k") == versions


def test_a_working_file_is_written_over_what_is_there(place):
    place.vault.keep("in-progress/k", b"one")
    place.vault.keep("in-progress/k", b"two")
    assert place.vault.read("in-progress/k") == b"two"


def test_a_key_has_a_uri(place):
    assert place.vault.uri("a/b") == "s3://vault/a/b"


# what S3 refuses


def refusing(operation, code, status=400):
    """Let one operation be refused with an error code."""

    def refuse(*_, **__):
        from botocore.exceptions import ClientError

        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)

    return refuse


@pytest.mark.parametrize(
    ("code", "status", "raised"), [("InvalidRequest", 400, VaultRefused), ("AccessDenied", 403, NotAllowed)]
)
def test_a_refused_write_has_a_name(real, monkeypatch, code, status, raised):
    monkeypatch.setattr(S3Wire, "put_object", refusing("put_object", code, status))
    with pytest.raises(raised):
        real.vault.keep("k", b"x")


@pytest.mark.needs("checksums")
def test_what_arrives_damaged_is_not_taken_for_what_was_sealed(real, monkeypatch):
    real.vault.keep("k", b"sealed")
    original = Stream.read
    monkeypatch.setattr(Stream, "read", lambda stream: original(stream)[::-1])
    with pytest.raises(RegionUnreachable, match="arrived damaged"):
        real.vault.read("k")


def test_the_vault_makes_a_call_as_often_as_its_client_would(real):
    assert attempts(real.s3) == real.s3.meta.config.retries["total_max_attempts"] >= 1
