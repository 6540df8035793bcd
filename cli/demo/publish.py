"""What the owner of a model does in the active region: upload, register, serve, record golden inferences, approve."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3

from cli.demo.scene import ACTIVE, BUCKET, FOLDER, IMAGE, MODEL, POLICY
from cli.demo.train import Trained
from cli.outcomes import Ended, Exit
from mldr.domain.policy import Policy

ROLE = "digits-classifier-serving"
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


def upload(trained: Trained) -> None:
    """Put the model's files and its metrics into a versioned bucket of the active region."""
    s3 = _client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": ACTIVE})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for name, content in trained.files.items():
        s3.put_object(Bucket=BUCKET, Key=f"{FOLDER}/model/{name}", Body=content)
    metrics = {"multiclass_classification_metrics": {"accuracy": {"value": trained.accuracy}}}
    s3.put_object(Bucket=BUCKET, Key=f"{FOLDER}/metrics.json", Body=json.dumps(metrics).encode())


def register(trained: Trained) -> str:
    """Register the version, not yet approved; returns its ARN."""
    sagemaker = _client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName=MODEL.name)
    package = sagemaker.create_model_package(
        ModelPackageGroupName=MODEL.name,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [_container()],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        ModelMetrics={
            "ModelQuality": {
                "Statistics": {"ContentType": "application/json", "S3Uri": f"s3://{BUCKET}/{FOLDER}/metrics.json"}
            }
        },
        CustomerMetadataProperties={"accuracy": f"{trained.accuracy:.4f}"},
    )
    return str(package["ModelPackageArn"])


def _container() -> dict[str, Any]:
    return {
        "Image": IMAGE,
        "ModelDataSource": {
            "S3DataSource": {
                "S3Uri": f"s3://{BUCKET}/{FOLDER}/model/",
                "S3DataType": "S3Prefix",
                "CompressionType": "None",
            }
        },
        "Environment": {"SAGEMAKER_PROGRAM": "inference.py"},
    }


def serve() -> None:
    """Serve the model as anybody would, with no knowledge of mldr; returns when the endpoint answers."""
    sagemaker, name = _client("sagemaker"), MODEL.name
    role = _role()
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=_container())
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    deadline = time.monotonic() + PATIENCE
    while (found := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] != "InService":
        if found["EndpointStatus"] == "Failed" or time.monotonic() > deadline:
            why = found.get("FailureReason", f"it is {found['EndpointStatus']}")
            raise Ended(Exit.DOES_NOT_HOLD, f"the endpoint in {ACTIVE} did not come into service: {why}")
        time.sleep(0.2)


def _role() -> str:
    iam = _client("iam")
    role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName=ROLE, PolicyName="read", PolicyDocument=json.dumps(READS_ITS_BUCKET))
    return str(role["Role"]["Arn"])


def record_golden(trained: Trained) -> list[dict[str, Any]]:
    """Ask the live endpoint, and keep its answers where the policy says; returns requests and answers."""
    runtime = _client("sagemaker-runtime")
    golden = []
    for pixels in trained.samples:
        request = {"pixels": list(pixels)}
        asked = runtime.invoke_endpoint(
            EndpointName=MODEL.name, Body=json.dumps(request).encode(), ContentType="application/json"
        )
        golden.append({"request": request, "answer": json.loads(asked["Body"].read()), "tolerance": 1e-6})
    bucket, _, key = _golden_uri().removeprefix("s3://").partition("/")
    lines = "".join(json.dumps(one) + "\n" for one in golden)
    _client("s3").put_object(Bucket=bucket, Key=key, Body=lines.encode())
    return golden


def _golden_uri() -> str:
    rule = Policy.parse(POLICY.read_text(encoding="utf-8")).for_model(MODEL.registry, MODEL.name, {}).golden
    if rule is None:
        raise Ended(Exit.BAD_INPUT, f"{POLICY} names no golden inferences for {MODEL}")
    return rule.uri


def approve(arn: str) -> None:
    """Say that this version is in production: the one thing that mldr waits for."""
    _client("sagemaker").update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
