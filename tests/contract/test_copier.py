"""Every Copier keeps the same promises, in memory and on S3: what it returns is in the vault, proved and locked."""

import base64
import datetime as dt
import hashlib
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from mldr.aws.copier import WORTH_A_PAGE, S3Copier
from mldr.aws.s3_wire import S3Wire, Stream
from mldr.aws.sources import S3Sources
from mldr.domain.manifests import Entry
from mldr.domain.pace import PaceLimits
from mldr.domain.recovery_point import Retention
from mldr.domain.transfers import MIB, CopyLimits, parts
from mldr.errors import (
    ArtifactChanged,
    ChecksumMismatch,
    ChecksumUnavailable,
    MissingArtifact,
    NotAllowed,
    PartsMissing,
    Throttled,
    VaultRefused,
)
from tests.contract.conftest import ACTIVE, STANDBY
from tests.fakes.copier import FakeCopier
from tests.fakes.objects import Buckets, FakeSources, checksum_of, etag_of

SERVICE = "s3"
KEYS = [
    "model.tar.gz",
    "ünï cödé/モデル.bin",
    "folder/",
    "a//b",
    "100% +plus&amp;=?.bin",
    " sp ace ",
    "é" * 512,
    "MODEL.tar.gz",
    "%2Falready%20quoted",
]
UNTIL = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=2)
LOCK = Retention(mode="GOVERNANCE", until=UNTIL)
LIMITS = CopyLimits(single_copy=5 * MIB, part=5 * MIB)
QUICK = PaceLimits(first_delay=0.001, longest_delay=0.01)
BODY = b"weights"
LARGE = b"a" * 5 * MIB + b"b" * 5 * MIB + b"c" * MIB + b"!"


class InMemory:
    """Buckets in memory."""

    name = "memory"

    def __init__(self):
        self.buckets = Buckets()
        self.buckets.make("lake")
        self.sources = FakeSources(self.buckets)
        self.copier = FakeCopier(self.buckets, limits=LIMITS)

    def put(self, key, body, *, checksum="CRC64NVME", **more):
        return self.buckets.put("lake", key, body, checksum=checksum, **more).version_id

    def plain_bucket(self, name):
        self.buckets.make(name, versioned=False)

    def put_in(self, bucket, key, body):
        return self.buckets.put(bucket, key, body).version_id

    def mark_deleted(self, bucket, key):
        self.buckets.put(bucket, key, None)

    def remove(self, key, version):
        self.buckets.erase("lake", key, version)

    def read(self, key, version):
        return self.buckets.get("vault", key, version).body

    def versions(self, key):
        return [one.version_id for one in self.buckets.all("vault", key) if one.body is not None]

    def retention(self, key, version):
        held = self.buckets.get("vault", key, version).retention
        return (held.mode, held.until) if held else None

    def described(self, key, version):
        held = self.buckets.get("vault", key, version)
        return held.content_type, held.metadata, held.tags

    def spoil_part(self, upload, key, number, body):
        self.copier.uploads[upload].parts[number] = body

    def parts(self, upload, key):
        return sorted(self.copier.uploads[upload].parts)

    def readable(self, size):
        self.copier.readable = size


class OnS3:
    """The real adapter: sources in the active region, the vault in the standby."""

    def __init__(self, cloud):
        cloud.bucket("lake", ACTIVE)
        cloud.bucket("vault", STANDBY, locked=True)
        self.name = cloud.name
        self.cloud, self.lake, self.s3 = cloud, cloud.client("s3", ACTIVE), cloud.client("s3", STANDBY)
        self.key_arn = cloud.key()
        self.sources = S3Sources(self.lake)
        self.copier = self.made()

    def made(self, **more):
        given = {"bucket": "vault", "key_arn": self.key_arn, "limits": LIMITS, "pace": QUICK, **more}
        return S3Copier(self.s3, self.lake, **given)

    def put(self, key, body, *, checksum="CRC64NVME", content_type=None, metadata=None, tags=None):
        put = {"ContentType": content_type} if content_type else {}
        put["Metadata"] = metadata or {}
        if tags:
            put["Tagging"] = "&".join(f"{name}={value}" for name, value in tags.items())
        if not checksum:
            return self.cloud.put_without_checksum("lake", key, body, **put)
        return self.lake.put_object(Bucket="lake", Key=key, Body=body, ChecksumAlgorithm=checksum, **put)["VersionId"]

    def plain_bucket(self, name):
        self.cloud.bucket(name, ACTIVE, versioned=False)

    def put_in(self, bucket, key, body):
        s3 = self.s3 if bucket == "vault" else self.lake
        return s3.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId", "null")

    def mark_deleted(self, bucket, key):
        (self.s3 if bucket == "vault" else self.lake).delete_object(Bucket=bucket, Key=key)

    def remove(self, key, version):
        self.lake.delete_object(Bucket="lake", Key=key, VersionId=version)

    def read(self, key, version):
        return self.s3.get_object(Bucket="vault", Key=key, VersionId=version)["Body"].read()

    def versions(self, key):
        found = self.s3.list_object_versions(Bucket="vault", Prefix=key).get("Versions", [])
        return [one["VersionId"] for one in reversed(found) if one["Key"] == key]

    def retention(self, key, version):
        try:
            held = self.s3.get_object_retention(Bucket="vault", Key=key, VersionId=version)["Retention"]
        except self.s3.exceptions.ClientError:
            return None
        return held["Mode"], held["RetainUntilDate"]

    def described(self, key, version):
        head = self.s3.head_object(Bucket="vault", Key=key, VersionId=version)
        tags = self.s3.get_object_tagging(Bucket="vault", Key=key, VersionId=version)["TagSet"]
        return head["ContentType"], head["Metadata"], {tag["Key"]: tag["Value"] for tag in tags}

    def spoil_part(self, upload, key, number, body):
        self.s3.put_object(Bucket="vault", Key="spoiled", Body=body)
        where = {"Bucket": "vault", "Key": key, "UploadId": upload, "PartNumber": number}
        self.s3.upload_part_copy(**where, CopySource={"Bucket": "vault", "Key": "spoiled"})

    def parts(self, upload, key):
        found = self.s3.list_parts(Bucket="vault", Key=key, UploadId=upload).get("Parts", [])
        return [part["PartNumber"] for part in found]

    def readable(self, size):
        self.copier = self.made(readable=size)


