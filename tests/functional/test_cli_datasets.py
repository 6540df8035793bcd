"""`mldr snapshot`, `snapshots`, `diff` and `restore-dataset`: what they say, what they send, and how they end."""

import datetime as dt
import hashlib
import json

import boto3
import pytest

from cli import restore_dataset, snapshot
from cli.regions import Place
from mldr.domain.datasets import DatasetRule
from mldr.domain.manifests import Entry, ShardRef, digest_of, encode
from mldr.domain.recovery_point import Phase, Retention
from mldr.domain.snapshots import Difference, How, RestoreRecord, SnapshotManifest, SnapshotRecord, manifest_key
from tests.functional.cli_stage import ACTIVE, STANDBY, run, told, two_stacks

POLICY = f"""\
version: 1
regions: [{ACTIVE}, {STANDBY}]
datasets:
  images: {{uri: "s3://photos/images/"}}
  home: {{uri: "s3://elsewhere/", region: {STANDBY}}}
"""
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
RULE = DatasetRule(uri="s3://photos/images/", region=ACTIVE)
ACCOUNT = "123456789012"


@pytest.fixture(autouse=True)
def stage(monkeypatch, tmp_path):
    monkeypatch.setattr(snapshot, "POLL", 0.01)
    monkeypatch.setattr(restore_dataset, "POLL", 0.01)
    with two_stacks(monkeypatch, tmp_path):
        for region in (ACTIVE, STANDBY):
            make_bucket(f"mldr-prod-config-{ACCOUNT}-{region}", region)
            make_bucket(f"mldr-prod-vault-{ACCOUNT}-{region}", region)
        put_policy(POLICY)
        yield


def make_bucket(name, region):
    s3 = boto3.client("s3", region_name=region)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def put_policy(text, regions=(ACTIVE, STANDBY)):
    for region in regions:
        bucket = f"mldr-prod-config-{ACCOUNT}-{region}"
        boto3.client("s3", region_name=region).put_object(Bucket=bucket, Key="policy.yaml", Body=text.encode())


def store(key, content):
    bucket = f"mldr-prod-vault-{ACCOUNT}-{STANDBY}"
    return boto3.client("s3", region_name=STANDBY).put_object(Bucket=bucket, Key=key, Body=content)["VersionId"]


def entry(name, version="1", size=10):
    key = f"objects/version/{hashlib.sha256(f'{name}{version}'.encode()).hexdigest()}"
    return Entry(name, "photos", f"images/{name}", version, "e", 0, size, key, "v", {"CRC64NVME": "AAAAAAAAAAA="})


def shard(*entries):
    content = encode(entries)
    digest = digest_of(content)
    key = f"snapshots/images/shards/{digest}.avro"
    total = sum(one.size for one in entries)
    until = NOW + dt.timedelta(days=60)
    return ShardRef(
        digest=digest,
        key=key,
        version_id=store(key, content),
        first=entries[0].name,
        last=entries[-1].name,
        objects=len(entries),
        bytes=total,
        locked_until=until,
    )


def kept(hours, *shards, phase=Phase.SEALED, dataset="images", **fields):
    """A snapshot of this many hours ago, in the catalog and in the vault of the standby."""
    at = NOW - dt.timedelta(hours=hours)
    name = f"{at:%Y%m%dT%H%M%SZ}-aaaaaaaa"
    known = {"objects": sum(ref.objects for ref in shards), "bytes": sum(ref.bytes for ref in shards)}
    record = SnapshotRecord(
        dataset=dataset, snapshot=name, phase=Phase.CAPTURING, attempt=1, as_of=at, rule=RULE, how=How.LISTING,
        started_at=at,
    )  # fmt: skip
    datasets = Place(STANDBY, "prod").datasets
    datasets.begin(record)
    if phase is Phase.SEALED:
        until = NOW + dt.timedelta(days=30)
        manifest = SnapshotManifest(
            dataset=dataset, snapshot=name, source=RULE.uri, source_region=ACTIVE, as_of=at, how=How.LISTING,
            previous="", standby_region=STANDBY, sealed_at=at, kept_until=until,
            retention=Retention(mode="GOVERNANCE", until=until), rule=RULE, shards=shards, **known,
        )  # fmt: skip
        version = store(manifest_key(dataset, name), manifest.model_dump_json().encode())
        known |= {"sealed_at": at, "kept_until": until, "manifest_version": version}
    ended = record.model_copy(update={"phase": phase, **known, **fields})
    if phase is not Phase.CAPTURING:
        datasets.advance(ended)
    return name


