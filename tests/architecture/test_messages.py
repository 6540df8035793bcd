"""The files of events/ parse by their contracts, and a sealed manifest is what its published schema says."""

import datetime as dt
import json
from pathlib import Path

import jsonschema
import pytest

from mldr.domain.approvals import Approval
from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import Manifest, manifest_key
from mldr.events import detail_types
from mldr.events.evacuation import RegionCompletedDetail, RegionRequest, parse_takeover
from mldr.events.failover import FailbackRequest, FailoverCompletedDetail, FailoverRequest, FailoverRequested
from mldr.events.health import FailoverApproval
from mldr.events.protection import FailedDetail, PromotedDetail, Promotion, SealedDetail
from mldr.events.scrub import VerificationDetail, VerificationRequest
from mldr.events.serving import KeptDetail, ServingCaptureRequest, TiersDue
from mldr.events.snapshots import (
    RestoredDetail,
    RestoreRequest,
    SnapshotFailedDetail,
    SnapshotRequest,
    SnapshotSealedDetail,
)
from tests.functional.story import CHURN, deliver, point, promoted, protect

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
SCHEMA = ROOT / "docs" / "manifest.schema.json"
ENTRIES = {path.name: json.loads(path.read_text()) for path in sorted(EVENTS.glob("*.json"))}
PUT = {name: entry[0] for name, entry in ENTRIES.items() if isinstance(entry, list)}
BATCHES = {name: entry for name, entry in ENTRIES.items() if isinstance(entry, dict) and "Records" in entry}
CONTRACTS = {
    "Model Promoted": PromotedDetail,
    "Failover Requested": FailoverRequest,
    "Failover Completed": FailoverCompletedDetail,
    "Failover Approved": FailoverApproval,
    "Failback Requested": FailbackRequest,
    "Failback Completed": FailoverCompletedDetail,
    "Recovery Point Sealed": SealedDetail,
    "Recovery Point Failed": FailedDetail,
    "Dataset Snapshot Requested": SnapshotRequest,
    "Dataset Snapshot Sealed": SnapshotSealedDetail,
    "Dataset Snapshot Failed": SnapshotFailedDetail,
    "Dataset Restore Requested": RestoreRequest,
    "Dataset Restored": RestoredDetail,
    "Tiers Due": TiersDue,
    "Predictions Kept": KeptDetail,
    "Serving Capture Requested": ServingCaptureRequest,
    "Verification Requested": VerificationRequest,
    "Verification Completed": VerificationDetail,
}
# The same detail-types, asked or told of a whole region.
OF_A_REGION = {
    "failover_region_requested.json": RegionRequest,
    "failover_region_completed.json": RegionCompletedDetail,
    "failback_region_requested.json": RegionRequest,
}


def delivered(entry):
    """A PutEvents entry as EventBridge delivers it."""
    return {
        "id": "844e2571-85d4-695f-b930-0153b71dcb42",
        "source": entry["Source"],
        "detail-type": entry["DetailType"],
        "region": "ap-southeast-3",
        "time": "2026-03-01T12:00:00Z",
        "detail": json.loads(entry["Detail"]),
    }


@pytest.mark.parametrize("name", PUT)
def test_an_event_file_parses_by_its_contract(name):
    entry = PUT[name]
    assert (entry["EventBusName"], entry["Source"]) == ("mldr", detail_types.SOURCE)
    parsed = OF_A_REGION.get(name, CONTRACTS[entry["DetailType"]]).parse(entry["Detail"])
    if hasattr(parsed, "model"):
        assert str(parsed.model) == "sagemaker/digits-classifier"
    assert name.replace("_region", "") == entry["DetailType"].lower().replace(" ", "_") + ".json"


def test_every_contract_has_a_file():
    assert {entry["DetailType"] for entry in PUT.values()} == set(CONTRACTS)