@pytest.fixture
def place(backend):
    return OnS3(backend) if backend else InMemory()


@pytest.fixture
def real(cloud):
    return OnS3(cloud)


def entry_of(place, key, *, bucket="lake", digests=None, **changes):
    """What a listing plans: pinned, and with no checksum's value."""
    found = place.sources.find(bucket, key)
    hints = {found.checksum.algorithm: ""} if found.checksum else {}
    entry = Entry(
        name=key,
        bucket=bucket,
        source_key=key,
        source_version=found.source.version_id,
        etag=found.etag,
        modified=found.modified,
        size=found.size,
        key="recovery-points/" + hashlib.sha256(key.encode()).hexdigest()[:12],
        version_id="",
        digests=hints if digests is None else digests,
    )
    return entry._replace(**changes)


def copied(place, entry, retention=LOCK, **more):
    [done] = place.copier.copy([entry], retention, **more)
    return done


def copied_large(place, entry, retention=LOCK, **more):
    """All that the doors do for a large object."""
    upload = place.copier.open_upload(entry, retention)
    place.copier.copy_parts(entry, upload, parts(entry.size, LIMITS))
    return copied(place, entry, retention, **more)


def value(body, algorithm):
    return checksum_of(body, algorithm).value


# one request


@pytest.mark.needs("lock with a copy")
@pytest.mark.parametrize("body", [b"", BODY], ids=["empty", "small"])
@pytest.mark.parametrize("key", KEYS)
def test_a_copy_is_the_object_proved_and_locked(place, key, body):
    place.put(key, body)
    done = copied(place, entry_of(place, key))
    assert done.copied
    assert done.digests
    assert place.read(done.key, done.version_id) == body
    assert place.retention(done.key, done.version_id) == ("GOVERNANCE", UNTIL)


def test_a_copy_without_a_retention_is_not_locked(place):
    place.put("k", BODY)
    done = copied(place, entry_of(place, "k"), None)
    assert place.retention(done.key, done.version_id) is None


def test_names_that_differ_by_case_are_two_objects(place):
    place.put("Model", b"upper")
    place.put("model", b"lower")
    done = list(place.copier.copy([entry_of(place, "Model"), entry_of(place, "model")], LOCK))
    assert [place.read(one.key, one.version_id) for one in done] == [b"upper", b"lower"]


def test_many_are_copied_at_once_and_come_back_in_order(place):
    entries = []
    for number in range(60):
        place.put(f"k{number:02d}", str(number).encode() * (1 + number % 7 * 1000))
        entries.append(entry_of(place, f"k{number:02d}"))
    done = list(place.copier.copy(iter(entries), LOCK))
    assert [one.name for one in done] == [one.name for one in entries]
    assert [place.read(one.key, one.version_id)[:2] for one in done[10:13]] == [b"10", b"11", b"12"]