class TestSnapshot:
    def test_it_asks_the_region_that_keeps_the_dataset(self):
        ended = run("snapshot", "images", "--reason", "before the cleaning", "--json")
        assert ended.exit_code == 0, ended.stderr
        assert json.loads(ended.stdout) == {"dataset": "images", "region": STANDBY, "requested": True}
        [event] = told(STANDBY)
        assert event["detail-type"] == "Dataset Snapshot Requested"
        assert event["detail"] == {"dataset": "images", "reason": "before the cleaning", "listing": False}
        assert told(ACTIVE) == []

    def test_a_dataset_of_the_other_region_is_asked_there(self):
        assert run("snapshot", "home", "--listing").exit_code == 0
        [event] = told(ACTIVE)
        assert event["detail"]["listing"] is True

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["imags"], "did you mean images?"),
            (["Images"], "is not the name of a dataset"),
            (["images", "--region", ACTIVE], f"{ACTIVE} does not keep images, {STANDBY} does"),
        ],
    )
    def test_what_cannot_be_meant_ends_with_2(self, arguments, said):
        ended = run("snapshot", *arguments)
        assert ended.exit_code == 2
        assert said in ended.stderr
        assert told(STANDBY) == told(ACTIVE) == []

    def test_without_a_policy_it_ends_with_2_and_what_to_do(self):
        boto3.client("s3", region_name=STANDBY).delete_object(
            Bucket=f"mldr-prod-config-{ACCOUNT}-{STANDBY}", Key="policy.yaml"
        )
        ended = run("snapshot", "images", "--region", STANDBY)
        assert ended.exit_code in (2, 3)
        assert "policy.yaml" in ended.stderr

    def test_two_policies_that_disagree_are_not_guessed_about(self):
        put_policy(POLICY.replace(f"[{ACTIVE}, {STANDBY}]", f"[{STANDBY}, {ACTIVE}]"), [ACTIVE])
        ended = run("snapshot", "images")
        assert ended.exit_code == 2
        assert "differ" in ended.stderr

    def test_waiting_ends_with_the_snapshot_that_was_not_there_before(self, monkeypatch):
        kept(2, shard(entry("old")))
        sleeps = []

        def later(seconds):
            sleeps.append(seconds)
            if len(sleeps) == 2:
                kept(1, shard(entry("a"), entry("b")))

        monkeypatch.setattr(snapshot.time, "sleep", later)
        ended = run("snapshot", "images", "--wait", "--json")
        assert ended.exit_code == 0, ended.stderr
        found = json.loads(ended.stdout)
        assert (found["phase"], found["objects"], found["restorable"]) == ("SEALED", 2, True)
        assert len(sleeps) == 2

    def test_waiting_for_one_that_fails_ends_with_1_and_the_reason(self, monkeypatch):
        monkeypatch.setattr(
            snapshot.time,
            "sleep",
            lambda _: kept(1, phase=Phase.FAILED, reason="SourceNotVersioned: enable versioning"),
        )
        ended = run("snapshot", "images", "--wait")
        assert ended.exit_code == 1
        assert "SourceNotVersioned: enable versioning" in ended.stderr

    def test_waiting_has_an_end(self):
        ended = run("snapshot", "images", "--wait", "--timeout", "1")
        assert ended.exit_code == 1
        assert "mldr-<env>-snapshot-dlq" in ended.stderr


class TestSnapshots:
    def test_a_datasets_snapshots_are_listed_the_newest_first(self):
        first = kept(5, shard(entry("a")))
        second = kept(1, shard(entry("a"), entry("b")), difference=Difference(added=1, missed=1))
        ended = run("snapshots", "images")
        assert ended.exit_code == 0
        assert ended.stdout.index(second) < ended.stdout.index(first)
        assert "+1 -0 ~0, 1 untold" in ended.stdout
        found = json.loads(run("snapshots", "images", "--json").stdout)["snapshots"]
        assert [one["snapshot"] for one in found] == [second, first]
        assert (found[0]["region"], found[0]["source"], found[0]["restorable"]) == (
            STANDBY,
            "s3://photos/images/",
            True,
        )

    def test_without_a_name_the_newest_of_each_is_shown(self):
        kept(5, shard(entry("a")))
        newest = kept(1, shard(entry("a")))
        other = kept(3, shard(entry("x")), dataset="other")
        found = json.loads(run("snapshots", "--json").stdout)["snapshots"]
        assert [one["snapshot"] for one in found] == [newest, other]

    @pytest.mark.parametrize("phase", [Phase.FAILED, Phase.CAPTURING])
    def test_one_that_cannot_be_restored_ends_with_1(self, phase):
        kept(1, phase=phase, reason="it broke")
        ended = run("snapshots", "images")
        assert ended.exit_code == 1
        assert phase in ended.stdout

    def test_one_that_runs_does_not_hide_the_one_before(self):
        kept(5, shard(entry("a")))
        kept(1, phase=Phase.CAPTURING)
        assert run("snapshots", "images").exit_code == 0

    def test_none_ends_with_1(self):
        assert run("snapshots").exit_code == run("snapshots", "images").exit_code == 1
        assert run("snapshots", "No!").exit_code == 2


