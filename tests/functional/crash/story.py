"""The story that every crash interrupts: a version is approved and protected, its region dies, the standby recovers."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

from localcloud.edge.addresses import ACCOUNT
from mldr.aws.serving_capture import VaultServingCaptures
from mldr.aws.vault import S3Vault
from mldr.domain.identity import ModelKey
from mldr.domain.serving_state import ServingState
from tests.functional.crash.network import score
from tests.functional.crash.two_regions import ACTIVE, STANDBY, TwoRegions, client

MODEL = ModelKey(registry="sagemaker", name="churn")
LAKE = "lake-of-models"
WEIGHTS = {"slope": 3, "offset": 1, "padding": "x" * 700}  # more than one copy may carry
ROUNDS = 3  # that must see a region down: the policy's default
PAUSE = 20  # seconds between two rounds: one that is tried again within half of them is the same round
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

    def begin(self, chapter: str) -> None:
        """Return to a chapter; each is played once."""
        chapters = {
            "approved": self._approved,
            "protected": self._protected,
            "captured": self._captured,
            "rejected": self._rejected,
            "approved again": self._approved_again,
            "outage": self._outage,
            "warmer": self._warmer,
            "shared": self._shared,
            "colder": self._colder,
            "newer": self._newer,
            "served by what stood": self._served_by_what_stood,
        }
        if chapter not in self.saved:
            chapters[chapter]()
            self.saved[chapter] = self.regions.save()
        self.regions.restore(self.saved[chapter])

    def _approved(self) -> None:
        self._publish_policy()
        self._upload()
        self._serve()
        client("sagemaker", ACTIVE).create_model_package_group(ModelPackageGroupName=MODEL.name)
        self.approve(self.register())

    def _protected(self) -> None:
        self.begin("approved")
        assert self.protect()

    def _captured(self) -> None:
        """How it is served is captured, after its count was changed."""
        self.begin("protected")
        wanted = [{"VariantName": "all", "DesiredInstanceCount": 3}]
        client("sagemaker", ACTIVE).update_endpoint_weights_and_capacities(
            EndpointName=MODEL.name, DesiredWeightsAndCapacities=wanted
        )
        assert self.capture_serving()

    def _rejected(self) -> None:
        self.begin("protected")
        self.approve(self.arn, "Rejected")

    def _approved_again(self) -> None:
        self.begin("rejected")
        self.protect()
        self.approve(self.arn)

    def _outage(self) -> None:
        """The active region is gone, and all rounds but the deciding one have seen it."""
        self.begin("protected")
        for _ in range(ROUNDS - 1):
            self.watch()

    def _warmer(self) -> None:
        """What is protected has become a warm standby in the policy, and nothing stands yet."""
        self.begin("captured")
        self._publish_policy("warm-standby")

    def _shared(self) -> None:
        """Both regions are to answer what is protected: an endpoint stands, and nobody is sent to it yet."""
        self.begin("captured")
        self._publish_policy("active-active\n    active_active: {by: weight, weight: 50}")
        assert self.converge()
        self.regions.pass_time()

    def _colder(self) -> None:
        """An endpoint stands, and the policy wants none any more."""
        self.begin("warmer")
        assert self.converge()
        self.regions.pass_time()
        self._publish_policy("cold-standby")

    def _newer(self) -> None:
        """An endpoint stands for the newest version, and one for the version before it still does."""
        self.begin("warmer")
        assert self.converge()
        self.regions.pass_time()
        self.approve(self.register())
        assert self.protect()
        assert self.converge()
        self.regions.pass_time()

    def _served_by_what_stood(self) -> None:
        """What stood has taken over, and the policy wants nothing to stand any more."""
        self.begin("colder")
        assert self.recover()
        self.regions.heal()

    def converge(self) -> bool:
        """Tell the standby that its tiers are due; whether the message was handled."""
        due = {"id": "due", "source": "mldr", "detail-type": "Tiers Due", "region": STANDBY, "detail": {}}
        return self.regions.deliver("converge_serving", due)

    def _publish_policy(self, tier: str = "cold-standby") -> None:
        for region, stack in self.regions.stacks.items():
            bucket, _, key = stack.outputs["PolicyLocation"].removeprefix("s3://").partition("/")
            client("s3", region).put_object(Bucket=bucket, Key=key, Body=f"{POLICY}    tier: {tier}\n".encode())

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

    def register(self) -> str:
        """Register a version, not yet approved; returns its ARN."""
        sagemaker = client("sagemaker", ACTIVE)
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

    def capture_serving(self) -> bool:
        """Deliver what SageMaker tells of the endpoint; whether it was taken."""
        told = {"EndpointName": MODEL.name, "EndpointStatus": "IN_SERVICE"}
        event = {
            "id": "endpoint-event",
            "source": "aws.sagemaker",
            "detail-type": "SageMaker Endpoint State Change",
            "region": ACTIVE,
            "time": "2026-03-01T12:00:00Z",
            "detail": told,
        }
        return self.regions.deliver("capture_serving", event)

    @staticmethod
    def captured() -> ServingState | None:
        """The newest captured state."""
        bucket = f"mldr-prod-vault-{ACCOUNT}-{STANDBY}"
        vault = S3Vault(client("s3", STANDBY), bucket=bucket, key_arn="")
        return VaultServingCaptures(vault, client("dynamodb", STANDBY), table="mldr-prod-catalog").newest(MODEL)

    def watch(self, *, retried: bool = True) -> bool:
        """One round of watching an outage, and whatever failover it requests; whether one succeeded."""
        self._lose_the_active_region()
        self.regions.ahead += dt.timedelta(seconds=PAUSE)
        self.regions.schedule("watch", {"round": 0, "rounds": 1, "pause": PAUSE})
        self.regions.walk("watch", retried=retried)
        for number, put in enumerate(self.requests()):
            arrived = {**self.request(), "id": f"event-{number}", "detail": json.loads(put["Detail"])}
            self.regions.deliver("start_failover", arrived)
        return any(one.status == "SUCCEEDED" for one in self.regions.walk("failover"))

    def requests(self) -> list[dict[str, Any]]:
        """Every `Failover Requested` that a function has put on the bus."""
        return [put for put in self.regions.wire.puts if put["DetailType"] == "Failover Requested"]

    def request(self, failover_id: str = "exercise-1", **more: Any) -> dict[str, Any]:
        """A `Failover Requested` as it arrives, just now: an old one is refused."""
        detail = {"model": str(MODEL), "reason": "exercise", "requested_by": "test", "failover_id": failover_id, **more}
        return {
            "id": f"event-{failover_id}",
            "source": "mldr",
            "detail-type": "Failover Requested",
            "time": (dt.datetime.now(dt.UTC) + self.regions.ahead).isoformat(),
            "region": STANDBY,
            "detail": detail,
        }

    def recover(self, *, retried: bool = True) -> bool:
        """The active region dies, the failover is requested; whether it succeeded."""
        self._lose_the_active_region()
        self.regions.deliver("start_failover", self.request())
        return any(one.status == "SUCCEEDED" for one in self.regions.walk("failover", retried=retried))

    def _lose_the_active_region(self) -> None:
        self.regions.fail_active(after=0)
        self.regions.checkers.pass_time()
