"""The vault's bytes, read to be checked and made good again: on memory and on S3."""

import datetime as dt

import pytest
from moto.s3.models import s3_backends

from mldr.aws.copier import S3Copier
from mldr.aws.vault import S3Vault
from mldr.aws.vault_bytes import S3VaultBytes
from mldr.domain.manifests import Entry, ShardRef, digest_of, encode
from mldr.domain.recovery_point import Retention
from mldr.domain.scrub import Problem, ScrubItem
from mldr.errors import MissingArtifact
from mldr.events.scrub import ScrubTask
from mldr.steps.manifest_lines import lines
from mldr.steps.scrub_shard import scrub_shard
from tests.contract.conftest import ACCOUNT, ACTIVE, STANDBY
from tests.fakes.clock import FakeClock
from tests.fakes.copier import FakeCopier
from tests.fakes.objects import Buckets, FakeVault, checksum_of, etag_of
from tests.fakes.vault_bytes import FakeVaultBytes

SERVICE = "s3"
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
LOCK = Retention(mode="GOVERNANCE", until=NOW + dt.timedelta(days=2))
KEYS = ["model.bin", "ünï cödé/モデル.bin", "a//b", "100% +plus&amp;=?.bin", "sp ace ", "ends/"]


class InMemory:
    """Buckets in memory."""

    def __init__(self):
        self.buckets = Buckets()
        self.vault, self.bytes = FakeVault(self.buckets), FakeVaultBytes(self.buckets)
        self.copier = FakeCopier(self.buckets)

    def put(self, bucket, key, body):
        return self.buckets.put(bucket, key, body).version_id

    def etag(self, key, version):
        return etag_of(self.buckets.get("lake", key, version).body)

    def mark_deleted(self, key):
        self.buckets.put("vault", key, None)

    def corrupt(self, key, version):
        self.buckets.get("vault", key, version).body = b"rotten" * 100


class OnS3:
    """The real adapters."""

    def __init__(self, cloud):
        cloud.bucket("lake", ACTIVE)
        cloud.bucket("vault", STANDBY, locked=True)
        self.lake, self.s3, key = cloud.client("s3", ACTIVE), cloud.client("s3", STANDBY), cloud.key()
        self.vault = S3Vault(self.s3, bucket="vault", key_arn=key)
        self.bytes = S3VaultBytes(self.s3, bucket="vault")
        self.copier = S3Copier(self.s3, self.lake, bucket="vault", key_arn=key)

    def put(self, bucket, key, body):
        s3 = self.lake if bucket == "lake" else self.s3
        return s3.put_object(Bucket=bucket, Key=key, Body=body, ChecksumAlgorithm="CRC64NVME")["VersionId"]

    def etag(self, key, version):
        return self.lake.head_object(Bucket="lake", Key=key, VersionId=version)["ETag"].strip('"')

    def mark_deleted(self, key):
        self.s3.delete_object(Bucket="vault", Key=key)

    def corrupt(self, key, version):
        """Only moto's memory can be reached behind its API; its description of the object stays as it was."""
        held = s3_backends[ACCOUNT]["aws"].get_object("vault", key, version)
        held._value_buffer.seek(0)
        held._value_buffer.truncate()
        held._value_buffer.write(b"rotten" * 100)


@pytest.fixture
def place(backend):
    return OnS3(backend) if backend else InMemory()


@pytest.fixture(params=["memory", "moto"])
def rotten(request):
    """Where bits can be flipped behind the adapters' back."""
    return InMemory() if request.param == "memory" else OnS3(request.getfixturevalue("moto"))


@pytest.mark.parametrize("key", KEYS)
def test_a_piece_is_the_bytes_that_were_asked_for_and_the_size_of_all(place, key):
    version = place.put("vault", key, bytes(range(100)))
    assert place.bytes.piece(key, version, 0, 10) == (bytes(range(10)), 100)
    assert place.bytes.piece(key, version, 95, 10) == (bytes(range(95, 100)), 100)


def test_an_empty_object_is_an_empty_piece(place):
    version = place.put("vault", "empty", b"")
    assert place.bytes.piece("empty", version, 0, 1) == (b"", 0)