class TestAServerThatDoesNotTellVersions:
    """Ceph's S3 answers a copy without the version that it made."""

    @pytest.fixture
    def asked(self, real, monkeypatch):
        """Every request for a description of the vault, by kind."""
        asked = []
        copy, head, page = S3Wire.copy_object, S3Wire.head_object, S3Wire.list_object_versions

        def silent(wire, *args, **options):
            return copy(wire, *args, **options)._replace(version_id=None)

        def described(wire, bucket, *args, **options):
            asked.extend(["head"] * (bucket == "vault"))
            return head(wire, bucket, *args, **options)

        def listed(wire, bucket, *args, **options):
            asked.extend(["page"] * (bucket == "vault"))
            return page(wire, bucket, *args, **options)

        monkeypatch.setattr(S3Wire, "copy_object", silent)
        monkeypatch.setattr(S3Wire, "head_object", described)
        monkeypatch.setattr(S3Wire, "list_object_versions", listed)
        return asked

    @pytest.mark.parametrize(("count", "expected"), [(3, ["head"] * 3), (WORTH_A_PAGE, ["page"])])
    def test_few_are_described_and_many_are_listed(self, real, asked, count, expected):
        entries = []
        for number in range(count):
            real.put(f"k{number:02d}", str(number).encode())
            entries.append(entry_of(real, f"k{number:02d}"))
        asked.clear()
        done = list(real.copier.copy(entries, LOCK))
        assert asked == expected
        assert [real.read(one.key, one.version_id) for one in done] == [str(n).encode() for n in range(count)]

    def test_what_was_overwritten_since_is_not_taken_for_the_copy(self, real, asked, monkeypatch):
        for number in range(WORTH_A_PAGE):
            real.put(f"k{number:02d}", str(number).encode())
        entries = [entry_of(real, f"k{number:02d}") for number in range(WORTH_A_PAGE)]
        copy = S3Wire.copy_object

        def overtaken(wire, bucket, key, *args, **options):
            made = copy(wire, bucket, key, *args, **options)
            if key == entries[7].key:
                real.put_in("vault", key, b"somebody else")
            return made

        monkeypatch.setattr(S3Wire, "copy_object", overtaken)
        with pytest.raises(ChecksumMismatch, match="k07"):
            list(real.copier.copy(entries, LOCK))


def test_nothing_to_copy_is_nothing(place):
    assert list(place.copier.copy([], LOCK)) == []


@pytest.mark.parametrize("algorithm", ["CRC64NVME", "CRC32", "CRC32C", "SHA1", "SHA256"])
@pytest.mark.needs("checksums")
def test_a_copy_is_proved_by_the_sources_own_checksum(place, algorithm):
    place.put("k", BODY, checksum=algorithm)
    done = copied(place, entry_of(place, "k"))
    assert done.digests[algorithm] == value(BODY, algorithm)


@pytest.mark.needs("checksums")
def test_a_checksum_that_the_entry_knows_is_compared(place):
    place.put("k", BODY)
    good = entry_of(place, "k", digests={"CRC64NVME": value(BODY, "CRC64NVME")})
    assert copied(place, good).digests == good.digests
    wrong = entry_of(place, "k", digests={"CRC64NVME": value(b"other", "CRC64NVME")})._replace(key="other")
    with pytest.raises(ChecksumMismatch, match="other: CRC64NVME"):
        copied(place, wrong)


def test_a_source_without_a_checksum_is_proved_all_the_same(place):
    place.put("k", BODY, checksum=False)
    done = copied(place, entry_of(place, "k"))
    assert done.digests
    assert place.read(done.key, done.version_id) == BODY


@pytest.mark.needs("checksums", "objects without a checksum")
def test_what_is_too_large_to_read_and_has_no_checksum_is_refused(place):
    place.put("k", BODY, checksum=False)
    place.readable(3)
    with pytest.raises(ChecksumUnavailable, match=r"k .*checksum"):
        copied(place, entry_of(place, "k"))


@pytest.mark.parametrize("checksum", ["CRC64NVME", "SHA256", False])
def test_a_sha256_is_added_when_asked_for(place, checksum):
    place.put("k", BODY, checksum=checksum)
    assert copied(place, entry_of(place, "k"), sha256=True).digests["SHA256"] == value(BODY, "SHA256")


@pytest.mark.needs("tags of a copy from another region")
def test_a_copy_keeps_content_type_metadata_and_tags(place):
    place.put("k", BODY, content_type="application/x-tar", metadata={"trained-by": "ci"}, tags={"team": "risk"})
    done = copied(place, entry_of(place, "k"))
    assert place.described(done.key, done.version_id) == (
        "application/x-tar",
        {"trained-by": "ci"},
        {"team": "risk"},
    )


@pytest.mark.needs("encrypted copy")
@pytest.mark.parametrize("body", [BODY, LARGE], ids=["small", "large"])
def test_a_copy_is_encrypted_with_the_vaults_key(real, body):
    real.put("k", body)
    done = copied_large(real, entry_of(real, "k")) if body == LARGE else copied(real, entry_of(real, "k"))
    head = real.s3.head_object(Bucket="vault", Key=done.key)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", real.key_arn)


# sources that change


def test_the_pinned_version_is_copied_after_an_overwrite(place):
    place.put("k", b"one")
    entry = entry_of(place, "k")
    place.put("k", b"two")
    done = copied(place, entry)
    assert place.read(done.key, done.version_id) == b"one"


