"""moto in this process, with the local cloud's repairs: for suites that run on the fake and on the real adapter."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from localcloud.moto_repairs.dynamodb import DynamoDBRepairs
from localcloud.moto_repairs.route53 import Route53Repairs
from localcloud.moto_repairs.s3 import S3Repairs
from localcloud.moto_repairs.sagemaker import SageMakerRepairs

ACTIVE, STANDBY = "ap-southeast-1", "ap-southeast-3"
ACCOUNT = "123456789012"


@cache
def client(service: str, region: str) -> Any:
    """A client without retries; making one takes longer than most tests."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        region_name=region,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )


class Moto:
    """One empty account."""

    def client(self, service: str, region: str = STANDBY) -> Any:
        """A client of a region."""
        return client(service, region)

    def bucket(self, name: str, region: str = STANDBY, *, locked: bool = False, versioned: bool = True) -> str:
        """A bucket."""
        s3 = self.client("s3", region)
        place: Any = {"LocationConstraint": region}
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=place, ObjectLockEnabledForBucket=locked)
        if versioned and not locked:
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name


@pytest.fixture
def moto():
    repairs = [
        S3Repairs(ACCOUNT),
        DynamoDBRepairs(),
        SageMakerRepairs(ACCOUNT, lambda region, event: None),
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