def test_the_accepted_events_are_accepted_after_the_envelope():
    assert Promotion.parse(delivered(PUT["model_promoted.json"])).arn is None
    assert FailoverRequested.parse(delivered(PUT["failover_requested.json"])).detail.requested_by == "operator"
    assert parse_takeover(delivered(PUT["failover_region_requested.json"])).detail.region == "ap-southeast-1"
    assert parse_takeover(delivered(PUT["failback_region_requested.json"])).kind == "failback"
    promotion = Promotion.parse(ENTRIES["sagemaker_model_package_state_change.json"])
    assert (str(promotion.model), promotion.arn.rpartition("/")[2]) == ("sagemaker/digits-classifier", "1")


OF_DATASETS = {"log_changes.sqs.json", "start_restore.sqs.json", "start_snapshot.sqs.json"}  # test_dataset_messages.py


def test_the_batch_of_an_approval_is_accepted_by_its_door(world, context):
    """It starts nothing by itself: `Failover Requested` does."""
    now, token = world.clock.now(), "the-token-of-the-page"
    model = ModelKey(registry="sagemaker", name="digits-classifier")
    until = now + dt.timedelta(minutes=15)
    world.decisions.ask(model, Approval.ask(token, failover_id="f-1", reason="why", now=now, until=until, first=None))
    for record in BATCHES["approve_failover.sqs.json"]["Records"]:
        assert deliver("approve_failover", context, record["body"]) == []
    assert world.bus.named("Failover Requested")[0]["failover_id"] == "f-1"


def test_the_batch_of_answers_that_the_other_region_kept_is_accepted_by_its_door(world, context):
    """It starts nothing: they are in this region's cache then."""
    for record in BATCHES["keep_predictions.sqs.json"]["Records"]:
        assert deliver("keep_predictions", context, record["body"]) == []
    [kept] = world.prediction_cache.entries.values()
    assert kept.content == b'{"predictions": [7]}'


START_NOTHING = {"approve_failover.sqs.json", "keep_predictions.sqs.json"}


@pytest.mark.parametrize("name", sorted(set(BATCHES) - OF_DATASETS - START_NOTHING))
def test_a_batch_file_is_accepted_by_its_door(world, context, name):
    door = name.removesuffix(".sqs.json")
    arn = world.registry.promote("digits-classifier", {})
    for record in BATCHES[name]["Records"]:
        assert deliver(door, context, record["body"]) == []
    assert (len(world.workflows.started), arn[-1]) == (1, "1")


def test_what_is_published_keeps_its_own_contract(world, context):
    protect(world, context, promoted(world))
    assert world.bus.events
    for name, detail in world.bus.events:
        CONTRACTS[name].parse(json.loads(json.dumps(detail)))


def test_the_published_schema_is_the_schema_of_the_model():
    """Written by `json.dumps(Manifest.model_json_schema(mode="serialization"))`, with the dialect in front."""
    published = json.loads(SCHEMA.read_text())
    assert published.pop("$schema") == "https://json-schema.org/draft/2020-12/schema"
    assert published == Manifest.model_json_schema(mode="serialization")


@pytest.fixture
def sealed(world, context):
    """The bytes of a manifest as the seal writes them."""
    protect(world, context, promoted(world))
    return json.loads(world.vault.read(manifest_key(CHURN, point(world).recovery_point)))


@pytest.fixture
def validator():
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_a_sealed_manifest_validates_against_the_published_schema(sealed, validator):
    validator.validate(sealed)
    assert {"digest", "key", "version_id", "first", "last", "objects", "bytes", "locked_until"} == set(
        sealed["shards"][0]
    )


@pytest.mark.parametrize("name", ["recovery_point", "shards", "layout", "registry_document", "rewrites", "origin"])
def test_a_manifest_that_lacks_a_part_does_not(sealed, validator, name):
    del sealed[name]
    with pytest.raises(jsonschema.ValidationError, match=name):
        validator.validate(sealed)


def test_a_manifest_with_a_part_that_nobody_knows_does_not(sealed, validator):
    with pytest.raises(jsonschema.ValidationError, match="surplus"):
        validator.validate({**sealed, "surplus": 1})
