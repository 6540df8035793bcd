"""The words in which the stories are told: promote, deliver, protect, fail over."""

from __future__ import annotations

import importlib
import json
from typing import Any

from mldr.domain.identity import ModelKey
from mldr.domain.manifests import Entry
from mldr.domain.recovery_point import Manifest, Record, manifest_key
from mldr.steps.manifest_lines import lines
from tests.asl_walker import Ended
from tests.fakes.objects import etag_of
from tests.fakes.world import ACTIVE, STANDBY, FakeWorld
from tests.functional.state_machine import Machine

CHURN = ModelKey(registry="sagemaker", name="churn")
WEIGHTS = b"weights of version one"
GOLDEN = b'{"request": [1], "answer": [1]}\n'
IMAGE = f"123456789012.dkr.ecr.{ACTIVE}.amazonaws.com/churn:1"
DIGEST = f"sha256:{'a' * 64}"
GATEWAY = f"target.{STANDBY}.example"


def document(**container: Any) -> dict[str, Any]:
    """A model package as its registry describes it."""
    one = {"Image": IMAGE, "ModelDataUrl": "s3://lake/churn/model.tar.gz", **container}
    return {
        "ModelApprovalStatus": "Approved",
        "InferenceSpecification": {
            "Containers": [one],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    }


def stock(world: FakeWorld) -> None:
    """Put what `document()` names where it says, and the golden inferences."""
    world.buckets.put("lake", "churn/model.tar.gz", WEIGHTS)
    world.buckets.put("lake", "churn/golden.jsonl", GOLDEN)
    for region in (ACTIVE, STANDBY):
        world.images.push(region, "churn", "1", DIGEST)


def promoted(world: FakeWorld, **container: Any) -> str:
    """Register and approve a version of churn whose artifacts exist."""
    stock(world)
    container.setdefault("ModelDataETag", etag_of(WEIGHTS))
    return world.registry.promote("churn", document(**container))


def package_event(world: FakeWorld, arn: str, **envelope: Any) -> dict[str, Any]:
    """What EventBridge delivers when a package changed."""
    return {
        "id": f"event-{arn[-12:]}",
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Package State Change",
        "region": ACTIVE,
        "time": world.clock.now().isoformat(),
        "detail": {
            "ModelPackageArn": arn,
            "ModelPackageGroupName": arn.split("/")[1],
            "ModelApprovalStatus": "Approved",
        },
        **envelope,
    }


def failover_event(world: FakeWorld, event_id: str = "failover-1", **detail: Any) -> dict[str, Any]:
    """`Failover Requested` as EventBridge delivers it."""
    return {
        "id": event_id,
        "source": "mldr",
        "detail-type": "Failover Requested",
        "time": world.clock.now().isoformat(),
        "detail": {"model": str(CHURN), "reason": "the region is gone", "requested_by": "operator", **detail},
    }


def deliver(door: str, context: Any, *bodies: Any) -> list[str]:
    """Deliver messages by SQS; the ids of those that failed, numbered from 0."""
    records = [
        {
            "messageId": str(number),
            "receiptHandle": "handle",
            "body": body if isinstance(body, str) else json.dumps(body),
            "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{STANDBY}:123456789012:queue",
            "awsRegion": STANDBY,
        }
        for number, body in enumerate(bodies)
    ]
    answer = importlib.import_module(f"functions.{door}.app").handler({"Records": records}, context)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def capture(world: FakeWorld, context: Any, arn: str, **envelope: Any) -> str | None:
    """Tell of a package; the name of the execution that this started, if any."""
    before = set(world.workflows.started)
    assert deliver("capture_recovery_point", context, package_event(world, arn, **envelope)) == []
    new = set(world.workflows.started) - before
    return new.pop() if new else None


def run(world: FakeWorld, context: Any, execution: str, machine: str = "protect", **more: Any) -> Ended:
    """Run a started execution to its end."""
    try:
        return Machine(machine, world, context, **more).run(world.workflows.started[execution])
    finally:
        world.workflows.active.discard(execution)


def protect(world: FakeWorld, context: Any, arn: str, **more: Any) -> Ended:
    """Tell of a package and run what this started."""
    execution = capture(world, context, arn)
    assert execution
    return run(world, context, execution, **more)


def point(world: FakeWorld) -> Record:
    """The only recovery point of churn."""
    [record] = world.catalog.records(CHURN)
    return record


def manifest(world: FakeWorld, record: Record | None = None) -> Manifest:
    """What a recovery point holds, by its sealed word; churn's only one unless another is named."""
    record = record or point(world)
    content = world.vault.read(manifest_key(CHURN, record.recovery_point), record.manifest_version)
    assert content
    return Manifest.model_validate_json(content)


def entries(world: FakeWorld, record: Record | None = None) -> list[Entry]:
    """Every line of a sealed manifest."""
    return list(lines(world.vault, manifest(world, record).shards))


def fail_over(world: FakeWorld, context: Any, event_id: str = "failover-1", **detail: Any) -> Ended:
    """Ask for a failover and run what this started."""
    assert deliver("start_failover", context, failover_event(world, event_id, **detail)) == []
    return run(world, context, detail.get("failover_id", event_id), "failover")


def clients_follow(world: FakeWorld) -> None:
    """DNS answers with the standby's gateway from now on."""
    world.outside.targets["churn.models.example"] = GATEWAY