def test_the_pinned_version_is_copied_under_a_delete_marker(place):
    place.put("k", b"one")
    entry = entry_of(place, "k")
    place.mark_deleted("lake", "k")
    done = copied(place, entry)
    assert place.read(done.key, done.version_id) == b"one"


def test_a_pinned_version_that_is_gone_is_missing(place):
    version = place.put("k", b"one")
    entry = entry_of(place, "k")
    place.put("k", b"two")
    place.remove("k", version)
    with pytest.raises(MissingArtifact, match=f"version {version}"):
        copied(place, entry)
    assert place.versions(entry.key) == []


def test_another_etag_is_a_changed_artifact(place):
    place.put("k", b"one")
    with pytest.raises(ArtifactChanged, match="s3://lake/k"):
        copied(place, entry_of(place, "k", etag=etag_of(b"other")))


@pytest.mark.needs("copy if the source matches")
def test_of_another_etag_nothing_is_copied(place):
    place.put("k", b"one")
    entry = entry_of(place, "k", etag=etag_of(b"other"))
    with pytest.raises(ArtifactChanged):
        copied(place, entry)
    assert place.versions(entry.key) == []


def test_a_source_without_versions_that_changed_is_not_copied(place):
    place.plain_bucket("plain")
    place.put_in("plain", "k", b"one")
    entry = entry_of(place, "k", bucket="plain")
    assert entry.source_version == "null"
    done = copied(place, entry)
    assert place.read(done.key, done.version_id) == b"one"
    place.put_in("plain", "k", b"two")
    with pytest.raises(ArtifactChanged, match="s3://plain/k"):
        copied(place, entry._replace(key="another"))


def test_one_bad_entry_stops_the_others_and_is_named(place):
    place.put("good", b"one")
    place.put("bad", b"two")
    entries = [entry_of(place, "good"), entry_of(place, "bad", etag=etag_of(b"x"))]
    with pytest.raises(ArtifactChanged, match="bad"):
        list(place.copier.copy(entries, LOCK))


# what is in the vault already


@pytest.mark.needs("conditional copy")
def test_copying_twice_makes_one_version(place):
    place.put("k", BODY)
    entry = entry_of(place, "k")
    first, second = copied(place, entry), copied(place, entry)
    assert (second.version_id, second.digests) == (first.version_id, first.digests)
    assert len(place.versions(entry.key)) == 1


@pytest.mark.needs("lock with a copy")
@pytest.mark.parametrize("wrong", [b"0eights", b"", b"longer than it was"], ids=["same size", "empty", "longer"])
def test_wrong_bytes_at_the_key_are_replaced(place, wrong):
    place.put("k", BODY)
    entry = entry_of(place, "k")
    place.put_in("vault", entry.key, wrong)
    done = copied(place, entry)
    assert place.read(done.key, done.version_id) == BODY


@pytest.mark.needs("conditional copy")
def test_a_copy_that_was_made_before_is_locked_for_longer(place):
    place.put("k", BODY)
    entry = entry_of(place, "k")
    first = copied(place, entry, Retention(mode="GOVERNANCE", until=UNTIL - dt.timedelta(days=1)))
    second = copied(place, entry, LOCK)
    assert second.version_id == first.version_id
    assert place.retention(entry.key, second.version_id) == ("GOVERNANCE", UNTIL)


def test_a_copy_under_a_delete_marker_is_made_again(place):
    place.put("k", BODY)
    entry = entry_of(place, "k")
    copied(place, entry)
    place.mark_deleted("vault", entry.key)
    done = copied(place, entry)
    assert place.read(done.key, done.version_id) == BODY


def test_anew_makes_another_version_whatever_is_there(place):
    place.put("k", BODY)
    entry = entry_of(place, "k")
    first = copied(place, entry)
    second = copied(place, entry, anew=True)
    assert second.version_id != first.version_id
    assert place.read(entry.key, second.version_id) == BODY
    assert copied(place, second, anew=True).version_id != second.version_id


def test_a_copied_entry_comes_back_as_it_is_and_is_only_locked(place):
    place.put("k", BODY)
    done = copied(place, entry_of(place, "k"), None)
    assert copied(place, done, LOCK) == done
    assert place.retention(done.key, done.version_id) == ("GOVERNANCE", UNTIL)
    assert len(place.versions(done.key)) == 1


def test_eight_workers_of_one_object_end_with_good_copies(place):
    place.put("k", BODY)
    entry = entry_of(place, "k")
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: copied(place, entry), range(8)))
    assert {place.read(one.key, one.version_id) for one in done} == {BODY}


def test_an_object_of_the_vault_is_copied_inside_the_vault(place):
    place.put("k", BODY)
    first = copied(place, entry_of(place, "k"))
    inner = first._replace(
        bucket="vault", source_key=first.key, source_version=first.version_id, etag="", key="layout/k", version_id=""
    )
    done = copied(place, inner)
    assert place.read("layout/k", done.version_id) == BODY


