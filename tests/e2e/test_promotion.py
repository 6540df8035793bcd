"""Law 3, end to end: an approval in the active region becomes a sealed recovery point in the standby, unattended."""

import datetime as dt

import pytest
from botocore.exceptions import ClientError

from mldr.domain.manifests import decode, digest_of
from mldr.domain.recovery_point import Manifest, manifest_key
from tests.e2e.cloud import ACTIVE, STANDBY, key
from tests.e2e.owner import BUCKET, IMAGE_IN_STANDBY, LINEAGE, artifact


@pytest.fixture(scope="module")
def manifest(cloud, protected):
    point = protected("churn")
    name = manifest_key(key("churn"), point.recovery_point)
    stored = cloud.aws("s3").get_object(Bucket=cloud.vault, Key=name, VersionId=point.manifest_version)
    return Manifest.model_validate_json(stored["Body"].read())


@pytest.fixture(scope="module")
def lines(cloud, manifest):
    """Every line of the manifest, from the shards that it names."""
    found = []
    for ref in manifest.shards:
        stored = cloud.aws("s3").get_object(Bucket=cloud.vault, Key=ref.key, VersionId=ref.version_id)["Body"].read()
        assert digest_of(stored) == ref.digest
        found += decode(stored)
    return found


def test_a_promoted_model_is_sealed_by_itself_and_has_a_name(cloud, protected):
    point = protected("churn")
    assert point.restorable
    assert cloud.target("churn") == ACTIVE
    assert point.objects == 2


def test_every_byte_is_in_the_vault_and_locked(cloud, manifest, lines):
    s3, now = cloud.aws("s3"), dt.datetime.now(dt.UTC)
    assert (len(lines), sum(item.size for item in lines)) == (manifest.objects, manifest.bytes)
    for item in lines:
        named = {"Bucket": cloud.vault, "Key": item.key, "VersionId": item.version_id}
        stored = s3.get_object(**named, ChecksumMode="ENABLED")
        source = cloud.aws("s3", ACTIVE).get_object(
            Bucket=item.bucket, Key=item.source_key, VersionId=item.source_version
        )
        body = stored["Body"].read()
        assert body == source["Body"].read()
        assert len(body) == item.size
        assert item.digests
        for algorithm, value in item.digests.items():
            assert stored[f"Checksum{algorithm}"] == value
        assert is_locked(s3, named, now)
    for ref in manifest.shards:
        assert is_locked(s3, {"Bucket": cloud.vault, "Key": ref.key, "VersionId": ref.version_id}, now)


def is_locked(s3, named, now):
    lock = s3.get_object_retention(**named)["Retention"]
    return lock["Mode"] == "GOVERNANCE" and lock["RetainUntilDate"] > now + dt.timedelta(days=35)


def test_what_is_sealed_cannot_be_deleted(cloud, manifest, lines):
    for item in (lines[0], manifest.shards[0]):
        with pytest.raises(ClientError, match="AccessDenied"):
            cloud.aws("s3").delete_object(Bucket=cloud.vault, Key=item.key, VersionId=item.version_id)


def test_the_standby_registry_holds_a_rewritten_and_approved_copy(cloud, lines, protected):
    point = protected("churn")
    copy = cloud.aws("sagemaker").describe_model_package(ModelPackageName=point.target_arn)
    container = copy["InferenceSpecification"]["Containers"][0]
    sealed = {f"s3://{cloud.vault}/{item.key}" for item in lines}
    assert container["Image"] == IMAGE_IN_STANDBY
    assert container["ModelDataUrl"] in sealed
    assert container["Environment"] == {"SAGEMAKER_REGION": STANDBY}
    assert copy["ModelApprovalStatus"] == "Approved"
    assert copy["CustomerMetadataProperties"]["trained-by"] == LINEAGE
    assert copy["CustomerMetadataProperties"]["mldr:source-arn"] == point.origin.arn
    assert point.origin.arn.split(":")[3] == ACTIVE
    assert point.target_arn.split(":")[3] == STANDBY


def test_the_bus_says_what_was_sealed_and_how_far_behind_it_is(events, manifest, protected):
    point, (told, *_) = protected("churn"), events.of("Recovery Point Sealed", "churn")
    assert told["recovery_point"] == point.recovery_point
    assert (told["source_arn"], told["target_arn"]) == (point.origin.arn, point.target_arn)
    assert (told["objects"], told["bytes"]) == (manifest.objects, manifest.bytes)
    assert 0 <= told["rpo_seconds"] < 60


def test_an_approval_told_again_changes_nothing(cloud, owner, protected):
    before = protected("churn")
    owner.approve(before.origin.arn)
    cloud.tell("Model Promoted", {"model": "sagemaker/churn"}, {"model": "sagemaker/churn"})
    cloud.settle()
    assert cloud.catalog.records(key("churn")) == [before]


def test_what_is_overwritten_at_the_source_stays_as_it_was_sealed(cloud, owner, lines):
    owner.upload("churn", b"ransom")
    model = next(item for item in lines if item.source_key.endswith("model.tar.gz"))
    stored = cloud.aws("s3").get_object(Bucket=cloud.vault, Key=model.key, VersionId=model.version_id)
    owner.upload("churn")  # its region fails and heals later, and starts its containers from what is there then
    assert stored["Body"].read() != b"ransom"
    assert model.bucket == BUCKET
    assert model.size == len(artifact())
