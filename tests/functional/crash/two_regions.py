"""Two regions in this process: the real template in moto, its functions called, its state machines walked."""

from __future__ import annotations

import copy
import datetime as dt
import importlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import boto3
import moto.s3.models
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from moto import mock_aws
from moto.backends import get_backend
from moto.stepfunctions.models import Execution, StateMachine, stepfunctions_backends

import localcloud.moto_repairs.s3_multiparts
import localcloud.moto_repairs.s3_part_copies
import mldr.aws.copier
import mldr.aws.outside
import mldr.steps.know_leader
import mldr.steps.plan_transfer
import mldr.steps.watch_models
import mldr.wiring.clients
from localcloud.deploy.maker import Place
from localcloud.deploy.package import package
from localcloud.deploy.parameters import resolve
from localcloud.deploy.stack import Stack, create
from localcloud.deploy.translate import load, translate
from localcloud.edge.addresses import ACCOUNT
from localcloud.moto_repairs.apigatewayv2 import DomainNameRepairs
from localcloud.moto_repairs.route53 import Route53Repairs
from localcloud.moto_repairs.s3 import S3Repairs
from localcloud.moto_repairs.s3_batch_operations import BatchOperations
from localcloud.moto_repairs.sagemaker import SageMakerRepairs
from localcloud.moto_repairs.sagemaker_endpoints import SageMakerEndpointRepairs
from localcloud.moto_repairs.sagemaker_serving import SageMakerServingRepairs
from localcloud.patches import Patches
from localcloud.server import Server, moto_application
from mldr import telemetry, wiring
from mldr.aws.clock import SystemClock
from mldr.domain.pace import Pace
from mldr.domain.transfers import CopyLimits
from mldr.errors import MldrError
from tests.asl_walker import Ended, Services, TaskError, Walker
from tests.functional.crash.network import Checkers, Containers, Network
from tests.functional.crash.wire import Call, Died, Wire

ACTIVE, STANDBY = "ap-southeast-1", "ap-southeast-3"
ROOT = Path(__file__).resolve().parents[3]
# Delivery (rules, queues) and permissions have tests of their own, in tests/functional/localcloud and tests/e2e.
NOT_HERE = {
    "AWS::SQS::QueuePolicy",
    "AWS::CloudWatch::Alarm",
    "AWS::Events::Rule",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Permission",
}
KEPT = ("s3", "dynamodb", "sagemaker", "route53", "stepfunctions", "events", "sns")
SMALL = CopyLimits(single_copy=600, part=256)  # bytes: the artifact is copied in parts
NO_CODE = b"PK\x05\x06" + bytes(18)
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": STANDBY}