# locks


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_a_lock_is_extended_and_never_shortened(place, mode):
    place.put("k", BODY)
    done = copied(place, entry_of(place, "k"), None)
    place.copier.extend([done], Retention(mode=mode, until=UNTIL))
    for days, expected in ((1, UNTIL + dt.timedelta(days=1)), (-1, UNTIL + dt.timedelta(days=1))):
        place.copier.extend([done], Retention(mode=mode, until=UNTIL + dt.timedelta(days=days)))
        assert place.retention(done.key, done.version_id) == (mode, expected)


def test_a_compliance_lock_is_extended_as_one_when_the_policy_has_become_weaker(place):
    place.put("k", BODY)
    done = copied(place, entry_of(place, "k"), None)
    place.copier.extend([done], Retention(mode="COMPLIANCE", until=UNTIL))
    later = UNTIL + dt.timedelta(days=1)
    place.copier.extend([done], Retention(mode="GOVERNANCE", until=later))
    assert place.retention(done.key, done.version_id) == ("COMPLIANCE", later)


def test_what_is_not_there_cannot_be_locked(place):
    place.put("k", BODY)
    with pytest.raises(VaultRefused, match=r"no-such-version"):
        place.copier.extend([entry_of(place, "k", version_id="no-such-version")], LOCK)


# large objects


@pytest.fixture
def large(place):
    put = {"content_type": "application/x-tar", "metadata": {"trained-by": "ci"}, "tags": {"team": "risk"}}
    place.put("large", LARGE, **put)
    return entry_of(place, "large")


@pytest.mark.needs("tags of an upload")
def test_a_large_object_is_completed_from_its_parts(place, large):
    done = copied_large(place, large)
    assert place.read(done.key, done.version_id) == LARGE
    assert place.retention(done.key, done.version_id) == ("GOVERNANCE", UNTIL)
    assert place.described(done.key, done.version_id) == ("application/x-tar", {"trained-by": "ci"}, {"team": "risk"})


@pytest.mark.needs("checksums", "objects without a checksum")
@pytest.mark.parametrize("algorithm", ["CRC64NVME", "CRC32", "CRC32C", "SHA256", False])
def test_a_large_object_is_proved_whatever_the_source_has(place, algorithm):
    place.put("large", LARGE, checksum=algorithm)
    done = copied_large(place, entry_of(place, "large"))
    assert place.read(done.key, done.version_id) == LARGE
    expected = algorithm if algorithm in ("CRC32", "CRC32C") else "CRC64NVME"
    if place.name != "memory":
        assert done.digests == {expected: value(LARGE, expected)}


def test_a_large_object_gets_a_sha256_when_asked_for(place, large):
    assert copied_large(place, large, sha256=True).digests["SHA256"] == value(LARGE, "SHA256")


def test_an_open_upload_is_used_again(place, large):
    assert place.copier.open_upload(large, LOCK) == place.copier.open_upload(large, LOCK)


def test_an_upload_of_a_longer_key_is_not_mistaken_for_ours(place, large):
    other = place.copier.open_upload(large._replace(key=large.key + ".bak"), LOCK)
    assert place.copier.open_upload(large, LOCK) != other


def test_missing_parts_are_named(place, large):
    upload = place.copier.open_upload(large, LOCK)
    place.copier.copy_parts(large, upload, parts(large.size, LIMITS)[:1])
    with pytest.raises(PartsMissing, match=r"\[2, 3\]"):
        copied(place, large)
    assert place.versions(large.key) == []


def test_an_object_without_an_upload_cannot_be_completed(place, large):
    with pytest.raises(PartsMissing, match=large.key):
        copied(place, large)


def test_duplicate_workers_of_the_same_parts_do_no_harm(place, large):
    upload = place.copier.open_upload(large, LOCK)
    workers = [place.copier, place.copier if place.name == "memory" else place.made()]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda copier: copier.copy_parts(large, upload, parts(large.size, LIMITS)), workers))
    done = copied(place, large)
    assert place.read(done.key, done.version_id) == LARGE


def test_a_part_of_a_wrong_size_is_copied_again(place, large):
    upload = place.copier.open_upload(large, LOCK)
    place.spoil_part(upload, large.key, 3, b"short")
    place.copier.copy_parts(large, upload, parts(large.size, LIMITS))
    done = copied(place, large)
    assert place.read(done.key, done.version_id) == LARGE


@pytest.mark.needs("checksums")
def test_a_part_of_a_wrong_range_is_found_when_the_whole_is_completed_and_the_next_attempt_is_good(place, large):
    upload = place.copier.open_upload(large, LOCK)
    place.copier.copy_parts(large, upload, parts(large.size, LIMITS))
    place.spoil_part(upload, large.key, 3, b"!" + LARGE[10 * MIB : 11 * MIB])
    with pytest.raises(ChecksumMismatch, match=large.key):
        copied(place, large)
    assert place.versions(large.key) == []
    done = copied_large(place, large)
    assert place.read(done.key, done.version_id) == LARGE


