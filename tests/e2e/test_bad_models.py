"""What cannot be protected fails at capture, with the reason, and is protected once it is mended."""

import json

import pytest

from mldr.domain.recovery_point import Phase
from tests.e2e.cloud import ACTIVE, STANDBY, key
from tests.e2e.conftest import DOCKER_HUB, OUR_IMAGE

IMAGE_TYPE = "application/vnd.oci.image.manifest.v1+json"
IMAGE_MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": IMAGE_TYPE, "layers": [{"digest": "sha256:7"}]})


def resealed(cloud, events, name):
    """Ask by hand, and wait: the point that had failed is the one that is sealed."""
    (before,) = cloud.catalog.records(key(name))
    cloud.tell("Model Promoted", {"model": f"sagemaker/{name}"})
    events.wait("Recovery Point Sealed", name, seconds=90)
    (after,) = cloud.catalog.records(key(name))
    assert after.recovery_point == before.recovery_point
    assert after.attempt > before.attempt
    return after


def test_a_missing_artifact_is_named_and_mended_by_uploading_it(cloud, owner, events, failed):
    point = failed("ghost")
    assert "s3://e2e-models/ghost/model.tar.gz does not exist" in point.reason
    (told, *_) = events.wait("Recovery Point Failed", "ghost")
    assert told["phase"] == "FAILED"
    assert told["reason"] == point.reason
    assert cloud.target("ghost") is None
    owner.upload("ghost")
    assert resealed(cloud, events, "ghost").phase is Phase.SEALED


def test_an_image_without_a_twin_is_named(cloud, events, failed):
    point = failed("foreign")
    assert DOCKER_HUB in point.reason
    assert "BadReference" in point.reason
    assert events.wait("Recovery Point Failed", "foreign")[0]["reason"]
    assert not point.restorable


def test_an_image_of_our_own_must_have_been_replicated(cloud, events, failed):
    assert OUR_IMAGE in failed("scoring").reason
    push(cloud, ACTIVE)
    cloud.tell("Model Promoted", {"model": "sagemaker/scoring"})
    assert failed("scoring", attempt=2).reason.startswith("ImageNotReplicated: ")
    push(cloud, STANDBY)
    point = resealed(cloud, events, "scoring")
    copy = cloud.aws("sagemaker").describe_model_package(ModelPackageName=point.target_arn)
    image = copy["InferenceSpecification"]["Containers"][0]["Image"]
    assert image.startswith("123456789012.dkr.ecr.ap-southeast-3.amazonaws.com/scoring@sha256:")


def push(cloud, region):
    ecr = cloud.aws("ecr", region)
    ecr.create_repository(repositoryName="scoring")
    ecr.put_image(repositoryName="scoring", imageManifest=IMAGE_MANIFEST, imageTag="7")


@pytest.mark.parametrize("name", ["ghost", "foreign"])
def test_a_failover_with_nothing_sealed_is_refused_before_anything_is_touched(cloud, events, pages, failed, name):
    # `ghost` may have been mended by now; a version that was never promoted at all has nothing either.
    unsealed = name if name == "foreign" else "never-captured"
    if unsealed == "foreign":
        failed("foreign")
    cloud.tell("Failover Requested", {"model": f"sagemaker/{unsealed}", "reason": "exercise"})
    (told, *_) = events.wait("Failover Completed", unsealed)
    assert told["outcome"] == "refused"
    assert "no sealed recovery point" in told["reason"]
    assert pages.wait(unsealed, "refused")["Message"] == told["reason"]
    model = key(unsealed)
    assert (cloud.catalog.epoch(model), cloud.catalog.takeover(model)) == (None, None)
    endpoints = cloud.aws("sagemaker").list_endpoints()["Endpoints"]
    assert [one for one in endpoints if unsealed in one["EndpointName"]] == []
