"""Every Sources and every Vault keep the same promises, on memory and on S3."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest

from mldr.aws.sources import S3Sources, full_checksum
from mldr.aws.vault import S3Vault
from mldr.domain.copying import MIB, CopyLimits
from mldr.domain.recovery_point import PinnedObject, Retention, SourceVersion
from mldr.errors import ArtifactChanged, BadReference, LostRace, MissingArtifact, NotAllowed, VaultRefused
from tests.contract.conftest import ACTIVE, STANDBY
from tests.fakes.objects import Buckets, FakeSources, FakeVault, etag_of, sha256

KEYS = ["model.tar.gz", "ünï cödé/モデル.bin", "folder/", "a//b", "100% +plus&amp;=?.bin", "sp ace "]
UNTIL = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=2)
LOCK = Retention(mode="GOVERNANCE", until=UNTIL)
SMALL = CopyLimits(single_copy=5 * MIB, part=5 * MIB)


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

    def put_in_vault(self, key, body):
        return self.buckets.put("vault", key, body).version_id

    def mark_deleted(self, key):
        self.buckets.put("vault", key, None)

    def retention(self, key, version):
        held = self.buckets.get("vault", key, version).retention
        return held.mode, held.until


class OnS3:
    """The real adapters: sources in the active region, the vault in the standby."""

    def __init__(self, moto):
        moto.bucket("lake", ACTIVE)
        moto.bucket("vault", STANDBY, locked=True)
        self.lake, self.s3 = moto.client("s3", ACTIVE), moto.client("s3", STANDBY)
        key = moto.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.sources = S3Sources(self.lake)
        self.vault = S3Vault(self.s3, bucket="vault", key_arn=key, limits=SMALL)

    def put(self, key, body, *, checksum=True, content_type=None, metadata=None):
        more = {"ContentType": content_type} if content_type else {}
        put = {**more, "Metadata": metadata or {}, "ChecksumAlgorithm": "SHA256"}
        version = self.lake.put_object(Bucket="lake", Key=key, Body=body, **put)["VersionId"]
        if not checksum:
            forget_checksum("lake", key)
        return version

    def remove(self, key, version):
        self.lake.delete_object(Bucket="lake", Key=key, VersionId=version)

    def put_in_vault(self, key, body):
        return self.s3.put_object(Bucket="vault", Key=key, Body=body)["VersionId"]

    def mark_deleted(self, key):
        self.s3.delete_object(Bucket="vault", Key=key)

    def retention(self, key, version):
        held = self.s3.get_object_retention(Bucket="vault", Key=key, VersionId=version)["Retention"]
        return held["Mode"], held["RetainUntilDate"]


def forget_checksum(bucket, key):
    """Leave an object as S3 keeps one that was uploaded before it computed checksums."""
    from moto.s3.models import s3_backends

    held = s3_backends["123456789012"]["aws"].get_object(bucket, key)
    held.checksum_algorithm = held.checksum_value = None


@pytest.fixture(params=["memory", "moto"])
def place(request):
    if request.param == "memory":
        return InMemory()
    return OnS3(request.getfixturevalue("moto"))


@pytest.fixture
def real(moto):
    return OnS3(moto)


def pin(found, key="recovery-points/x/objects/model", **changes):
    """The object as the inventory pins it."""
    item = PinnedObject(
        source=found.source,
        key=key,
        size=found.size,
        etag=found.etag,
        checksum=found.checksum or sha256(b""),
        content_type=found.content_type,
        metadata=found.metadata,
    )
    return item.model_copy(update=changes)


# sources


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


def test_an_object_without_a_checksum_says_so(place):
    place.put("k", b"old", checksum=False)
    assert place.sources.find("lake", "k").checksum is None


def test_keys_are_listed_in_order_under_their_prefix_only(place):
    for name in ("m/b", "m/a/z", "m/", "model", "n/x", "m/ü"):
        place.put(name, b"x")
    assert list(place.sources.list("lake", "m/")) == ["m/", "m/a/z", "m/b", "m/ü"]
    assert list(place.sources.list("lake", "nothing/")) == []


def test_a_listing_of_a_missing_bucket_is_a_missing_artifact(place):
    with pytest.raises(MissingArtifact, match="nowhere"):
        list(place.sources.list("nowhere", ""))


def test_a_digest_is_of_the_pinned_version(place):
    place.put("k", b"one")
    found = place.sources.find("lake", "k")
    place.put("k", b"two")
    assert place.sources.digest(found.source, found.etag) == sha256(b"one", streamed=True)


def test_a_digest_of_another_etag_is_a_changed_artifact(place):
    place.put("k", b"one")
    found = place.sources.find("lake", "k")
    with pytest.raises(ArtifactChanged, match="k"):
        place.sources.digest(found.source, etag_of(b"two"))


@pytest.mark.parametrize("read", [lambda s, v: s.digest(v, "x"), lambda s, v: s.read(v, 9)], ids=["digest", "read"])
def test_a_pinned_version_that_is_gone_is_a_missing_artifact(place, read):
    version = place.put("k", b"one")
    source = place.sources.find("lake", "k").source
    place.remove("k", version)
    with pytest.raises(MissingArtifact, match=r"the pinned s3://lake/k"):
        read(place.sources, source)


def test_a_small_object_is_read_and_a_large_one_refused(place):
    place.put("k", b"12345")
    source = place.sources.find("lake", "k").source
    assert place.sources.read(source, 5) == b"12345"
    with pytest.raises(BadReference, match="5 bytes"):
        place.sources.read(source, 4)


def test_a_bucket_without_versions_has_the_version_null(moto):
    moto.bucket("plain", ACTIVE, versioned=False)
    s3 = moto.client("s3", ACTIVE)
    s3.put_object(Bucket="plain", Key="k", Body=b"one")
    sources = S3Sources(s3)
    found = sources.find("plain", "k")
    assert found.source.version_id == "null"
    assert sources.read(found.source, 9) == b"one"
    assert sources.find("plain", "k", "null") == found


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


# the vault, copies


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


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("body", [b"", b"weights"])
def test_a_copy_is_the_object_with_its_checksum(place, key, body):
    place.put(key, body)
    item = pin(place.sources.find("lake", key), f"recovery-points/x/{key}")
    place.vault.copy(item)
    stored = place.vault.stored(item.key)
    assert (stored.size, stored.checksum) == (len(body), sha256(body))
    assert place.vault.read(item.key, stored.version_id) == body
    assert place.vault.digest(item.key, stored.version_id) == sha256(body, streamed=True)


def test_copying_twice_makes_one_version(place):
    place.put("k", b"one")
    item = pin(place.sources.find("lake", "k"))
    place.vault.copy(item)
    place.vault.copy(item)
    assert len(place.vault.versions(item.key)) == 1


def test_a_damaged_copy_is_made_again(place):
    place.put("k", b"one")
    item = pin(place.sources.find("lake", "k"))
    place.vault.keep(item.key, b"0ne")
    place.vault.copy(item)
    assert place.vault.read(item.key) == b"one"
    assert len(place.vault.versions(item.key)) == 2


def test_the_pinned_version_is_copied_after_an_overwrite(place):
    place.put("k", b"one")
    item = pin(place.sources.find("lake", "k"))
    place.put("k", b"two")
    place.vault.copy(item)
    assert place.vault.read(item.key) == b"one"


def test_a_pinned_version_that_is_gone_is_not_copied(place):
    version = place.put("k", b"one")
    item = pin(place.sources.find("lake", "k"))
    place.put("k", b"two")
    place.remove("k", version)
    with pytest.raises(MissingArtifact, match=f"version {version}"):
        place.vault.copy(item)
    assert place.vault.stored(item.key) is None


def test_another_etag_is_not_copied(place):
    place.put("k", b"one")
    item = pin(place.sources.find("lake", "k"), etag=etag_of(b"other"))
    with pytest.raises(ArtifactChanged, match="s3://lake/k"):
        place.vault.copy(item)
    assert place.vault.stored(item.key) is None


def test_a_source_without_versions_that_changed_is_not_copied(moto, real):
    moto.bucket("plain", ACTIVE, versioned=False)
    real.lake.put_object(Bucket="plain", Key="k", Body=b"one")
    item = pin(real.sources.find("plain", "k"))
    real.lake.put_object(Bucket="plain", Key="k", Body=b"two")
    with pytest.raises(ArtifactChanged, match="s3://plain/k"):
        real.vault.copy(item)


def test_a_copy_keeps_content_type_metadata_and_tags_and_is_encrypted_with_the_vaults_key(real):
    real.put("k", b"one", content_type="application/x-tar", metadata={"trained-by": "ci"})
    real.lake.put_object_tagging(Bucket="lake", Key="k", Tagging={"TagSet": [{"Key": "team", "Value": "risk"}]})
    item = pin(real.sources.find("lake", "k"))
    real.vault.copy(item)
    head = real.s3.head_object(Bucket="vault", Key=item.key)
    assert (head["ContentType"], head["Metadata"]) == ("application/x-tar", {"trained-by": "ci"})
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", real.vault._encryption["SSEKMSKeyId"])
    assert real.s3.get_object_tagging(Bucket="vault", Key=item.key)["TagSet"] == [{"Key": "team", "Value": "risk"}]


# the vault, copies in parts


@pytest.fixture
def large(real):
    """An object of eleven MiB and a byte, whose parts differ, with a full-object CRC64NVME."""
    body = b"a" * 5 * MIB + b"b" * 5 * MIB + b"c" * MIB + b"!"
    put = {"ContentType": "application/x-tar", "Metadata": {"trained-by": "ci"}, "ChecksumAlgorithm": "CRC64NVME"}
    real.lake.put_object(Bucket="lake", Key="large", Body=body, **put)
    return body


def watched(monkeypatch, client, name):
    """Every call of one operation, in order."""
    calls, original = [], getattr(client, name)

    def call(**arguments):
        calls.append(arguments)
        return original(**arguments)

    monkeypatch.setattr(client, name, call)
    return calls


def test_a_large_object_is_copied_in_parts_with_a_checksum_over_the_whole(real, large, monkeypatch):
    parts = watched(monkeypatch, real.s3, "upload_part_copy")
    found = real.sources.find("lake", "large")
    item = pin(found)
    real.vault.copy(item)
    assert [part["CopySourceRange"] for part in parts] == [
        f"bytes=0-{5 * MIB - 1}",
        f"bytes={5 * MIB}-{10 * MIB - 1}",
        f"bytes={10 * MIB}-{11 * MIB}",
    ]
    stored = real.vault.stored(item.key)
    assert (stored.size, stored.checksum) == (len(large), found.checksum)
    assert real.vault.read(item.key) == large
    head = real.s3.head_object(Bucket="vault", Key=item.key)
    assert (head["ContentType"], head["Metadata"]) == ("application/x-tar", {"trained-by": "ci"})
    assert head["ServerSideEncryption"] == "aws:kms"


def test_every_part_comes_from_the_pinned_version(real, large, monkeypatch):
    item = pin(real.sources.find("lake", "large"))
    real.put("large", b"x" * len(large))
    parts = watched(monkeypatch, real.s3, "upload_part_copy")
    real.vault.copy(item)
    assert {part["CopySource"]["VersionId"] for part in parts} == {item.source.version_id}
    assert {part["CopySourceIfMatch"] for part in parts} == {item.etag}
    assert real.vault.read(item.key) == large


def test_a_copy_that_stopped_goes_on_where_it_was(real, large, monkeypatch):
    item = pin(real.sources.find("lake", "large"))
    copy_part = real.s3.upload_part_copy

    def dies(**arguments):
        if arguments["PartNumber"] == 3:
            raise KeyboardInterrupt
        return copy_part(**arguments)

    with monkeypatch.context() as dying:
        dying.setattr(real.s3, "upload_part_copy", dies)
        with pytest.raises(KeyboardInterrupt):
            real.vault.copy(item)
    assert real.vault.stored(item.key) is None
    parts = watched(monkeypatch, real.s3, "upload_part_copy")
    real.vault.copy(item)
    assert [part["PartNumber"] for part in parts] == [3]
    assert real.vault.read(item.key) == large
    assert real.s3.list_multipart_uploads(Bucket="vault").get("Uploads", []) == []


def test_an_open_upload_of_a_longer_key_is_not_mistaken_for_ours(real, large):
    item = pin(real.sources.find("lake", "large"))
    other = real.s3.create_multipart_upload(Bucket="vault", Key=item.key + ".bak")["UploadId"]
    real.vault.copy(item)
    assert real.vault.read(item.key) == large
    assert [one["UploadId"] for one in real.s3.list_multipart_uploads(Bucket="vault")["Uploads"]] == [other]


def test_a_large_object_that_changed_is_not_copied_in_parts(real, large):
    item = pin(real.sources.find("lake", "large"), etag=etag_of(b"other"))
    with pytest.raises(ArtifactChanged, match="s3://lake/large"):
        real.vault.copy(item)
    assert real.vault.stored(item.key) is None


def test_a_large_version_that_is_gone_is_named(real, large):
    item = pin(real.sources.find("lake", "large"))
    real.remove("large", item.source.version_id)
    with pytest.raises(MissingArtifact, match=item.source.version_id):
        real.vault.copy(item)


def test_a_large_object_pinned_by_a_streamed_digest_is_copied_too(real, large):
    """SHA-256 cannot be computed over parts: the copy carries CRC64NVME, and verification reads the bytes."""
    item = pin(real.sources.find("lake", "large"), checksum=sha256(large, streamed=True))
    real.vault.copy(item)
    stored = real.vault.stored(item.key)
    assert stored.checksum.algorithm == "CRC64NVME"
    assert real.vault.digest(item.key, stored.version_id) == item.checksum


# the vault, locks and seals


def test_what_is_not_stored_is_none(place):
    assert place.vault.stored("nothing") is None
    assert place.vault.read("nothing") is None
    assert place.vault.versions("nothing") == []


def test_a_version_that_is_not_stored_is_none(place):
    version = place.put_in_vault("k", b"one")
    assert place.vault.stored("k", version).size == 3
    assert place.vault.stored("k", "no-such-version") is None
    assert place.vault.read("k", "no-such-version") is None


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


def test_a_seal_is_written_once_and_locked(place):
    version = place.vault.seal("k/manifest.json", b"sealed", LOCK)
    with pytest.raises(LostRace, match="sealed already"):
        place.vault.seal("k/manifest.json", b"sealed again", LOCK)
    assert place.vault.read("k/manifest.json", version) == b"sealed"
    assert place.vault.versions("k/manifest.json") == [version]
    assert place.retention("k/manifest.json", version) == ("GOVERNANCE", UNTIL)


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
    assert place.vault.stored("k") is None
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


def test_a_digest_of_nothing_is_an_error(place):
    with pytest.raises(Exception, match=r"k|version"):
        place.vault.digest("k", "no-such-version")


# what S3 refuses


def refusing(client, operation, code, status=400):
    """Let one operation be refused with an error code."""

    def refuse(**_):
        from botocore.exceptions import ClientError

        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)

    return refuse


@pytest.mark.parametrize(
    ("operation", "code", "status", "raised"),
    [
        ("copy_object", "InvalidRequest", 400, VaultRefused),
        ("copy_object", "AccessDenied", 403, NotAllowed),
        ("put_object", "InvalidRequest", 400, VaultRefused),
        ("put_object", "AccessDenied", 403, NotAllowed),
    ],
)
def test_a_refused_write_has_a_name(real, monkeypatch, operation, code, status, raised):
    real.put("k", b"one")
    item = pin(real.sources.find("lake", "k"))
    monkeypatch.setattr(real.s3, operation, refusing(real.s3, operation, code, status))
    with pytest.raises(raised):
        real.vault.copy(item) if operation == "copy_object" else real.vault.keep("k", b"x")
