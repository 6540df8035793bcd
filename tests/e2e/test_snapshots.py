"""A dataset of the active region, end to end: storage events, snapshots that share, differences, and the way back."""

import json
import subprocess
import sys

import pytest
from botocore.exceptions import ClientError

from mldr.aws.datasets import DynamoDatasets
from mldr.domain import recovery_point
from mldr.domain.manifests import decode, digest_of
from mldr.domain.recovery_point import Manifest, Phase
from mldr.domain.snapshots import How, SnapshotManifest, manifest_key
from tests.e2e.cloud import ACTIVE, ROOT, STANDBY, key, outsiders_environment, wait_for

SOURCE, TARGET = "e2e-photos", "e2e-restored"
NAMES = [f"{folder}/{number:03d}.jpg" for folder in ("cats", "dögs und mehr") for number in range(60)]


@pytest.fixture(scope="module")
def lake(cloud):
    """The source, whose events go to EventBridge, and a bucket to restore to."""
    s3 = cloud.aws("s3", ACTIVE)
    s3.create_bucket(Bucket=SOURCE, CreateBucketConfiguration={"LocationConstraint": ACTIVE})
    s3.put_bucket_versioning(Bucket=SOURCE, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=SOURCE, NotificationConfiguration={"EventBridgeConfiguration": {}})
    cloud.aws("s3").create_bucket(Bucket=TARGET, CreateBucketConfiguration={"LocationConstraint": STANDBY})
    for name in NAMES:
        s3.put_object(Bucket=SOURCE, Key=f"photos/{name}", Body=name.encode(), Tagging="label=animal")
    return s3


@pytest.fixture(scope="module")
def datasets(cloud):
    return DynamoDatasets(cloud.aws("dynamodb"), table=cloud.outputs(STANDBY)["CatalogTableName"])


