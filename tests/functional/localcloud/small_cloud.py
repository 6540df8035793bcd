"""A moto server with the parts under test around it: functions, queues, buses, schedules, state machines."""

import io
import json
import re
import textwrap
import time
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from moto.core.models import botocore_stubber
from moto.moto_api._internal.models import moto_api_backend

from localcloud.buses import EventRouter
from localcloud.clock import Clock
from localcloud.lambda_runtime import LambdaRuntime
from localcloud.moto_repairs.stepfunctions import StateMachines
from localcloud.outage import Outage
from localcloud.queues import EventSources
from localcloud.schedules import Schedules
from localcloud.server import Server, moto_application

ACCOUNT = "123456789012"
HERE, THERE = "ap-southeast-3", "ap-southeast-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"
SIGNED_FOR = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/")


def wait_until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What the condition returns once it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


def archive(files: dict[str, str]) -> bytes:
    """A deployment package."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as target:
        for name, text in files.items():
            target.writestr(name, textwrap.dedent(text))
    return packed.getvalue()


class SmallCloud:
    """Everything of these parts that a test needs, started and stopped as one."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.outage = Outage()
        self._clients: dict[tuple[str, str], Any] = {}
        self.clock = Clock()
        self.server = Server(self._refusing(moto_application()), 0)
        overrides = {"AWS_ENDPOINT_URL": self.server.url, "DNS_RESOLVER": "127.0.0.1:53"}
        self.runtime = LambdaRuntime(ACCOUNT, self.outage, state, overrides)
        self.router = EventRouter(ACCOUNT, self.outage, self.clock, self.runtime)
        self.queues = EventSources(ACCOUNT, self.outage, self.clock, self.runtime)
        self.schedules = Schedules(ACCOUNT, self.outage, self.clock, self.router)
        self.machines = StateMachines(ACCOUNT, self.server.url, self.outage, self.router)
        self._parts: list[Any] = [
            self.server, self.runtime, self.router, self.queues, self.schedules, self.machines,
        ]  # fmt: skip

    def start(self) -> None:
        """Begin with an empty account."""
        moto_api_backend.reset()
        botocore_stubber.enabled = False
        for part in self._parts:
            part.start()
        trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "*"}}]}
        self.client("iam").create_role(RoleName="any", AssumeRolePolicyDocument=json.dumps(trust))

    def stop(self) -> None:
        """Stop every part."""
        for part in reversed(self._parts):
            part.stop()

    def client(self, service: str, region: str = HERE) -> Any:
        """A boto3 client."""
        if (service, region) not in self._clients:
            self._clients[service, region] = self._client(service, region)
        return self._clients[service, region]

    def _client(self, service: str, region: str) -> Any:
        return boto3.client(
            service, region_name=region, endpoint_url=self.server.url,
            aws_access_key_id="person", aws_secret_access_key="x", config=Config(retries={"max_attempts": 0}),
        )  # fmt: skip

    def function(self, name: str, code: str, region: str = HERE, **settings: Any) -> str:
        """Deploy a function whose module is app; its ARN."""
        reserved = settings.pop("reserved", None)
        environment = {"Variables": settings.pop("environment", {})}
        client = self.client("lambda", region)
        arn: str = client.create_function(
            FunctionName=name, Runtime="python3.13", Role=ROLE, Handler="app.handler", Environment=environment,
            Code={"ZipFile": archive({"app.py": code})}, **{"Timeout": 10, **settings},
        )["FunctionArn"]  # fmt: skip
        if reserved is not None:
            client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
        return arn

    def queue(self, name: str, region: str = HERE, **attributes: str) -> tuple[str, str]:
        """Create a queue; its URL and ARN."""
        url = self.client("sqs", region).create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, f"arn:aws:sqs:{region}:{ACCOUNT}:{name}"

    def bodies(self, url: str, region: str = HERE) -> list[Any]:
        """Take every message that is in the queue now."""
        return [json.loads(message["Body"]) for message in self.messages(url, region)]

    def messages(self, url: str, region: str = HERE) -> list[dict[str, Any]]:
        """Take the messages themselves, with their attributes."""
        client = self.client("sqs", region)
        answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        taken: list[dict[str, Any]] = answer.get("Messages", [])
        for message in taken:
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return taken

    def rule(self, target: dict[str, Any], region: str = HERE, bus: str = "default", **rule: Any) -> str:
        """Put a rule with one target; the rule's ARN."""
        client, name = self.client("events", region), f"rule-{uuid.uuid4().hex[:8]}"
        arn: str = client.put_rule(Name=name, EventBusName=bus, **rule)["RuleArn"]
        client.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "one", **target}])
        return arn

    def _refusing(self, app: Any) -> Any:
        def refuse_failed_regions(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            signed = SIGNED_FOR.search(environ.get("HTTP_AUTHORIZATION", ""))
            if signed and self.outage.failed(signed.group(1)):
                start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
                return [b"region failed"]
            found: Iterable[bytes] = app(environ, start_response)
            return found

        return refuse_failed_regions


@contextmanager
def small_cloud(state: Path) -> Iterator[SmallCloud]:
    """A cloud for one test or one module of them."""
    cloud = SmallCloud(state)
    cloud.start()
    try:
        yield cloud
    finally:
        cloud.stop()
