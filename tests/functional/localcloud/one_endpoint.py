"""The endpoint alone: moto behind the gate, with the S3 and registry repairs, and nothing that runs functions."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from moto.moto_api._internal.models import moto_api_backend

from localcloud.calls import Call, CallLog
from localcloud.gate import Gate
from localcloud.moto_repairs.s3 import S3Repairs
from localcloud.moto_repairs.sagemaker import SageMakerRepairs
from localcloud.outage import Outage
from localcloud.permissions import Permissions
from localcloud.server import Server, moto_application

ACCOUNT = "123456789012"
ACTIVE, STANDBY = "ap-southeast-1", "ap-southeast-3"
SESSION = boto3.Session()
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


class OneEndpoint:
    """What a test may touch."""

    def __init__(self) -> None:
        self.outage, self.log = Outage(), CallLog()
        self.permissions = Permissions(ACCOUNT)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.server = Server(Gate(moto_application(), {}, self.outage, self.permissions, self.log, ACCOUNT), 0)
        self.repairs: list[S3Repairs | SageMakerRepairs] = [
            S3Repairs(ACCOUNT),
            SageMakerRepairs(ACCOUNT, lambda *event: self.events.append(event)),
        ]

    def client(self, service: str, region: str = STANDBY, key: str = "person", **config: Any) -> Any:
        """A boto3 client that never retries."""
        settings = Config(retries={"total_max_attempts": 1}, **config)
        return SESSION.client(  # type: ignore[call-overload]
            service,
            region_name=region,
            endpoint_url=self.server.url,
            aws_access_key_id=key,
            aws_secret_access_key="x",
            config=settings,
        )

    def bucket(self, name: str, region: str = STANDBY, *, locked: bool = False) -> str:
        """A versioned bucket."""
        s3 = self.client("s3", region)
        place = {"LocationConstraint": region}
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=place, ObjectLockEnabledForBucket=locked)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def function(self, name: str, statements: list[Mapping[str, Any]], region: str = STANDBY) -> str:
        """A function whose role has these statements; returns the role's name."""
        iam = self.client("iam")
        arn = iam.create_role(RoleName=f"{name}-role", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_role_policy(RoleName=f"{name}-role", PolicyName="own", PolicyDocument=policy)
        code = {"ZipFile": b"PK\x05\x06" + bytes(18)}
        self.client("lambda", region).create_function(
            FunctionName=name, Role=arn, Code=code, Handler="app.handler", Runtime="python3.13"
        )
        return f"{name}-role"

    def last_call(self) -> Call:
        """The newest line of the log."""
        return self.log.since(0)[-1]


@contextmanager
def one_endpoint() -> Iterator[OneEndpoint]:
    """Started with an empty account, stopped afterwards."""
    moto_api_backend.reset()
    endpoint = OneEndpoint()
    for repair in endpoint.repairs:
        repair.start()
    endpoint.server.start()
    try:
        yield endpoint
    finally:
        endpoint.server.stop()
        for repair in reversed(endpoint.repairs):
            repair.stop()
