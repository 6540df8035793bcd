"""The local cloud of these tests: a process of its own, spoken to as its users do, over its ports alone."""

import contextlib
import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import dns.exception
import dns.resolver
from botocore.config import Config

from mldr.aws.catalog import DynamoCatalog
from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import Record

ROOT = Path(__file__).parents[2]
ACTIVE, STANDBY, GLOBAL = "ap-southeast-1", "ap-southeast-3", "us-east-1"
ACCOUNT = "123456789012"
RECONCILE_MINUTES = 600  # only when a test pushes the clock so far
TEAM_ROLE = f"arn:aws:iam::{ACCOUNT}:role/e2e-team"  # of models that keep their role; others run as the stack's
QUICK = {
    "FailureThreshold": 1, "RecordTtl": 1, "ProbeInterval": 2, "ProbeRounds": 25, "EndpointPollSeconds": 1,
    "ReconcileMinutes": RECONCILE_MINUTES, "SourceBuckets": "e2e-models", "GoldenBuckets": "e2e-models",
    "DatasetBuckets": "e2e-photos", "RestoreBuckets": "e2e-restored", "EventSettleSeconds": 1,
    "DigestJobBytes": 1, "DigestPollSeconds": 1, "ServingRoleArns": TEAM_ROLE, "AnswerPlaces": "e2e-answers",
}  # fmt: skip
START_WITHIN = 240.0  # seconds; a busy machine takes more than a minute for two regions


def wait_for(what: str, found: Callable[[], Any], seconds: float = 60.0, tell: Callable[[], str] = str) -> Any:
    """What `found` returns once it is true; a failure says what was waited for, and how things stand."""
    end = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}\n{tell()}"
        time.sleep(0.1)
    return answer


def key(name: str) -> ModelKey:
    """A model of SageMaker's registry."""
    return ModelKey(registry="sagemaker", name=name)


