"""moto in this process, with the local cloud's repairs: for suites that run on the fake and on the real adapter.

A suite that names its SERVICE ("s3", "dynamodb") and stands on `cloud` or `backend` runs on real servers, too, once
--servers names them; a test that says `needs("feature")` is skipped by name on a server that lacks it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws
from moto.s3.models import s3_backends

from localcloud.moto_repairs.dynamodb import DynamoDBRepairs
from localcloud.moto_repairs.route53 import Route53Repairs
from localcloud.moto_repairs.s3 import S3Repairs
from localcloud.moto_repairs.sagemaker import SageMakerRepairs
from localcloud.moto_repairs.sagemaker_serving import SageMakerServingRepairs
from localcloud.moto_repairs.scaling_alarms import ScalingAlarmRepairs
from localcloud.server import Server, moto_application
from tests.real import servers
from tests.real.servers import Account

ACTIVE, STANDBY = "ap-southeast-1", "ap-southeast-3"
ACCOUNT = "123456789012"


@cache
def endpoint() -> str:
    """A port that leads to the same state: what speaks HTTP itself cannot be met in this process."""
    server = Server(moto_application(), 0)
    server.start()
    return server.url


@cache
def client(service: str, region: str) -> Any:
    """A client without retries; making one takes longer than most tests."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        region_name=region,
        endpoint_url=endpoint() if service == "s3" else None,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )


class Moto(Account):
    """One empty account in this process."""

    name = "moto"

    def client(self, service: str, region: str = STANDBY) -> Any:
        """A client of a region."""
        return client(service, region)

    def key(self) -> str:
        """A KMS key of the standby."""
        return str(self.client("kms").create_key()["KeyMetadata"]["Arn"])

    def put_without_checksum(self, bucket: str, key: str, body: bytes, **more: Any) -> str:
        """Store an object as S3 keeps one that was uploaded before it computed checksums."""
        version = self.client("s3", ACTIVE).put_object(Bucket=bucket, Key=key, Body=body, **more)["VersionId"]
        held = s3_backends[ACCOUNT]["aws"].get_object(bucket, key)
        held.checksum_algorithm = held.checksum_value = None
        return str(version)


@pytest.fixture
def moto():
    repairs = [
        S3Repairs(ACCOUNT),
        DynamoDBRepairs(),
        SageMakerRepairs(ACCOUNT, lambda region, event: None),
        SageMakerServingRepairs(),
        ScalingAlarmRepairs(),
        Route53Repairs(lambda _: []),
    ]
    for repair in repairs:
        repair.start()
    try:
        with mock_aws():
            yield Moto()
    finally:
        for repair in reversed(repairs):
            repair.stop()


@pytest.fixture
def cloud(request):
    """An empty account: on moto, or on the real server that the test runs on."""
    return servers.account(request, request.param)


@pytest.fixture
def backend(request):
    """The same, or None for the fake in memory."""
    return None if request.param == "memory" else servers.account(request, request.param)


def pytest_generate_tests(metafunc):
    servers.parametrise(metafunc, getattr(metafunc.module, "SERVICE", None))