class TwoRegions:
    """Both stacks, and what stands in for the network and the containers."""

    def __init__(self) -> None:
        self.wire, self.containers = Wire(), Containers()
        self.checkers = Checkers(self.gateway)
        self.network = Network(self.wire, self.checkers, self.gateway, (ACTIVE, STANDBY))
        self.promotions: list[dict[str, Any]] = []
        self.done: list[str] = []
        self.down: set[str] = set()
        self.ahead = dt.timedelta(0)  # of this machine's clock; never put back, as no clock is
        self.stacks: dict[str, Stack] = {}
        self._environments: dict[tuple[str, str], dict[str, str]] = {}
        self._registry = SageMakerRepairs(ACCOUNT, lambda _, event: self.promotions.append(event))
        self._dns = Route53Repairs(lambda _: [])
        self._patches = Patches()
        self._saved: dict[str, Any] = {}

    # the two regions themselves

    def start(self) -> None:
        """Deploy the template twice."""
        self._repair()
        self._replace()
        for region, peer in ((ACTIVE, STANDBY), (STANDBY, ACTIVE)):
            self.stacks[region] = _deploy(region, peer)
            self._environments |= _environments(region)
        self.wire.install()

    def _repair(self) -> None:
        s3, names = S3Repairs(ACCOUNT), DomainNameRepairs()
        endpoints: Any = self.containers
        sagemaker = [self._registry, SageMakerServingRepairs(), SageMakerEndpointRepairs(endpoints)]
        jobs = BatchOperations(ACCOUNT, lambda *_: None)
        self.repairs = [s3, jobs, names, *sagemaker, self._dns]
        for repair in self.repairs:
            repair.start()

    def _replace(self) -> None:
        """One thread (calls in one order), shared clients, small parts, and our network: no product logic."""
        for module in (mldr.steps.plan_transfer, mldr.steps.watch_models):
            self._patches.replace(module, "THREADS", 1)
        # A gateway asks its peer in a thread: were it left behind, two functions would share one environment.
        self._patches.replace(mldr.steps.know_leader, "PATIENCE", None)
        self._patches.replace(Pace, "allowed", 1)
        self._patches.replace(Pace, "delay", lambda *_: 0.0)
        self._patches.replace(moto.s3.models, "S3_UPLOAD_PART_MIN_SIZE", 1)
        self._patches.replace(localcloud.moto_repairs.s3_multiparts, "SMALLEST_PART", 1)
        self._patches.replace(localcloud.moto_repairs.s3_part_copies, "WITHOUT_RANGE", 1)
        self._patches.replace(mldr.aws.copier, "CopyLimits", lambda: SMALL)
        self._patches.replace(mldr.aws.outside, "PublicNetwork", lambda **_: self.network)
        session = SimpleNamespace(create_client=client)
        sessions = SimpleNamespace(session=SimpleNamespace(get_session=lambda: session))
        self._patches.replace(mldr.wiring.clients, "botocore", sessions)
        self._patches.replace(SystemClock, "now", lambda _: dt.datetime.now(dt.UTC) + self.ahead)
        telemetry.logger.setLevel("CRITICAL")

    def stop(self) -> None:
        """Put everything back."""
        self.wire.remove()
        self._patches.undo()
        for repair in reversed(self.repairs):
            repair.stop()
        telemetry.logger.setLevel("INFO")

    def save(self) -> Any:
        """Remember the whole state."""
        return copy.deepcopy((self._state(), self._memory()))

    def restore(self, saved: Any) -> None:
        """Return to a remembered state; a new case begins."""
        kept, memory = copy.deepcopy(saved)
        for place, backend in _backends().items():
            backend.__dict__.clear()
            backend.__dict__.update(kept[place])
            for topic in getattr(backend, "topics", {}).values():
                topic.sns_backend = backend  # the copy of a topic has an empty backend of its own
        (self.checkers.learned, self.promotions, *rest) = memory
        self._registry._tokens, self._registry._last_version, self._dns._created = rest
        self.done, self.down = [], set()
        self.wire.clear()

    def _state(self) -> dict[tuple[str, str], Any]:
        return {place: backend.__dict__ for place, backend in _backends().items()}

    def _memory(self) -> list[Any]:
        registry = self._registry
        return [
            self.checkers.learned, self.promotions, registry._tokens, registry._last_version, self._dns._created
        ]  # fmt: skip

    def forget_tokens(self) -> None:
        """SageMaker keeps a ClientToken for a while only."""
        self._registry._tokens.clear()

    def pass_time(self, seconds: float = 1) -> None:
        """Checkers look, containers come up."""
        self.checkers.pass_time()
        self.containers.pass_time([get_backend("sagemaker")[ACCOUNT][region] for region in (ACTIVE, STANDBY)])

    # functions

    def call(self, name: str, event: Any, region: str = STANDBY) -> Any:
        """Run one function in a process of its own, with the environment that the template gives it."""
        handler = importlib.import_module(f"functions.{name}.app").handler
        context = SimpleNamespace(
            function_name=name,
            memory_limit_in_mb=256,
            invoked_function_arn=f"arn:{name}",
            aws_request_id="request",
            get_remaining_time_in_millis=lambda: 900_000,
        )
        environment = {**self._environments[region, name], "AWS_REGION": region}
        with mock.patch.dict(os.environ, environment):
            wiring.world.cache_clear()
            answer = handler(event, context)
        self.done.append(name)
        return answer

    def counted(self, name: str, event: Any) -> Any:
        """Run one function with its calls on the wire."""
        self.wire.open(name)
        try:
            answer = self.call(name, event)
            if self.wire.dead:
                raise Died
            return answer
        finally:
            self.wire.close()
            wiring.world.cache_clear()

    def gateway(self, region: str, path: str) -> tuple[int, str]:
        """The status and the body with which a region's gateway answers a GET."""
        if region in self.down:
            return 503, ""
        caller, self.wire.door = self.wire.door, ""
        http = {"method": "GET", "path": path, "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1", "userAgent": "test"}
        request = {"version": "2.0", "rawPath": path, "headers": {}, "isBase64Encoded": False}
        event = {**request, "routeKey": "$default", "requestContext": {"http": http, "stage": "$default"}}
        try:
            answer = self.call("predict_gateway", event, region)
            return int(answer["statusCode"]), str(answer["body"])
        finally:
            self.wire.door = caller
            wiring.world.cache_clear()

    def deliver(self, name: str, event: dict[str, Any]) -> bool:
        """Hand one SQS message to a function; whether it was taken. Dying is not taking."""
        body = {"messageId": event["id"], "body": json.dumps(event, default=str), "eventSource": "aws:sqs"}
        record = {**body, "receiptHandle": "r", "attributes": {}, "messageAttributes": {}, "awsRegion": STANDBY}
        try:
            answer = self.counted(name, {"Records": [record]})
        except (Died, BatchProcessingError):
            return False
        return not answer["batchItemFailures"]

    # state machines

    def executions(self, machine: str) -> list[Execution]:
        """Every execution of a state machine of the standby."""
        return _machine(machine).executions

    def schedule(self, machine: str, payload: Any) -> None:
        """Start an execution as a schedule does."""
        arn = _machine(machine).arn
        client("stepfunctions").start_execution(stateMachineArn=arn, input=json.dumps(payload))

    def walk(self, machine: str, *, retried: bool = True) -> list[Ended]:
        """Run whatever was started to its end. A death is a failed task, or else it takes the execution along."""
        started = [execution for execution in self.executions(machine) if execution.status == "RUNNING"]
        return [self._walk(machine, execution, retried) for execution in started]

    def _walk(self, machine: str, execution: Execution, retried: bool) -> Ended:
        definition = json.loads(_machine(machine).definition)
        walker = Walker(definition, Services(lambda arn, given: self._task(arn, given, retried), _read, self.pass_time))
        try:
            ended = walker.run(json.loads(execution.execution_input))
        except Died:
            ended = Ended("ABORTED")
        execution.status, execution.error, execution.cause = ended.status, ended.error or None, ended.cause or None
        return ended

    def _task(self, arn: str, payload: Any, retried: bool) -> Any:
        try:
            return json.loads(json.dumps(self.counted(door(arn), payload)))
        except MldrError as error:
            name = type(error).__name__
            raise TaskError(name, json.dumps({"errorType": name, "errorMessage": str(error)})) from error
        except Died:
            if not retried:
                raise
            # What Lambda reports of a process that exits: facts of localcloud.lambda_worker, and of AWS.
            raise TaskError("Runtime.ExitError", json.dumps({"errorMessage": "Runtime exited"})) from None

    # an outage

    def fail_active(self, after: int) -> None:
        """From this call on the active region answers nothing, also as the source of a copy."""
        self.down = {ACTIVE}
        self.wire.refuses = lambda call, region, given: call.number >= after and _needs_active(call, region, given)

    def heal(self) -> None:
        """The active region answers again."""
        self.down, self.wire.refuses = set(), None


