"""A policy that wants a person: one is asked, confirms by the token of the page, and the failover follows."""

import http.client
import json
import os
import re
import subprocess
import sys
from urllib.parse import urlencode

import pytest

from mldr.aws.decisions import DynamoDecisions
from tests.e2e.cloud import ACTIVE, ROOT, STANDBY, key, outsiders_environment, wait_for
from tests.e2e.owner import QUESTIONS, answer, question
from tests.e2e.standby import standing

pytestmark = pytest.mark.long

TOKEN = re.compile(r"mldr approve courier (\S+) --region ap-southeast-3")


def mldr(cloud, *arguments):
    """What an operator types, in a process of its own."""
    regions = {"MLDR_REGIONS": f"{ACTIVE},{STANDBY}", "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments], cwd=ROOT, text=True, capture_output=True, timeout=180, check=False,
        env={**outsiders_environment(), **cloud.environment, **regions},
    )  # fmt: skip


@pytest.fixture(scope="module")
def asked(cloud, pages, protected):
    """The endpoint of `courier` is gone, in a region that is well, and the page has come."""
    protected("courier")
    wait_for(
        "its warm-standby endpoint stands", lambda: standing(cloud, "courier"), 120, lambda: cloud.story("courier")
    )
    name = f"_health.courier.{cloud.outputs(STANDBY)['ZoneName']}"
    told = lambda: str(cloud.resolver().resolve(name, "TXT")[0])  # noqa: E731 - asked until it says so
    wait_for("Route 53 finds it healthy", lambda: told() == '"healthy"', 90, cloud.story)
    cloud.aws("sagemaker", ACTIVE).delete_endpoint(EndpointName="courier")
    return pages.wait("courier", "waits for your approval", seconds=180)


def test_a_person_is_asked_and_nothing_moves_before_the_answer(cloud, events, asked):
    assert "takes as long as a cold one" not in asked["Message"]
    assert TOKEN.search(asked["Message"])
    assert events.of("Failover Requested", "courier") == []
    assert cloud.catalog.epoch(key("courier")) is None
    assert cloud.target("courier") == ACTIVE


def test_a_wrong_token_moves_nothing(cloud, events, asked):
    ended = mldr(cloud, "approve", "courier", "not-the-token")
    assert (ended.returncode, "the token is wrong" in ended.stderr) == (1, True), ended.stderr
    assert events.of("Failover Approved", "courier") == []


def test_the_token_of_the_page_starts_the_failover_that_was_asked_about(cloud, events, asked):
    wanted = cloud.catalog.health(key("courier")).ask.id
    ended = mldr(cloud, "approve", "courier", TOKEN.search(asked["Message"])[1], "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["failover_id"] == wanted
    (told, *_) = events.wait("Failover Completed", "courier", seconds=180)
    assert (told["outcome"], told["failover_id"]) == ("completed", wanted), told["reason"]
    assert cloud.catalog.takeover(key("courier")).endpoint in standing(cloud, "courier"), "nothing was made for it"
    wait_for("the standby serves", lambda: cloud.ask("courier", question(QUESTIONS[0]))[2] == STANDBY)
    assert cloud.ask("courier", question(QUESTIONS[0]))[:2] == (200, answer(QUESTIONS[0]))
    again = mldr(cloud, "approve", "courier", TOKEN.search(asked["Message"])[1])
    assert again.returncode == 1
    assert "approved it at" in again.stderr


def test_every_decision_on_the_way_can_be_read(cloud, events, asked):
    events.wait("Failover Completed", "courier", seconds=180)
    kept = DynamoDecisions(cloud.aws("dynamodb"), table=cloud.outputs(STANDBY)["CatalogTableName"])
    lines = kept.newest(key("courier"), 100)[::-1]
    acted = [line.action for line in lines if line.action != "none"]
    assert acted.count("ask for approval") == 1
    assert "fail over" not in acted
    found = json.loads(mldr(cloud, "decisions", "courier", "--limit", "100", "--json").stdout)
    assert found["approvals"][0]["used_at"]
    assert {one["region"] for one in found["decisions"]} >= {STANDBY}
    assert all(one["reason"] for one in found["decisions"])


def test_deep_health_tells_when_a_golden_request_was_last_answered(cloud, events, asked):
    """Where it was restored: by the golden inferences that its recovery point holds."""
    events.wait("Failover Completed", "courier", seconds=180)
    told = wait_for("the gateway has proven it", lambda: proven(cloud, "courier", STANDBY), 90, cloud.story)
    assert told["loaded"] is True
    assert told["last_success_seconds_ago"] < 60


def get(cloud, region, path, headers=None):
    """An answer of a region's gateway, as Route 53's checkers see it: status and JSON."""
    host = cloud.outputs(region)["GatewayUrl"].removeprefix("https://")
    address = cloud.resolver().resolve(host, "A")[0].to_text()
    port = int(cloud.environment["GATEWAY_TRANSPORT"].partition(":")[2])
    connection = http.client.HTTPConnection(address, port, timeout=20)
    connection.request("GET", path, headers={"Host": host, **(headers or {})})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def proven(cloud, model, region):
    """What a gateway says of the last golden request, once one was answered."""
    status, body = get(cloud, region, f"/models/{model}/health")
    return status == 200 and body.get("golden", {}).get("outcome") == "equal" and body["golden"]


def test_a_gateway_bears_witness_to_whoever_has_its_token(cloud, protected):
    protected("courier")
    host = cloud.outputs(ACTIVE)["GatewayUrl"].removeprefix("https://")
    path = f"/witness/no-such-model?{urlencode({'host': host})}"
    status, seen = get(cloud, STANDBY, path, {"Authorization": f"Bearer {cloud.token()}"})
    assert (status, seen["vantage"]) == (200, "witness"), seen
    assert host in seen["detail"]
    assert get(cloud, STANDBY, path)[0] == 401
