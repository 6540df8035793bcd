"""`mldr local up` as a person runs it: what it prints is enough for plain boto3, and nothing of it outlives it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.cloud import ACTIVE, STANDBY, LocalCloud, key, outsiders_environment, wait_for
from tests.e2e.owner import Owner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
VISITOR = """
import boto3
topic = boto3.client("sns").create_topic(Name="visitor")["TopicArn"]
table = boto3.resource("dynamodb").Table("mldr-prod-catalog")
table.put_item(Item={"pk": "visitor", "sk": "1"})
boto3.client("s3", region_name="ap-southeast-1").list_buckets()
print(topic, table.get_item(Key={"pk": "visitor", "sk": "1"})["Item"]["pk"], table.meta.client.meta.region_name)
"""


@pytest.fixture
def lived_in(tmp_path):
    """A local cloud that has run functions and an endpoint, so that it has children to leave behind."""
    cloud = LocalCloud(tmp_path, Path(__file__).parent / "policy.yaml")
    try:
        cloud.start()
        owner = Owner(cloud)
        owner.move_in()
        owner.upload("churn")
        owner.serve("churn")
        owner.promote("ghost")
        wait_for("a function ran", lambda: cloud.catalog.records(key("ghost")), 60, cloud.story)
        yield cloud
    finally:
        cloud.stop()


def parents():
    """Every process of this machine with its parent and when it began, which tells a reused id from the old one."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, IndexError):
            continue
        if entry.name.isdigit() and fields[0] != "Z":
            found[int(entry.name), fields[19]] = int(fields[1])
    return found


def descendants(pid):
    """Everything that a process started, whatever session or group it moved to."""
    table, found, young = parents(), set(), {pid}
    while young:
        children = {process for process, parent in table.items() if parent in young}
        found |= children
        young = {number for number, _ in children}
    return found


def ports(cloud):
    """Every port that the cloud says it listens on."""
    front = int(cloud.environment["GATEWAY_TRANSPORT"].partition(":")[2])
    return {
        ("127.0.0.1", int(cloud.environment["AWS_ENDPOINT_URL"].rpartition(":")[2])),
        ("127.0.0.1", int(cloud.environment["DNS_RESOLVER"].rpartition(":")[2])),
        ("127.0.0.11", front), ("127.0.0.12", front),
    }  # fmt: skip


def taken(addresses):
    """Those on which somebody listens."""
    found = []
    for address in addresses:
        with socket.socket() as client:
            if client.connect_ex(address) == 0:
                found.append(address)
    return found


def ended(cloud):
    """The exit code; one that hangs is made to say where."""
    try:
        return cloud.process.wait(20)
    except subprocess.TimeoutExpired:
        cloud.process.send_signal(signal.SIGABRT)
        cloud.process.wait(10)
        pytest.fail(f"it did not end\n{cloud.log.read_text(errors='replace')[-20_000:]}")


def ended_without_a_trace(cloud, number):
    """Send the signal to the parent alone; afterwards no child is left and no port is taken."""
    children, addresses = descendants(cloud.process.pid), ports(cloud)
    assert len(children) >= 2, "functions and an endpoint should be running"
    assert len(taken(addresses)) == len(addresses)
    os.kill(cloud.process.pid, number)
    began = time.monotonic()
    code = ended(cloud)
    wait_for("no child is left", lambda: not children & parents().keys(), 10, lambda: str(children & parents().keys()))
    wait_for("its ports are free", lambda: not taken(addresses), 5, lambda: str(taken(addresses)))
    return code, time.monotonic() - began


def test_ctrl_c_leaves_no_process_and_no_port_behind(lived_in):
    assert "ready" in lived_in.lines
    assert lived_in.lines.index("ready") < lived_in.lines.index(f"export AWS_DEFAULT_REGION={STANDBY}")
    assert lived_in.door("status")["regions"].keys() == {ACTIVE, STANDBY}
    environment = {**outsiders_environment(), **lived_in.environment}
    visit = subprocess.run(
        [sys.executable, "-c", VISITOR], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert visit.stdout.split() == ["arn:aws:sns:ap-southeast-3:123456789012:visitor", "visitor", STANDBY]
    code, seconds = ended_without_a_trace(lived_in, signal.SIGINT)
    assert code == 0, lived_in.story()
    assert seconds < 15


def test_a_killed_local_cloud_takes_its_children_along(lived_in):
    code, _ = ended_without_a_trace(lived_in, signal.SIGKILL)
    assert code == -signal.SIGKILL