def _machine(name: str) -> StateMachine:
    machines = stepfunctions_backends[ACCOUNT][STANDBY].state_machines
    return next(one for one in machines if one.name == f"mldr-prod-{name}")


def _needs_active(call: Call, region: str, given: dict[str, Any]) -> bool:
    return region == ACTIVE or "CopySource" in given


@cache
def endpoint() -> str:
    """A port that leads to the same S3: what speaks HTTP itself cannot be met in this process."""
    server = Server(moto_application(), 0)
    server.start()
    return server.url


@cache
def client(service: str, region_name: str = STANDBY, **_: Any) -> Any:
    """A client of AWS, made once: it holds no state."""
    place = {"endpoint_url": endpoint()} if service == "s3" else {}
    return boto3.client(service, region_name=region_name, **place)  # type: ignore[call-overload]


def _environments(region: str) -> dict[tuple[str, str], dict[str, str]]:
    """What the template gives each function."""
    found = client("lambda", region).get_paginator("list_functions").paginate()
    functions = [one for page in found for one in page["Functions"]]
    return {(region, door(one["FunctionName"])): one["Environment"]["Variables"] for one in functions}


def door(function: str) -> str:
    """The folder of a function, by its name or ARN."""
    return function.rpartition("mldr-prod-")[2].replace("-", "_")


def _read(bucket: str, key: str) -> bytes:
    return bytes(client("s3", STANDBY).get_object(Bucket=bucket, Key=key)["Body"].read())


def _backends() -> dict[tuple[str, str], Any]:
    return {
        (service, region): backend
        for service in KEPT
        for region, backend in get_backend(service)[ACCOUNT].items()
        if region in ("aws", ACTIVE, STANDBY)
    }


def _deploy(region: str, peer: str) -> Stack:
    template = load(ROOT / "template.yaml")
    values = resolve(template["Parameters"], {"PeerRegion": peer, "DnsOwner": ACTIVE})
    nowhere: Any = None
    place = Place(nowhere, region, ACCOUNT, "mldr-prod")
    code = {"Bucket": "code", "Key": "empty.zip"}
    if region == ACTIVE:
        client("s3", "us-east-1").create_bucket(Bucket="code")
        client("s3", "us-east-1").put_object(**code, Body=NO_CODE)
    package(template, ROOT, lambda *_: code)
    translated = translate(template, values, region)
    wanted = {name: one for name, one in translated["Resources"].items() if one["Type"] not in NOT_HERE}
    return create({**translated, "Resources": wanted}, values, place)


@contextmanager
def two_regions() -> Iterator[TwoRegions]:
    """Both regions, deployed and empty."""
    settings: Any = {"iam": {"load_aws_managed_policies": True}, "lambda": {"use_docker": False}}
    with mock.patch.dict(os.environ, CREDENTIALS), mock_aws(config=settings):
        regions = TwoRegions()
        try:
            regions.start()
            yield regions
        finally:
            regions.stop()