class LocalCloud:
    """`mldr local up` in the foreground of a child process."""

    def __init__(self, home: Path, policy: Path | None = None) -> None:
        self.home, self.policy = home, policy
        self.log = home / "local-cloud.log"
        self.lines: list[str] = []
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[str] | None = None

    def start(self, parameters: Mapping[str, object] = QUICK, *more: str) -> None:
        """Start it on free ports, with more options, and wait for `ready` and the environment to export."""
        self.home.mkdir(parents=True, exist_ok=True)
        ports = ["--port", "0", "--dns-port", "0", "--http-port", str(free_port())]
        places = ["--state", str(self.home / "state"), *(["--policy", str(self.policy)] if self.policy else [])]
        sets = [part for name, value in parameters.items() for part in ("--set", f"{name}={value}")]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", "local", "up", *ports, *places, *sets, *more], cwd=ROOT, text=True,
                stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                env={**outsiders_environment(), "PYTHONFAULTHANDLER": "1"},
            )  # fmt: skip
        self._wait_ready(self.process)

    def _wait_ready(self, process: subprocess.Popen[str]) -> None:
        said: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=lambda: [said.put(line.strip()) for line in process.stdout or ()], daemon=True).start()

        def exported() -> bool:
            while not said.empty():
                self.lines.append(said.get())
            assert process.poll() is None, f"it ended with {process.returncode}\n{self.story()}"
            return any(line.startswith("export GATEWAY_TRANSPORT=") for line in self.lines)

        wait_for("ready, and what to export", exported, START_WITHIN, self.story)
        exports = [line.removeprefix("export ") for line in self.lines if line.startswith("export ")]
        self.environment = dict(export.split("=", 1) for export in exports)

    def stop(self) -> None:
        """Press Ctrl-C."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    # its own doors

    def door(self, path: str, method: str = "GET") -> Any:
        """Ask one of the doors under /_local."""
        at = urlsplit(self.environment["AWS_ENDPOINT_URL"])
        connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=30)
        try:
            connection.request(method, f"/_local/{path}")
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        assert response.status == 200, f"{method} /_local/{path}: {response.status} {answer}"
        return answer

    def fail(self, *regions: str) -> None:
        """Take regions down."""
        for region in regions:
            self.door(f"fail/{region}", "POST")

    def heal(self, *regions: str) -> None:
        """Bring regions back."""
        for region in regions:
            self.door(f"heal/{region}", "POST")

    def calls(self, since: float = 0, until: float = float("inf")) -> list[dict[str, Any]]:
        """The API calls of a stretch of time."""
        return [call for call in self.door(f"calls?since={since}") if call["at"] <= until]

    def outputs(self, region: str) -> dict[str, str]:
        """The outputs of a region's stack."""
        found: dict[str, str] = self.door("outputs")[region]
        return found

    # AWS

    @cache  # noqa: B019 - one cloud lives as long as the session
    def aws(self, service: str, region: str = STANDBY) -> Any:
        """A plain boto3 client."""
        given = self.environment
        return boto3.client(
            service, region_name=region, endpoint_url=given["AWS_ENDPOINT_URL"],
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"], aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": 0}),
        )  # type: ignore[call-overload]  # fmt: skip

    @property
    def catalog(self) -> DynamoCatalog:
        """The standby's catalog."""
        return self.catalog_of(STANDBY)

    def catalog_of(self, region: str) -> DynamoCatalog:
        """A region's catalog."""
        return DynamoCatalog(self.aws("dynamodb", region), table=self.outputs(region)["CatalogTableName"])

    @property
    def vault(self) -> str:
        """The standby's vault."""
        return self.outputs(STANDBY)["VaultBucketName"]

    def tell(self, detail_type: str, *details: dict[str, Any], region: str = STANDBY) -> None:
        """Put events on a region's bus, as `aws events put-events` does."""
        bus = self.outputs(region)["BusName"]
        entries = [
            {"EventBusName": bus, "Source": "mldr", "DetailType": detail_type, "Detail": json.dumps(detail)}
            for detail in details
        ]
        assert self.aws("events", region).put_events(Entries=entries)["FailedEntryCount"] == 0

    def waiting(self, queue_name: str) -> tuple[int, int]:
        """How many messages a queue of the standby holds: visible, and being handled."""
        url = self.aws("sqs").get_queue_url(QueueName=queue_name)["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def settle(self) -> None:
        """Wait until every message was handled and every protection has ended."""
        machine = self.outputs(STANDBY)["ProtectStateMachineArn"]

        def busy() -> list[str]:
            running = self.aws("stepfunctions").list_executions(stateMachineArn=machine, statusFilter="RUNNING")
            queues = [name for name in ("capture", "serving") if self.waiting(f"mldr-prod-{name}") != (0, 0)]
            return queues + [one["name"] for one in running["executions"]]

        wait_for("nothing is being protected", lambda: not busy(), 90, lambda: f"busy: {busy()}\n{self.story()}")

    def put_policy(self, text: str) -> None:
        """Edit the policy in both regions; it is in force within a minute."""
        for region in (ACTIVE, STANDBY):
            bucket = f"mldr-prod-config-{ACCOUNT}-{region}"
            self.aws("s3", region).put_object(Bucket=bucket, Key="policy.yaml", Body=text.encode())

    # clients of a model

    def resolver(self) -> dns.resolver.Resolver:
        """A resolver that asks the local name server and keeps nothing."""
        host, _, port = self.environment["DNS_RESOLVER"].partition(":")
        made = dns.resolver.Resolver(configure=False)
        made.nameservers, made.port, made.lifetime = [host], int(port), 3.0
        return made

    def target(self, model: str) -> str | None:
        """The region whose gateway a model's name points to."""
        name = f"{model}.{self.outputs(STANDBY)['ZoneName']}"
        try:
            host = str(self.resolver().resolve(name, "CNAME")[0].target).rstrip(".")
        except dns.exception.DNSException:
            return None
        return host.partition(".execute-api.")[2].partition(".")[0]

    def ask(self, model: str, body: bytes) -> tuple[int, Any, str | None]:
        """A prediction as any client asks for it: by name, wherever that leads. Status, answer, region."""
        name = f"{model}.{self.outputs(STANDBY)['ZoneName']}"
        headers = {"Host": name, "Authorization": f"Bearer {self.token()}", "Content-Type": "application/json"}
        port = int(self.environment["GATEWAY_TRANSPORT"].partition(":")[2])
        try:
            address = self.resolver().resolve(name, "A")[0].to_text()
            connection = http.client.HTTPConnection(address, port, timeout=5)
            connection.request("POST", f"/models/{model}/invocations", body, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read()), response.getheader("x-mldr-region")
        except (OSError, http.client.HTTPException, dns.exception.DNSException) as error:
            return 0, repr(error), None

    @cache  # noqa: B019 - one cloud lives as long as the session
    def token(self) -> str:
        """The gateway's token, as its clients keep it."""
        name = self.outputs(STANDBY)["GatewayTokenName"]
        return str(self.aws("secretsmanager").get_secret_value(SecretId=name)["SecretString"])

    # what a failing test says

    def story(self, model: str | None = None) -> str:
        """What the cloud printed and logged last, and where a model stands."""
        logged = self.log.read_text(errors="replace").splitlines()[-25:] if self.log.exists() else []
        points = [self._point(one) for one in self.catalog.records(key(model))] if model else []
        return "\n".join([*points, *self.lines[-5:], *logged])

    @staticmethod
    def _point(record: Record) -> str:
        return f"{record.model} {record.recovery_point}: {record.phase}, attempt {record.attempt}, {record.reason!r}"


@contextlib.contextmanager
def running(home: Path, policy: Path, parameters: Mapping[str, object] = QUICK, *more: str) -> Iterator[LocalCloud]:
    """Deploy everything, with the watch on: its schedule fires a minute after the deployment."""
    cloud = LocalCloud(home, policy)
    try:
        cloud.start(parameters, *more)
        cloud.door("clock/advance/60", "POST")
        yield cloud
    finally:
        cloud.stop()


def outsiders_environment() -> dict[str, str]:
    """This process's environment without anything that speaks of AWS."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLDR_"))}


def free_port() -> int:
    """A port that is free on every address of this machine."""
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])