class TestDiff:
    def test_what_was_added_removed_and_changed_is_counted_and_shown(self):
        same = shard(entry("a"), entry("b"))
        before = kept(5, same, shard(entry("c"), entry("d"), entry("e")))
        after = kept(1, same, shard(entry("c"), entry("d", "2", 20), entry("f")))
        ended = run("diff", before, after, "--json")
        assert ended.exit_code == 1
        found = json.loads(ended.stdout)
        assert (found["added"], found["removed"], found["changed"], found["all_lines"]) == (1, 1, 1, True)
        assert [(line["name"], line["what"]) for line in found["lines"]] == [
            ("d", "changed"),
            ("e", "removed"),
            ("f", "added"),
        ]
        text = run("diff", before, after).stdout
        assert "~ d  10 B → 20 B" in text
        assert "1 added, 1 removed, 1 changed" in text

    def test_equal_ones_end_with_0_and_read_no_shard(self):
        same = shard(entry("a"))
        before, after = kept(5, same), kept(1, same)
        boto3.client("s3", region_name=STANDBY).delete_object(
            Bucket=f"mldr-prod-vault-{ACCOUNT}-{STANDBY}", Key=same.key, VersionId=same.version_id
        )
        ended = run("diff", before, after)
        assert ended.exit_code == 0, ended.stderr
        assert "0 added, 0 removed, 0 changed" in ended.stdout

    def test_all_are_counted_however_few_are_shown(self):
        before, after = kept(5, shard(entry("x"))), kept(1, shard(*(entry(f"{number:02d}") for number in range(30))))
        ended = run("diff", before, after, "--lines", "3")
        assert "… and 28 more" in ended.stdout
        assert "30 added, 1 removed, 0 changed" in ended.stdout
        assert json.loads(run("diff", before, after, "--lines", "0", "--json").stdout)["lines"] == []

    def test_a_shard_that_is_not_what_was_sealed_is_not_believed(self):
        spoilt = shard(entry("a")).model_copy(update={"digest": "0" * 64})
        ended = run("diff", kept(5, spoilt), kept(1, shard(entry("b"))))
        assert ended.exit_code == 1
        assert "ChecksumMismatch" in ended.stderr

    def test_snapshots_of_two_datasets_and_unknown_ones_are_refused(self):
        one, other = kept(5, shard(entry("a"))), kept(3, shard(entry("a")), dataset="other")
        assert run("diff", one, other).exit_code == 2
        ended = run("diff", one, "20200101T000000Z-00000000")
        assert ended.exit_code == 1
        assert "there is no snapshot" in ended.stderr

    def test_one_that_is_not_sealed_has_no_content(self):
        ended = run("diff", kept(5, shard(entry("a"))), kept(1, phase=Phase.FAILED, reason="it broke"))
        assert ended.exit_code == 1
        assert "is FAILED: it broke" in ended.stderr


class TestRestore:
    def test_it_asks_the_region_that_keeps_the_snapshot(self):
        name = kept(1, shard(entry("a")))
        ended = run("restore-dataset", name, "--to", "s3://back/x/", "--prefix", "cats/")
        assert ended.exit_code == 0, ended.stderr
        [event] = told(STANDBY)
        assert event["detail-type"] == "Dataset Restore Requested"
        assert event["detail"] == {"dataset": "images", "snapshot": name, "to": "s3://back/x/", "prefix": "cats/"}
        assert event["id"] in ended.stdout

    @pytest.mark.parametrize("target", ["back/x", "s3://UPPER/x", "https://back/x"])
    def test_a_target_that_is_none_ends_with_2(self, target):
        assert run("restore-dataset", kept(1, shard(entry("a"))), "--to", target).exit_code == 2
        assert told(STANDBY) == []

    def test_a_snapshot_that_is_not_sealed_is_not_asked_for(self):
        ended = run("restore-dataset", kept(1, phase=Phase.FAILED, reason="it broke"), "--to", "s3://back/x")
        assert ended.exit_code == 1
        assert told(STANDBY) == []

    @pytest.mark.parametrize(("phase", "code"), [("COMPLETED", 0), ("FAILED", 1)])
    def test_waiting_ends_with_the_outcome(self, monkeypatch, phase, code):
        name = kept(1, shard(entry("a")))

        def later(_):
            [event] = told(STANDBY)
            done = {"phase": phase, "reason": "TargetDiffers: x", "objects": 1, "bytes": 10, "started_at": NOW}
            known = RestoreRecord(dataset="images", restore=event["id"], snapshot=name, to="s3://back/x", **done)
            Place(STANDBY, "prod").datasets.put_restore(known)

        monkeypatch.setattr(restore_dataset.time, "sleep", later)
        ended = run("restore-dataset", name, "--to", "s3://back/x", "--wait", "--json")
        assert ended.exit_code == code, ended.stderr
        assert json.loads(ended.stdout)["phase"] == phase
        assert ("TargetDiffers: x" in ended.stderr) is (code == 1)

    def test_waiting_for_what_was_refused_says_where_to_look(self):
        ended = run("restore-dataset", kept(1, shard(entry("a"))), "--to", "s3://back/x", "--wait", "--timeout", "1")
        assert ended.exit_code == 1
        assert "RestoreBuckets" in ended.stderr