@pytest.mark.needs("objects without a checksum")
def test_a_part_of_a_wrong_range_is_copied_again_when_only_the_bytes_can_tell(real):
    real.put("large", LARGE, checksum=False)
    entry = entry_of(real, "large")
    upload = real.copier.open_upload(entry, LOCK)
    real.spoil_part(upload, entry.key, 1, LARGE[5 * MIB : 10 * MIB])
    real.copier.copy_parts(entry, upload, parts(entry.size, LIMITS))
    done = copied(real, entry)
    assert real.read(done.key, done.version_id) == LARGE


def test_completed_but_not_told_is_found_again(place, large):
    """The worker died between CompleteMultipartUpload and the note of it."""
    first = copied_large(place, large)
    second = copied(place, large)
    assert (second.version_id, second.digests) == (first.version_id, first.digests)
    place.copier.copy_parts(large, "gone", parts(large.size, LIMITS))
    assert len(place.versions(large.key)) == 1


@pytest.mark.needs("checksums")
def test_a_large_object_that_is_there_needs_no_upload(place, large):
    done = copied_large(place, large)
    upload = place.copier.open_upload(large, LOCK)
    assert upload == ""
    place.copier.copy_parts(large, upload, parts(large.size, LIMITS))
    assert copied(place, large).version_id == done.version_id


@pytest.mark.needs("checksums")
def test_wrong_bytes_at_a_large_objects_key_are_replaced(place, large):
    place.put_in("vault", large.key, b"x" * len(LARGE))
    done = copied_large(place, large)
    assert place.read(done.key, done.version_id) == LARGE


def test_a_large_copy_is_made_anew_from_parts_of_its_own(place, large):
    first = copied_large(place, large)
    upload = place.copier.open_upload(first, LOCK)
    place.copier.copy_parts(first, upload, parts(large.size, LIMITS))
    second = copied(place, first, anew=True)
    assert second.version_id != first.version_id
    assert place.read(second.key, second.version_id) == LARGE


def test_a_large_copy_that_was_not_copied_in_parts_is_not_made_anew(place, large):
    first = copied_large(place, large)
    with pytest.raises(PartsMissing):
        copied(place, first, anew=True)


def test_a_large_source_that_changed_is_not_copied(place, large):
    changed = large._replace(etag=etag_of(b"other"))
    with pytest.raises(ArtifactChanged, match="s3://lake/large"):
        place.copier.open_upload(changed, LOCK)


def test_a_large_source_that_goes_between_its_parts_is_missing(place, large):
    upload = place.copier.open_upload(large, LOCK)
    place.copier.copy_parts(large, upload, parts(large.size, LIMITS)[:1])
    place.remove("large", large.source_version)
    with pytest.raises(MissingArtifact, match="large"):
        place.copier.copy_parts(large, upload, parts(large.size, LIMITS)[1:])


def test_parts_come_from_the_pinned_version(place, large):
    upload = place.copier.open_upload(large, LOCK)
    place.put("large", b"x" * len(LARGE))
    place.copier.copy_parts(large, upload, parts(large.size, LIMITS))
    done = copied(place, large)
    assert place.read(done.key, done.version_id) == LARGE


def test_parts_of_an_upload_that_never_was_are_refused(place, large):
    with pytest.raises(PartsMissing, match="gone"):
        place.copier.copy_parts(large, "no-such-upload", parts(large.size, LIMITS))


# what goes wrong, and what it costs


def watched(monkeypatch, *names):
    """The names of the calls that S3Wire makes, in order."""
    calls = []
    for name in names:
        original = getattr(S3Wire, name)

        def call(wire, *arguments, name=name, original=original, **options):
            calls.append(name)
            return original(wire, *arguments, **options)

        monkeypatch.setattr(S3Wire, name, call)
    return calls


WIRE = ("copy_object", "upload_part_copy", "head_object", "get_object", "put_object_retention")


def refused(code, status=400, operation="CopyObject"):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


def failing(monkeypatch, name, error, when):
    """Let a call of S3Wire fail when its number, from 1, says so; returns the count."""
    original, count = getattr(S3Wire, name), itertools.count(1)

    def call(wire, *arguments, **options):
        if when(next(count)):
            raise error
        return original(wire, *arguments, **options)

    monkeypatch.setattr(S3Wire, name, call)


@pytest.mark.needs("checksums")
def test_a_small_object_whose_checksum_is_known_costs_one_request(real, monkeypatch):
    real.put("k", BODY)
    entry = entry_of(real, "k", digests={"CRC64NVME": value(BODY, "CRC64NVME")})
    calls = watched(monkeypatch, *WIRE)
    copied(real, entry)
    assert calls == ["copy_object"]