def mldr(cloud, *arguments):
    """Run the command as an operator does; its exit code and its JSON."""
    environment = outsiders_environment() | cloud.environment | {"MLDR_REGIONS": f"{ACTIVE},{STANDBY}"}
    command = [sys.executable, "-m", "cli", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def heard(datasets, since, count):
    wait_for(
        f"{count} changes in the log", lambda: len({one.name for one in datasets.changes("photos", since)}) >= count
    )


def held(cloud, record):
    """The bytes of every object that a snapshot names, by name, each shard and object read by its version."""
    s3, bucket = cloud.aws("s3"), cloud.vault

    def read(key, version):
        return s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()

    manifest = SnapshotManifest.model_validate_json(
        read(manifest_key("photos", record.snapshot), record.manifest_version)
    )
    found = {}
    for ref in manifest.shards:
        content = read(ref.key, ref.version_id)
        assert digest_of(content) == ref.digest
        found |= {entry.name: read(entry.key, entry.version_id) for entry in decode(content)}
    return found


@pytest.fixture(scope="module")
def first(cloud, lake, datasets):
    code, told = mldr(cloud, "snapshot", "photos", "--wait", "--timeout", "90")
    assert (code, told["phase"]) == (0, "SEALED"), cloud.story()
    return datasets.record("photos", told["snapshot"])


@pytest.fixture(scope="module")
def second(cloud, lake, datasets, first):
    lake.put_object(Bucket=SOURCE, Key=f"photos/{NAMES[3]}", Body=b"another cat")
    lake.put_object(Bucket=SOURCE, Key="photos/new cat.jpg", Body=b"a new cat")
    lake.delete_object(Bucket=SOURCE, Key=f"photos/{NAMES[70]}")
    heard(datasets, first.as_of, 3)
    code, told = mldr(cloud, "snapshot", "photos", "--wait", "--timeout", "90")
    assert (code, told["phase"]) == (0, "SEALED"), cloud.story()
    return datasets.record("photos", told["snapshot"])


def test_the_first_snapshot_is_a_listing_and_every_object_is_held(cloud, datasets, first):
    # The schedule may have taken the very first one while the bucket was being filled.
    sealed = [one for one in datasets.records("photos") if one.phase is Phase.SEALED]
    assert min(sealed, key=lambda one: one.started_at).how is How.LISTING
    assert first.objects == len(NAMES)
    assert held(cloud, first) == {name: name.encode() for name in NAMES}


def test_the_next_one_asks_only_for_what_events_named_and_copies_only_what_is_new(cloud, second):
    assert (second.how, second.phase) == (How.EVENTS, Phase.SEALED)
    assert second.difference.model_dump() == {"added": 1, "removed": 1, "changed": 1, "missed": 0, "counted": True}
    assert second.copied == len(b"another cat") + len(b"a new cat")
    wanted = {name: name.encode() for name in NAMES} | {NAMES[3]: b"another cat", "new cat.jpg": b"a new cat"}
    del wanted[NAMES[70]]
    assert held(cloud, second) == wanted


def test_what_a_snapshot_names_cannot_be_deleted(cloud, first):
    name = {"Bucket": cloud.vault, "Key": manifest_key("photos", first.snapshot), "VersionId": first.manifest_version}
    with pytest.raises(ClientError, match="AccessDenied"):
        cloud.aws("s3").delete_object(**name)


def test_the_command_line_lists_and_compares_them(cloud, first, second):
    code, listed = mldr(cloud, "snapshots", "photos")
    sealed = [one["snapshot"] for one in listed["snapshots"] if one["phase"] == "SEALED"]
    assert (code, sealed[:2]) == (0, [second.snapshot, first.snapshot])
    code, found = mldr(cloud, "diff", first.snapshot, second.snapshot)
    assert code == 1
    assert {line["name"]: line["what"] for line in found["lines"]} == {
        NAMES[3]: "changed",
        NAMES[70]: "removed",
        "new cat.jpg": "added",
    }


def test_a_folder_of_an_older_snapshot_comes_back_and_nothing_is_written_over(cloud, first, second):
    ask = ("restore-dataset", first.snapshot, "--to", f"s3://{TARGET}/again/", "--prefix", "cats/", "--wait")
    code, told = mldr(cloud, *ask, "--timeout", "90")
    assert (code, told["phase"], told["objects"]) == (0, "COMPLETED", 60), cloud.story()
    s3 = cloud.aws("s3")
    found = [one["Key"] for one in s3.list_objects_v2(Bucket=TARGET)["Contents"]]
    assert found == [f"again/{name}" for name in NAMES if name.startswith("cats/")]
    assert s3.get_object(Bucket=TARGET, Key=f"again/{NAMES[3]}")["Body"].read() == NAMES[3].encode()
    tags = s3.get_object_tagging(Bucket=TARGET, Key=f"again/{NAMES[3]}")["TagSet"]
    assert tags == [{"Key": "label", "Value": "animal"}]
    s3.put_object(Bucket=TARGET, Key=f"again/{NAMES[5]}", Body=b"mine")
    code, told = mldr(cloud, *ask, "--timeout", "90")
    assert (code, told["phase"]) == (1, "FAILED")
    assert told["reason"].startswith(f"TargetDiffers: s3://{TARGET}/again/{NAMES[5]}")
    assert s3.get_object(Bucket=TARGET, Key=f"again/{NAMES[5]}")["Body"].read() == b"mine"


def test_a_training_job_that_ended_asks_for_a_snapshot_of_what_it_read(cloud, datasets, second):
    detail = {
        "TrainingJobName": "fit-1",
        "TrainingJobStatus": "Completed",
        "InputDataConfig": [
            {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": f"s3://{SOURCE}/photos/cats/"}}}
        ],
    }
    entry = {
        "Source": "aws.sagemaker",
        "DetailType": "SageMaker Training Job State Change",
        "Detail": json.dumps(detail),
    }
    assert cloud.aws("events", ACTIVE).put_events(Entries=[entry])["FailedEntryCount"] == 0

    def sealed():
        newest = datasets.newest("photos")
        return newest.requested_by == "training job fit-1"

    wait_for("a snapshot after the training job", sealed, 60, cloud.story)


def test_of_two_wishes_at_once_each_gets_a_snapshot_and_they_never_run_together(cloud, datasets, second):
    before = {one.snapshot for one in datasets.records("photos")}
    cloud.tell("Dataset Snapshot Requested", *({"dataset": "photos", "reason": f"wish {number}"} for number in (1, 2)))

    def sealed():
        fresh = [one for one in datasets.records("photos") if one.snapshot not in before]
        return len(fresh) == 2 and all(one.phase is Phase.SEALED for one in fresh) and fresh

    later, earlier = wait_for("two snapshots", sealed, 90, cloud.story)
    assert earlier.sealed_at <= later.started_at
    assert {earlier.requested_by, later.requested_by} == {"wish 1", "wish 2"}


def test_a_promotion_asks_for_a_snapshot_and_its_point_names_the_newest_one(cloud, owner, protected, datasets, second):
    known = {one.snapshot for one in datasets.records("photos")}
    owner.upload("tagger")
    owner.promote("tagger")
    point = protected("tagger")
    name = recovery_point.manifest_key(key("tagger"), point.recovery_point)
    stored = cloud.aws("s3").get_object(Bucket=cloud.vault, Key=name, VersionId=point.manifest_version)
    [named] = Manifest.model_validate_json(stored["Body"].read()).datasets
    assert (named.name, datasets.record("photos", named.snapshot).phase) == ("photos", Phase.SEALED)

    def asked_for():
        return [
            one for one in datasets.records("photos") if one.snapshot not in known and "promoted" in one.requested_by
        ]

    wait_for("a snapshot after the promotion", asked_for, 60, cloud.story)


def test_no_message_is_left_behind(cloud, second):
    wait_for("no message is handled any more", lambda: cloud.waiting("mldr-prod-changes") == (0, 0))
    assert cloud.waiting("mldr-prod-changes-dlq") == cloud.waiting("mldr-prod-snapshot-dlq") == (0, 0)
