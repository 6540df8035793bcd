"""The files of events/ that speak of datasets are accepted by their doors, and what is published is what it says."""

import json
from pathlib import Path

import jsonschema
import pytest

from mldr.domain.datasets import DatasetRule
from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import How, SnapshotManifest, SnapshotRecord, manifest_key
from mldr.events.snapshots import RestoredDetail, SnapshotSealedDetail
from tests.fakes.world import ACTIVE, START
from tests.functional import dataset_story
from tests.functional.story import deliver

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "docs" / "snapshot.schema.json"
SAMPLE = (ROOT / "samplecfg" / "policy.yaml").read_text()


def read(name):
    return json.loads((ROOT / "events" / name).read_text())


def bodies(door):
    return [record["body"] for record in read(f"{door}.sqs.json")["Records"]]


@pytest.fixture
def sample(world):
    """The world of the sample policy, with the snapshot that the files speak of."""
    world.policies.put(SAMPLE)
    record = SnapshotRecord(
        dataset="transactions",
        snapshot="20261123T093000Z-1c1780d6",
        phase=Phase.CAPTURING,
        attempt=1,
        as_of=START,
        rule=DatasetRule(uri="s3://example-ml-data/transactions/", region=ACTIVE),
        how=How.LISTING,
        started_at=START,
    )
    world.datasets.begin(record)
    sealed = {"phase": Phase.SEALED, "sealed_at": START, "kept_until": START.replace(year=2030)}
    world.datasets.advance(record.model_copy(update=sealed))
    return world


def test_a_storage_event_is_logged_for_the_sample_dataset(sample, context):
    assert deliver("log_changes", context, *bodies("log_changes")) == []
    assert deliver("log_changes", context, read("s3_object_created.json")) == []
    assert [one.name for one in sample.datasets.changes("transactions", START)] == ["2026/11/23.parquet"]


def test_a_requested_snapshot_is_started(sample, context):
    assert deliver("start_snapshot", context, *bodies("start_snapshot")) == []
    assert len(sample.workflows.started) == 1


def test_a_training_job_asks_for_its_dataset(sample, context):
    assert deliver("start_snapshot", context, read("sagemaker_training_job_state_change.json")) == []
    [started] = sample.workflows.started.values()
    assert started["dataset"] == "transactions"


def test_a_requested_restore_is_started_where_the_stack_may_write(sample, context):
    sample.env = sample.env.model_copy(update={"restore_buckets": "example-ml-restored"})
    assert deliver("start_restore", context, *bodies("start_restore")) == []
    assert len(sample.workflows.started) == 1


@pytest.fixture
def sealed(world, context):
    """A world in which images was snapshot once and brought back."""
    world.policies.put(dataset_story.POLICY)
    world.buckets.make("photos")
    world.buckets.make("back")
    dataset_story.upload(world, ["a.jpg", "b.jpg"])
    world.clock.move(hours=1)
    record = dataset_story.snapshot(world, context)
    dataset_story.restore(world, context, record)
    return world


def test_what_is_published_keeps_its_own_contract(sealed):
    contracts = {
        "Dataset Snapshot Sealed": SnapshotSealedDetail,
        "Dataset Restored": RestoredDetail,
    }
    assert {name for name, _ in sealed.bus.events} == set(contracts)
    for name, detail in sealed.bus.events:
        contracts[name].parse(json.loads(json.dumps(detail)))


def test_the_published_schema_is_the_schema_of_the_model_and_a_manifest_keeps_it(sealed):
    published = json.loads(SCHEMA.read_text())
    newest = sealed.datasets.newest("images")
    content = json.loads(sealed.vault.read(manifest_key("images", newest.snapshot)))
    jsonschema.Draft202012Validator(published).validate(content)
    assert published.pop("$schema") == "https://json-schema.org/draft/2020-12/schema"
    assert published == SnapshotManifest.model_json_schema(mode="serialization")