@pytest.mark.needs("checksums")
def test_any_other_small_object_costs_one_request_and_a_description_of_the_source(real, monkeypatch):
    real.put("k", BODY, checksum="SHA256")
    entry = entry_of(real, "k")
    calls = watched(monkeypatch, *WIRE)
    copied(real, entry)
    assert calls == ["copy_object", "head_object"]


@pytest.mark.needs("copy tells its version")
def test_a_small_object_costs_one_request_where_etags_are_md5s(real, monkeypatch):
    real.put("k", BODY)
    entry = entry_of(real, "k", digests={})
    copier = real.made(key_arn="")
    calls = watched(monkeypatch, *WIRE)
    [done] = copier.copy([entry], LOCK)
    assert calls == ["copy_object"]
    assert done.digests["MD5"] == base64.b64encode(bytes.fromhex(etag_of(BODY))).decode()


def test_every_third_call_is_refused_and_all_are_copied_with_few_repetitions(real, monkeypatch):
    entries = []
    for number in range(30):
        real.put(f"k{number}", BODY)
        entries.append(entry_of(real, f"k{number}"))
    calls = watched(monkeypatch, "copy_object")
    failing(monkeypatch, "copy_object", refused("SlowDown", 503), lambda number: number % 3 == 0)
    done = list(real.copier.copy(entries, LOCK))
    assert [one.name for one in done] == [one.name for one in entries]
    assert all(real.read(one.key, one.version_id) == BODY for one in done)
    assert len(calls) == 30


def test_a_storm_that_never_ends_is_throttled(real, monkeypatch):
    real.put("k", BODY)
    entry = entry_of(real, "k")
    failing(monkeypatch, "copy_object", refused("SlowDown", 503), lambda number: True)
    with pytest.raises(Throttled, match="more slowly"):
        copied(real, entry)


@pytest.mark.needs("checksums")
def test_a_description_that_fails_once_is_asked_again_and_the_copy_is_not_repeated(real, monkeypatch):
    real.put("k", BODY)
    entry = entry_of(real, "k")
    failing(monkeypatch, "head_object", refused("SlowDown", 503, "HeadObject"), lambda number: number == 1)
    calls = watched(monkeypatch, "copy_object")
    copied(real, entry)
    assert calls == ["copy_object"]


@pytest.mark.needs("conditional copy")
def test_a_copy_whose_answer_was_lost_is_found_and_made_once(real, monkeypatch):
    real.put("k", BODY)
    entry = entry_of(real, "k")
    original, lost = S3Wire.copy_object, []

    def loses_the_first_answer(wire, *arguments, **options):
        answer = original(wire, *arguments, **options)
        if not lost:
            lost.append(answer)
            raise ReadTimeoutError(endpoint_url="https://s3")
        return answer

    monkeypatch.setattr(S3Wire, "copy_object", loses_the_first_answer)
    done = copied(real, entry)
    assert real.read(done.key, done.version_id) == BODY
    assert real.retention(done.key, done.version_id) == ("GOVERNANCE", UNTIL)


@pytest.mark.parametrize(
    ("code", "status", "raised", "text"),
    [
        ("AccessDenied", 403, NotAllowed, "s3:GetObjectVersion"),
        ("InvalidRequest", 400, VaultRefused, "bucket policy"),
        ("InvalidObjectState", 403, MissingArtifact, "restore-object"),
        ("NoSuchBucket", 404, MissingArtifact, "s3://lake/k"),
    ],
)
def test_a_refusal_names_the_source_and_what_to_do(real, monkeypatch, code, status, raised, text):
    real.put("k", BODY)
    entry = entry_of(real, "k")
    failing(monkeypatch, "copy_object", refused(code, status), lambda number: True)
    with pytest.raises(raised, match=text) as error:
        copied(real, entry)
    assert "lake" in str(error.value)


@pytest.mark.needs("copy tells its version")
def test_a_source_that_may_not_be_described_is_not_allowed(real, monkeypatch):
    real.put("k", BODY)
    entry = entry_of(real, "k")
    failing(monkeypatch, "head_object", refused("403", 403, "HeadObject"), lambda number: True)
    with pytest.raises(NotAllowed, match="s3://lake/k"):
        copied(real, entry)


@pytest.mark.needs("checksums")
def test_a_copy_that_s3_made_of_other_bytes_is_a_mismatch(real, monkeypatch):
    real.put("k", BODY)
    entry, original = entry_of(real, "k"), S3Wire.copy_object

    def wrong(wire, *arguments, **options):
        return original(wire, *arguments, **options)._replace(checksums={"CRC64NVME": "AAAAAAAAAAA="})

    monkeypatch.setattr(S3Wire, "copy_object", wrong)
    with pytest.raises(ChecksumMismatch, match="CRC64NVME is AAAAAAAAAAA="):
        copied(real, entry)


