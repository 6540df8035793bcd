"""Two regions in one process for the CLI's tests: real clients against moto, and what stands in each catalog."""

import datetime as dt
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from cli.main import app
from cli.regions import Place
from localcloud.server import Server, moto_application
from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import Origin, Phase, Record

ACTIVE, STANDBY = "ap-southeast-1", "ap-southeast-3"
MODEL = ModelKey(registry="sagemaker", name="churn")
NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)


@contextmanager
def aws() -> Iterator[None]:
    """An empty AWS in this process. What speaks to S3 without boto3 reaches it over HTTP."""
    with mock_aws(), mock.patch.dict(os.environ, {"AWS_ENDPOINT_URL_S3": _server()}):
        yield


@contextmanager
def two_stacks(patch: pytest.MonkeyPatch, folder: Path, columns: int = 200) -> Iterator[None]:
    """An operator in an empty folder, with a terminal so wide, and the stacks of two regions."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION", "MLDR_ENV", "DNS_RESOLVER", "GATEWAY_TRANSPORT"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    patch.setenv("MLDR_REGIONS", f"{ACTIVE},{STANDBY}")
    patch.setenv("COLUMNS", str(columns))
    patch.chdir(folder)
    with aws():
        make_stack(ACTIVE)
        make_stack(STANDBY)
        yield


@cache
def _server() -> str:
    server = Server(moto_application(), 0)
    server.start()
    return server.url


def run(*arguments: str) -> Result:
    """Run `mldr` as an operator would."""
    return CliRunner().invoke(app, list(arguments))


def make_stack(region: str) -> None:
    """Make the catalog and the bus of one region, and a queue in which one can see what came to the bus."""
    boto3.client("dynamodb", region_name=region).create_table(
        TableName="mldr-prod-catalog",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    events, sqs = boto3.client("events", region_name=region), boto3.client("sqs", region_name=region)
    events.create_event_bus(Name="mldr")
    queue = sqs.create_queue(QueueName="seen")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName="mldr", EventPattern=json.dumps({"source": ["mldr"]}))
    events.put_targets(Rule="all", EventBusName="mldr", Targets=[{"Id": "seen", "Arn": arn}])


def put_policy(region: str, rules: str = "") -> None:
    """Put a policy with these lines in force in a region."""
    s3: Any = boto3.client("s3", region_name=region)
    bucket = f"mldr-prod-config-{Place(region, 'prod').account}-{region}"
    if bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    text = f"version: 1\nregions: [{ACTIVE}, {STANDBY}]\n{rules}\n"
    s3.put_object(Bucket=bucket, Key="policy.yaml", Body=text.encode())


def told(region: str) -> list[dict[str, Any]]:
    """Return the events that came to the bus of a region."""
    sqs = boto3.client("sqs", region_name=region)
    url = sqs.get_queue_url(QueueName="seen")["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in messages]


def point(name: str = "v1-aaa", phase: Phase = Phase.SEALED, minutes: int = 0, **fields: Any) -> Record:
    """Return a recovery point of the model, promoted this long after noon."""
    promoted = NOON + dt.timedelta(minutes=minutes)
    sealed = {"sealed_at": promoted + dt.timedelta(seconds=42)} if phase is Phase.SEALED else {}
    arn = fields.pop("arn", f"arn:aws:sagemaker:{ACTIVE}:123456789012:model-package/churn/1")
    origin = Origin(region=ACTIVE, version="1", arn=arn, promoted_at=promoted)
    known = {"attempt": 1, "objects": 3, "bytes": 2048, **sealed, **fields}
    return Record(model=MODEL, recovery_point=name, phase=phase, origin=origin, started_at=promoted, **known)


def keep(*records: Record, region: str = STANDBY) -> None:
    """Write recovery points into the catalog of a region."""
    for record in records:
        Place(region, "prod").catalog.begin(record)


def register(region: str = ACTIVE, status: str = "Approved", metadata: dict[str, str] | None = None) -> str:
    """Register a version of the model; returns its ARN."""
    sagemaker = boto3.client("sagemaker", region_name=region)
    sagemaker.create_model_package_group(ModelPackageGroupName=MODEL.name)
    container = {
        "Image": f"121021644041.dkr.ecr.{region}.amazonaws.com/sk:1",
        "ModelDataUrl": "s3://models/churn.tar.gz",
    }
    return sagemaker.create_model_package(
        ModelPackageGroupName=MODEL.name,
        ModelApprovalStatus=status,
        CustomerMetadataProperties=metadata or {},
        InferenceSpecification={"Containers": [container], "SupportedContentTypes": ["text/csv"]},
    )["ModelPackageArn"]
