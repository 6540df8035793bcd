"""The story that every crash interrupts: a version is approved and protected, its region dies, the standby recovers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from mldr.domain.identity import ModelKey
from tests.functional.crash.network import score
from tests.functional.crash.two_regions import ACTIVE, STANDBY, TwoRegions, client

MODEL = ModelKey(registry="sagemaker", name="churn")
LAKE = "lake-of-models"
WEIGHTS = {"slope": 3, "offset": 1, "padding": "x" * 700}  # more than one copy may carry
QUESTIONS = ({"x": 1}, {"x": 2.5})
IMAGE = f"121021644041.dkr.ecr.{ACTIVE}.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
POLICY = f"""\
version: 1
regions: [{ACTIVE}, {STANDBY}]
models:
  - match: {MODEL}
    golden: {{uri: "s3://{LAKE}/churn/golden.jsonl"}}
"""
CONTAINER = {"Image": IMAGE, "ModelDataUrl": f"s3://{LAKE}/churn/model.json"}


@dataclass
class Story:
    """The two regions, and what happens in them."""

    regions: TwoRegions
    saved: dict[str, Any] = field(default_factory=dict)

    def begin(self, name: str) -> None:
        """Return to a chapter: `approved` or `protected`; each is played once."""
        if name not in self.saved:
            {"approved": self._approved, "protected": self._protected}[name]()
            self.saved[name] = self.regions.save()
        self.regions.restore(self.saved[name])

    def _approved(self) -> None:
        self._publish_policy()
        self._upload()
        self._serve()
        self.approve(self._register())

    def _protected(self) -> None:
        self.begin("approved")
        assert self.protect()

    def _publish_policy(self) -> None:
        for region, stack in self.regions.stacks.items():
            bucket, _, key = stack.outputs["PolicyLocation"].removeprefix("s3://").partition("/")
            client("s3", region).put_object(Bucket=bucket, Key=key, Body=POLICY.encode())

    def _upload(self) -> None:
        s3 = client("s3", ACTIVE)
        s3.create_bucket(Bucket=LAKE, CreateBucketConfiguration={"LocationConstraint": ACTIVE})
        s3.put_bucket_versioning(Bucket=LAKE, VersioningConfiguration={"Status": "Enabled"})
        golden = [{"request": question, "answer": score(WEIGHTS, question)} for question in QUESTIONS]
        for name, content in {
            "model.json": json.dumps(WEIGHTS),
            "metrics.json": '{"accuracy": 0.9}',
            "golden.jsonl": "\n".join(json.dumps(one) for one in golden),
        }.items():
            s3.put_object(Bucket=LAKE, Key=f"churn/{name}", Body=content.encode())

    def _serve(self) -> None:
        sagemaker = client("sagemaker", ACTIVE)
        role = f"arn:aws:iam::{'1' * 12}:role/serving"
        sagemaker.create_model(ModelName=MODEL.name, ExecutionRoleArn=role, PrimaryContainer=CONTAINER)
        variant = {"VariantName": "all", "ModelName": MODEL.name, "InstanceType": "ml.m5.large"}
        sagemaker.create_endpoint_config(
            EndpointConfigName=MODEL.name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}]
        )
        sagemaker.create_endpoint(EndpointName=MODEL.name, EndpointConfigName=MODEL.name)
        self.regions.pass_time()

    def _register(self) -> str:
        sagemaker = client("sagemaker", ACTIVE)
        sagemaker.create_model_package_group(ModelPackageGroupName=MODEL.name)
        metrics = {"ContentType": "application/json", "S3Uri": f"s3://{LAKE}/churn/metrics.json"}
        return str(
            sagemaker.create_model_package(
                ModelPackageGroupName=MODEL.name,
                ModelApprovalStatus="PendingManualApproval",
                InferenceSpecification={"Containers": [CONTAINER], "SupportedContentTypes": ["application/json"]},
                ModelMetrics={"ModelQuality": {"Statistics": metrics}},
            )["ModelPackageArn"]
        )

    def approve(self, arn: str, status: str = "Approved", **edits: Any) -> dict[str, Any]:
        """Change the approval; returns the event that says so."""
        client("sagemaker", ACTIVE).update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status, **edits)
        return self.promotion

    @property
    def promotion(self) -> dict[str, Any]:
        """The newest event of the active region's registry."""
        return next(one for one in reversed(self.regions.promotions) if one["region"] == ACTIVE)

    @property
    def arn(self) -> str:
        """The version that is promoted."""
        return str(self.promotion["detail"]["ModelPackageArn"])

    def protect(self, *, retried: bool = True) -> bool:
        """Deliver the newest promotion and walk what it starts; whether an execution succeeded."""
        self.regions.deliver("capture_recovery_point", self.promotion)
        return any(one.status == "SUCCEEDED" for one in self.regions.walk("protect", retried=retried))

    @staticmethod
    def request(failover_id: str = "exercise-1", **more: Any) -> dict[str, Any]:
        """A `Failover Requested` as it arrives."""
        detail = {"model": str(MODEL), "reason": "exercise", "requested_by": "test", "failover_id": failover_id, **more}
        return {
            "id": f"event-{failover_id}",
            "source": "mldr",
            "detail-type": "Failover Requested",
            "time": "2026-03-01T12:00:00Z",
            "region": STANDBY,
            "detail": detail,
        }

    def recover(self, *, retried: bool = True) -> bool:
        """The active region dies, the failover is requested; whether it succeeded."""
        self.regions.fail_active(after=0)
        self.regions.checkers.pass_time()
        self.regions.deliver("start_failover", self.request())
        return any(one.status == "SUCCEEDED" for one in self.regions.walk("failover", retried=retried))
