"""The whole local cloud: template.yaml stands in both regions, the doors of the tools answer, nothing outlives it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.config import default_user_config

ROOT = Path(__file__).resolve().parents[3]
ACTIVE, STANDBY = "ap-southeast-1", "ap-southeast-3"
START = """
import sys
from pathlib import Path
from localcloud.main import Options, up
policy = Path("samplecfg/policy.yaml")
sys.exit(up(Options(port=0, dns_port=0, http_port=0, policy=policy, state=Path(sys.argv[1]))))
"""


class Up:
    """A running `mldr local up`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.environment: dict[str, str] = {}
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.strip())
            name, _, value = line.strip().removeprefix("export ").partition("=")
            if line.startswith("export "):
                self.environment[name] = value
            if name == "GATEWAY_TRANSPORT":
                break
        assert "ready" in self.lines, self.lines
        self.url = self.environment["AWS_ENDPOINT_URL"]

    def ask(self, door: str, method: str = "GET") -> Any:
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_local/{door}", method=method)) as answer:
            return json.load(answer)

    def client(self, service: str, region: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service, region, endpoint_url=self.url, aws_access_key_id="person", aws_secret_access_key="x"
        )


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    state = tmp_path_factory.mktemp("state")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers/core")])}
    command = [sys.executable, "-c", START, str(state)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield Up(process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def test_the_real_template_stands_in_both_regions(cloud: Up) -> None:
    outputs = cloud.ask("outputs")
    assert set(outputs) == {ACTIVE, STANDBY}
    for region, found in outputs.items():
        assert {"VaultBucketName", "CatalogTableName", "BusName", "PolicyLocation", "DeadLetterQueueUrls"} <= set(found)
        bucket, _, key = found["PolicyLocation"].removeprefix("s3://").partition("/")
        policy = cloud.client("s3", region).get_object(Bucket=bucket, Key=key)["Body"].read()
        assert policy == (ROOT / "samplecfg/policy.yaml").read_bytes()
    assert cloud.ask("status")["ready"] is True


def test_a_function_of_the_stack_answers_in_a_process_of_its_own(cloud: Up) -> None:
    host = cloud.ask("outputs")[STANDBY]["GatewayUrl"].removeprefix("https://")
    port = cloud.environment["GATEWAY_TRANSPORT"].partition(":")[2]
    question = urllib.request.Request(f"http://127.0.0.12:{port}/models/none/takeover", headers={"Host": host})
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(question)
    assert answer.value.code == 404
    log = cloud.ask("calls?since=0")
    used = [grants["used"] for role, grants in cloud.ask("permissions").items() if "PredictGateway" in role]
    assert any(action == "dynamodb:GetItem" for grants in used for action, _ in grants)
    assert f"function:{STANDBY}:mldr-prod-predict-gateway" in {call["principal"] for call in log}
    assert _children(cloud.process.pid)


def test_failing_and_healing_goes_through_the_doors_and_into_the_log(cloud: Up) -> None:
    before = cloud.ask("status")["now"]
    assert cloud.ask(f"fail/{ACTIVE}", "POST") == {"region": ACTIVE, "failed": True}
    with pytest.raises(cloud.client("sqs", ACTIVE).exceptions.ClientError, match="is failed"):
        cloud.client("sqs", ACTIVE).list_queues()
    assert cloud.ask("status")["failed"] == [ACTIVE]
    assert cloud.ask(f"heal/{ACTIVE}", "POST") == {"region": ACTIVE, "failed": False}
    mine = [call for call in cloud.ask(f"calls?since={before}") if call["principal"] == "person"]
    assert {(call["region"], call["service"], call["operation"], call["refused"]) for call in mine} == {
        (ACTIVE, "sqs", "ListQueues", "region failed")
    }


@pytest.mark.parametrize("door", ["fail/nowhere", "clock/advance/soon", "calls?since=soon", "nothing"])
def test_a_wrong_door_says_what_is_wrong(cloud: Up, door: str) -> None:
    method = "GET" if "?" in door or door == "nothing" else "POST"
    with pytest.raises(urllib.error.HTTPError) as refusal:
        cloud.ask(door, method)
    assert refusal.value.code == 404
    assert json.load(refusal.value)["error"]


def test_the_clock_can_be_pushed(cloud: Up) -> None:
    before = cloud.ask("status")["now"]
    assert cloud.ask("clock/advance/30", "POST")["now"] >= before + 30


def test_a_signal_ends_it_and_everything_that_it_started(cloud: Up) -> None:
    children = _children(cloud.process.pid)
    cloud.process.send_signal(signal.SIGTERM)
    assert cloud.process.wait(20) == 0
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def test_a_deployment_that_fails_says_which_resource_and_why(tmp_path: Path) -> None:
    from localcloud.main import Options, up

    template = tmp_path / "template.yaml"
    template.write_text("Resources: {Odd: {Type: AWS::Kinesis::Stream}}")
    said: list[str] = []
    options = Options(0, 0, 0, (ACTIVE,), template=template, state=tmp_path / "state")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    assert up(options, said.append) == 1
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert default_user_config["iam"] == {"load_aws_managed_policies": False}
    assert "deployment failed: Odd: resource type AWS::Kinesis::Stream is unknown" in said[-1]


def _children(parent: int) -> list[int]:
    """Linux only, as is the runtime client."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found
