"""What the owner of models does in the active region: upload, register, serve, record golden inferences, approve."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import boto3

from cli.demo.scene import ACTIVE, BUCKET, IMAGE, POLICY
from cli.demo.train import Trained
from cli.outcomes import Ended, Exit
from mldr.domain.identity import ModelKey
from mldr.domain.policy import ModelPolicy, Policy

ROLE = "digits-serving"
PATIENCE = 60.0  # seconds for the endpoint to come into service
READS_ITS_BUCKET = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": [
        f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*",
    ]}],
}  # fmt: skip
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}


def _client(service: Any) -> Any:
    return boto3.client(service, region_name=ACTIVE)


def prepare() -> str:
    """Make a versioned bucket in the active region, and a role that may read it; returns the role's ARN."""
    s3, iam = _client("s3"), _client("iam")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": ACTIVE})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName=ROLE, PolicyName="read", PolicyDocument=json.dumps(READS_ITS_BUCKET))
    return str(role["Role"]["Arn"])


def upload(model: ModelKey, trained: Trained) -> None:
    """Put the model's files and its metrics into the bucket."""
    s3 = _client("s3")
    for name, content in trained.files.items():
        s3.put_object(Bucket=BUCKET, Key=f"{_folder(model)}/model/{name}", Body=content)
    metrics = {"multiclass_classification_metrics": {"accuracy": {"value": trained.accuracy}}}
    s3.put_object(Bucket=BUCKET, Key=f"{_folder(model)}/metrics.json", Body=json.dumps(metrics).encode())


def _folder(model: ModelKey) -> str:
    return f"{model.name}/v1"


def register(model: ModelKey, trained: Trained) -> str:
    """Register the version, not yet approved; returns its ARN."""
    sagemaker = _client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName=model.name)
    package = sagemaker.create_model_package(
        ModelPackageGroupName=model.name,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [_container(model)],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        ModelMetrics={
            "ModelQuality": {
                "Statistics": {
                    "ContentType": "application/json",
                    "S3Uri": f"s3://{BUCKET}/{_folder(model)}/metrics.json",
                }
            }
        },
        CustomerMetadataProperties={"accuracy": f"{trained.accuracy:.4f}"},
    )
    return str(package["ModelPackageArn"])


def _container(model: ModelKey) -> dict[str, Any]:
    return {
        "Image": IMAGE,
        "ModelDataSource": {
            "S3DataSource": {
                "S3Uri": f"s3://{BUCKET}/{_folder(model)}/model/",
                "S3DataType": "S3Prefix",
                "CompressionType": "None",
            }
        },
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
    }


def serve(models: Sequence[ModelKey], role: str) -> None:
    """Serve models as anybody would, with no knowledge of mldr; returns when all their endpoints answer."""
    sagemaker = _client("sagemaker")
    for model in models:
        name = model.name
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=_container(model))
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    deadline = time.monotonic() + PATIENCE
    for model in models:
        _in_service(sagemaker, model.name, deadline)


def _in_service(sagemaker: Any, name: str, deadline: float) -> None:
    while (found := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] != "InService":
        if found["EndpointStatus"] == "Failed" or time.monotonic() > deadline:
            why = found.get("FailureReason", f"it is {found['EndpointStatus']}")
            raise Ended(Exit.DOES_NOT_HOLD, f"the endpoint {name} in {ACTIVE} did not come into service: {why}")
        time.sleep(0.2)


def record_golden(model: ModelKey, trained: Trained) -> list[dict[str, Any]]:
    """Ask the live endpoint, and keep its answers where the policy says; returns requests and answers."""
    runtime = _client("sagemaker-runtime")
    golden = []
    for pixels in trained.samples:
        request = {"pixels": list(pixels)}
        asked = runtime.invoke_endpoint(
            EndpointName=model.name, Body=json.dumps(request).encode(), ContentType="application/json"
        )
        golden.append({"request": request, "answer": json.loads(asked["Body"].read()), "tolerance": 1e-6})
    bucket, _, key = _golden_uri(model).removeprefix("s3://").partition("/")
    lines = "".join(json.dumps(one) + "\n" for one in golden)
    _client("s3").put_object(Bucket=bucket, Key=key, Body=lines.encode())
    return golden


def owed(model: ModelKey) -> ModelPolicy:
    """Return what the policy of the demo says about a model."""
    return Policy.parse(POLICY.read_text(encoding="utf-8")).for_model(model.registry, model.name, {})


def _golden_uri(model: ModelKey) -> str:
    rule = owed(model).golden
    if rule is None:
        raise Ended(Exit.BAD_INPUT, f"{POLICY} names no golden inferences for {model}")
    return rule.uri


def approve(arn: str) -> None:
    """Say that this version is in production: the one thing that mldr waits for."""
    _client("sagemaker").update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