def test_the_named_version_is_read_and_not_the_current_one(place):
    first = place.put("vault", "one", b"first")
    place.put("vault", "one", b"second")
    place.mark_deleted("one")
    assert place.bytes.piece("one", first, 0, 10) == (b"first", 5)


def test_a_version_that_is_not_there_is_missing(place):
    place.put("vault", "one", b"first")
    other = place.put("vault", "other", b"other")
    with pytest.raises(MissingArtifact, match="is not in the vault any more"):
        place.bytes.piece("one", other, 0, 10)


def test_keys_are_listed_by_prefix_and_a_delete_marker_hides_none(place):
    for key in ("repairs/b/2", "repairs/a/1", "repairs/a/1", "repairs-not/x", "evidence/1"):
        place.put("vault", key, b"x")
    place.mark_deleted("repairs/a/1")
    assert place.vault.keys("repairs/") == ["repairs/a/1", "repairs/b/2"]
    assert place.vault.keys("nothing/") == []


def copied(place, name, body):
    """An object that was copied from a pinned source, and its line."""
    pinned = place.put("lake", name, body)
    known = {"CRC64NVME": checksum_of(body, "CRC64NVME").value}
    etag = place.etag(name, pinned)
    entry = Entry(name, "lake", name, pinned, etag, 0, len(body), f"recovery-points/x/{name}", "", known)
    [made] = place.copier.copy([entry], LOCK)
    return made


def task_for(place, entries):
    """These lines as a sealed shard."""
    content = encode(entries)
    key = "recovery-points/x/shards/one.avro"
    ref = ShardRef(
        digest=digest_of(content), key=key, version_id=place.vault.seal(key, content, LOCK), first=entries[0].name,
        last=entries[-1].name, objects=len(entries), bytes=sum(one.size for one in entries), locked_until=LOCK.until,
    )  # fmt: skip
    item = ScrubItem(item="shards/000000", owner="model/sagemaker/x", shard=ref, retention=LOCK, holders=("x",))
    return ScrubTask(run="run", sample=100, item=item)


def checked(place, task):
    """Check a shard."""
    return scrub_shard(
        task, vault=place.vault, reader=place.bytes, copier=place.copier, clock=FakeClock(NOW),
        remaining=lambda: 900_000,
    )  # fmt: skip


def test_what_was_copied_is_found_sound(place):
    entries = [copied(place, name, b"x" * size) for size, name in enumerate(sorted(KEYS))]
    found = checked(place, task_for(place, entries))
    assert (found.done, found.objects, found.findings) == (True, len(KEYS), ())


def test_rotten_bytes_are_found_and_copied_again_from_the_pinned_version(rotten):
    entries = [copied(rotten, name, b"good" * 150) for name in ("a", "b")]
    rotten.put("lake", "b", b"somebody wrote over it")
    rotten.corrupt(entries[1].key, entries[1].version_id)
    task = task_for(rotten, entries)
    [finding] = checked(rotten, task).findings
    assert (finding.problem, finding.name) == (Problem.REPAIRED, "b")
    untouched, mended = lines(rotten.vault, [task.item.shard])
    assert (untouched, mended.version_id != entries[1].version_id) == (entries[0], True)
    assert rotten.vault.read(mended.key, mended.version_id) == b"good" * 150
    assert rotten.vault.read(mended.key) == b"good" * 150


def test_rotten_bytes_whose_source_is_gone_are_bad(rotten):
    entry = copied(rotten, "a", b"good" * 150)
    rotten.corrupt(entry.key, entry.version_id)
    if isinstance(rotten, InMemory):
        rotten.buckets.erase("lake", "a", entry.source_version)
    else:
        rotten.lake.delete_object(Bucket="lake", Key="a", VersionId=entry.source_version)
    task = task_for(rotten, [entry])
    [finding] = checked(rotten, task).findings
    assert (finding.problem, "MissingArtifact" in finding.reason) == (Problem.BAD, True)
    assert list(lines(rotten.vault, [task.item.shard])) == [entry]