def test_a_server_without_versions_is_asked_what_it_made(real, monkeypatch):
    real.put("k", BODY)
    entry, original = entry_of(real, "k"), S3Wire.copy_object
    monkeypatch.setattr(
        S3Wire, "copy_object", lambda *args, **options: original(*args, **options)._replace(version_id=None)
    )
    assert copied(real, entry).version_id == real.versions(entry.key)[-1]


def test_bytes_that_were_cut_short_are_read_again(real, monkeypatch):
    real.put("k", BODY, checksum=False)
    entry, original, cut = entry_of(real, "k"), Stream.chunks, []

    def chunks(stream, size):
        if not cut:
            cut.append(size)
            return iter([BODY[:3]])
        return original(stream, size)

    monkeypatch.setattr(Stream, "chunks", chunks)
    assert copied(real, entry).digests


def test_a_worker_that_died_within_its_parts_goes_on_where_it_was(real, monkeypatch):
    real.put("large", LARGE)
    entry = entry_of(real, "large")
    upload = real.copier.open_upload(entry, LOCK)
    with monkeypatch.context() as dying:
        failing(dying, "upload_part_copy", KeyboardInterrupt(), lambda number: number > 1)
        with pytest.raises(KeyboardInterrupt):
            real.copier.copy_parts(entry, upload, parts(entry.size, LIMITS))
    there = real.parts(upload, entry.key)
    assert len(there) >= 1
    calls = watched(monkeypatch, "upload_part_copy")
    real.copier.copy_parts(entry, upload, parts(entry.size, LIMITS))
    assert len(calls) == 3 - len(there)
    done = copied(real, entry)
    assert real.read(done.key, done.version_id) == LARGE


@pytest.mark.parametrize("point", ["before", "after"])
def test_a_worker_that_died_around_the_completion_is_repeated(real, monkeypatch, point):
    real.put("large", LARGE)
    entry = entry_of(real, "large")
    upload = real.copier.open_upload(entry, LOCK)
    real.copier.copy_parts(entry, upload, parts(entry.size, LIMITS))
    original = real.s3.complete_multipart_upload

    def dies(**arguments):
        if point == "after":
            original(**arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(real.s3, "complete_multipart_upload", dies)
        with pytest.raises(KeyboardInterrupt):
            copied(real, entry)
    done = copied(real, entry)
    assert real.read(done.key, done.version_id) == LARGE
    assert real.retention(done.key, done.version_id) == ("GOVERNANCE", UNTIL)
    assert len(real.versions(entry.key)) == 1


@pytest.mark.needs("checksums", "objects without a checksum")
def test_a_part_that_cannot_be_copied_right_is_a_mismatch(real, monkeypatch):
    """The source has no checksum over the whole: each part is compared with the source's bytes."""
    real.put("large", LARGE, checksum=False)
    entry, original = entry_of(real, "large"), S3Wire.upload_part_copy
    upload = real.copier.open_upload(entry, LOCK)

    def of_a_wrong_range(wire, bucket, key, source, upload_id, number, **options):
        if number == 2:
            options["CopySourceRange"] = f"bytes=0-{5 * MIB - 1}"
        return original(wire, bucket, key, source, upload_id, number, **options)

    monkeypatch.setattr(S3Wire, "upload_part_copy", of_a_wrong_range)
    for _ in range(2):
        with pytest.raises(ChecksumMismatch, match="part 2"):
            real.copier.copy_parts(entry, upload, parts(entry.size, LIMITS))


@pytest.mark.needs("checksums")
def test_no_byte_passes_through_here_when_s3_has_checksums(real, monkeypatch):
    real.put("large", LARGE)
    calls = watched(monkeypatch, "get_object")
    copied_large(real, entry_of(real, "large"))
    assert calls == []


def test_two_uploads_of_one_object_end_in_a_good_copy(real):
    """Two planners opened one each: the parts are in one of them."""
    real.put("large", LARGE)
    entry = entry_of(real, "large")
    first = real.copier.open_upload(entry, LOCK)
    real.s3.create_multipart_upload(Bucket="vault", Key=entry.key)
    real.copier.copy_parts(entry, first, parts(entry.size, LIMITS))
    done = copied(real, entry)
    assert real.read(done.key, done.version_id) == LARGE


@pytest.mark.needs("copy tells its version")
def test_a_reader_that_stops_early_stops_the_copying(real, monkeypatch):
    for number in range(40):
        real.put(f"k{number:02d}", BODY)
    entries = [entry_of(real, f"k{number:02d}") for number in range(40)]
    taken = []

    def planned():
        for entry in entries:
            taken.append(entry)
            yield entry

    copies = S3Copier(
        real.s3, real.lake, bucket="vault", key_arn=real.key_arn, pace=PaceLimits(ceiling=1, start=1)
    ).copy(planned(), LOCK)
    next(copies)
    copies.close()
    made = [entry for entry in entries if real.versions(entry.key)]
    assert 1 <= len(made) < 40
