"""The words in which KServe's stories are told: two clusters, a model that its owner rolls out, a capture.

The model servers of the standby are given; those of the active region, which nobody asks, are stubs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from mldr.kserve.serving import KServeServing
from mldr.kserve.source import KServeSource
from mldr.kserve.targets import ServingSources, ServingTargets
from tests.fakes.clusters import FakeClusters
from tests.fakes.world import ACTIVE, STANDBY, FakeWorld
from tests.functional.story import CHURN, DIGEST, IMAGE, deliver, protect
from tests.kube.controller import Backend, Controller, Ingress, stub

ENDPOINT = "kserve://prod/models/churn"
POLICY = f"""\
version: 1
regions: [{ACTIVE}, {STANDBY}]
clusters:
  prod:
    {ACTIVE}: {{endpoint: "https://a.example", eks: prod}}
    {STANDBY}: {{endpoint: "https://b.example", eks: prod}}
models:
  - match: sagemaker/churn
    golden: {{uri: "s3://lake/churn/golden.jsonl"}}
    serving: {{kserve: {{cluster: prod, namespace: models, name: churn}}}}
"""
ASKED = {"id": "1", "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [100.0]}]}


def golden(value: float) -> bytes:
    """One recorded request, what the first version answered, and how far another may be from that."""
    output = {"name": "out", "shape": [1], "datatype": "FP32", "parameters": None, "data": [value]}
    said = {"model_name": "churn", "model_version": None, "id": "1", "parameters": None, "outputs": [output]}
    return json.dumps({"request": ASKED, "answer": said, "tolerance": 0.01}).encode() + b"\n"


class Two:
    """A cluster in each region, whose model servers read what they serve from the buckets."""

    def __init__(self, world: FakeWorld, stack: ExitStack, start: Callable[[str, float], Backend]) -> None:
        self.world: Any = world
        self.controllers = {
            region: Controller(lambda name, uri, start=start: start(name, self.factor(uri)))
            for region, start in ((ACTIVE, stub), (STANDBY, start))
        }
        clusters = FakeClusters()
        for region, one in self.controllers.items():
            clusters.reached["prod", region] = (one.objects, stack.enter_context(Ingress(one)).url)
        world.policies.put(POLICY)
        world.serving = ServingTargets(world.serving, lambda: KServeServing(clusters, region=STANDBY))
        world.serving_source = ServingSources(world.serving_source, lambda: KServeSource(clusters, region=ACTIVE))

    def factor(self, uri: str) -> float:
        """What a model server loads from a prefix; a prefix without a model fails the test."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        found = self.world.buckets.get(bucket, f"{prefix}factor.txt")
        assert found, f"nothing is stored under {uri}"
        return float(found.body)

    def promote(self, context: Any, number: int, factor: float) -> None:
        """Train, register, approve and protect a version."""
        self.world.buckets.put("lake", f"churn/{number}/factor.txt", str(factor).encode())
        self.world.buckets.put("lake", "churn/golden.jsonl", golden(100.0))
        data = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://lake/churn/{number}/"}}
        containers = [{"Image": IMAGE, "ModelDataSource": data}]
        for region in (ACTIVE, STANDBY):
            self.world.images.push(region, "churn", "1", DIGEST)
        record = {"ModelApprovalStatus": "Approved", "InferenceSpecification": {"Containers": containers}}
        ended = protect(self.world, context, self.world.registry.promote("churn", record))
        assert ended.status == "SUCCEEDED"
        self.world.clock.move(minutes=5)

    def roll_out(self, number: int | str, **predictor: Any) -> None:
        """What the owner of the model does in the active region's cluster."""
        objects = self.controllers[ACTIVE].objects
        model = {"modelFormat": {"name": "mlflow"}, "protocolVersion": "v2", "storageUri": f"s3://lake/churn/{number}/"}
        held = objects.every("InferenceService")
        wanted: dict[str, Any] = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "churn", "namespace": "models"},
            "spec": {"predictor": {"model": model, **predictor}},
        }
        if held:
            wanted["metadata"]["resourceVersion"] = held[0]["metadata"]["resourceVersion"]
            objects.replace(wanted)
        else:
            objects.create(wanted)

    def capture(self, context: Any) -> bool:
        """Ask for a capture, as the schedule does; whether it was taken."""
        wish = {
            "id": "capture-1",
            "source": "mldr",
            "detail-type": "Serving Capture Requested",
            "region": STANDBY,
            "time": self.world.clock.now().isoformat(),
            "detail": {"model": str(CHURN), "reason": "reconcile"},
        }
        try:
            return deliver("capture_serving", context, wish) == []
        except BatchProcessingError:
            return False
        finally:
            self.world.clock.move(minutes=5)
