"""A model comes home: its region fails, heals and stands down by itself; then it goes back, and no client notices."""

import contextlib
import http.client
import json
import time
from collections import Counter
from pathlib import Path

import pytest

from mldr.domain.evidence import evidence_key
from tests.e2e.call_log import forbidden, operations
from tests.e2e.clients import Clients
from tests.e2e.cloud import ACTIVE, GLOBAL, STANDBY, key, wait_for
from tests.e2e.owner import QUESTIONS, answer, question

MODEL = "churn"
POLICY = (Path(__file__).parent / "policy.yaml").read_text()
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def abroad(cloud, events, protected, home):
    """The standby serves the model, and the home region is back and has learned it."""
    protected(MODEL)
    cloud.settle()
    if cloud.catalog.takeover(key(MODEL)) is None:
        cloud.fail(ACTIVE)
        try:
            cloud.tell("Failover Requested", {"model": f"sagemaker/{MODEL}", "reason": "its region is down"})
            events.wait("Failover Completed", MODEL, seconds=240)
        finally:
            cloud.heal(ACTIVE)
    learned = lambda: (held := home.standing(key(MODEL))) and held.epoch == 1  # noqa: E731 - asked until it has
    wait_for("the home has learned who serves", learned, 120, cloud.story)
    return cloud


def get(cloud, region, path):
    """What a region's gateway answers, whoever is asked by DNS."""
    host = f"{cloud.outputs(region)['GatewayUrl'].removeprefix('https://')}"
    port = int(cloud.environment["GATEWAY_TRANSPORT"].partition(":")[2])
    address = cloud.resolver().resolve(host, "A")[0].to_text()
    connection = http.client.HTTPConnection(address, port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def test_the_healed_region_stands_down_by_itself(abroad):
    status, told = get(abroad, ACTIVE, f"/models/{MODEL}/health")
    assert (status, f"epoch 1 is held by {STANDBY}" in told["message"]) == (503, True)
    _, said = get(abroad, ACTIVE, f"/models/{MODEL}/epoch")
    assert (said["epoch"], said["holder"], said["home"], said["kind"]) == (1, STANDBY, ACTIVE, "failover")
    assert abroad.ask(MODEL, question(QUESTIONS[0]))[::2] == (200, STANDBY)


def test_a_version_of_the_older_epoch_is_sealed_but_waits_for_a_person(abroad, owner, pages):
    cloud = abroad
    late = owner.promote(MODEL)
    said = pages.wait(MODEL, "a version of an older epoch", 120)["Message"]
    assert late in said
    (record,) = [one for one in cloud.catalog.records(key(MODEL)) if one.origin.arn == late]
    package = cloud.aws("sagemaker").describe_model_package(ModelPackageName=record.target_arn)
    assert (record.restorable, package["ModelApprovalStatus"]) == (True, "PendingManualApproval")


def test_it_goes_home_without_a_failed_request(abroad, home):
    cloud = abroad
    began = time.time()
    with Clients(cloud, MODEL) as clients:
        ask_for(cloud, ACTIVE, "Failback Requested", "home-1")
        record = evidence(cloud, ACTIVE, "home-1")
        assert record["outcome"] == "completed", record["reason"]
        wait_for("clients arrive at home", lambda: clients.seen[-1].region == ACTIVE, 120, cloud.story)
        time.sleep(2)
    assert Counter(one.status for one in clients.seen) == {200: len(clients.seen)}
    assert {one.region for one in clients.seen} == {ACTIVE, STANDBY}
    assert all(one.said in [answer(asked) for asked in QUESTIONS] for one in clients.seen)
    assert (record["kind"], record["epoch"], record["region"]) == ("failback", 2, ACTIVE)
    assert home.takeover(key(MODEL)).endpoint == MODEL, "its own endpoint serves that very version"
    calls = cloud.calls(began, time.time())
    assert [call for call in calls if call["control_plane"] or call["refused"]] == [], "no record is edited"


def test_the_standby_stood_down_and_is_the_standby_again(abroad, home):
    cloud = abroad
    wait_for("the switch is off", lambda: get(cloud, STANDBY, f"/models/{MODEL}/takeover")[0] == 404, 30, cloud.story)
    assert cloud.catalog.takeover(key(MODEL)) is None
    assert cloud.catalog.standing(key(MODEL)).epoch == 2
    assert home.route(key(MODEL)) is None, "the home never onboards a graph of its own"
    assert cloud.target(MODEL) == ACTIVE


def test_an_exercise_moves_it_out_and_home_again_without_a_failed_request(abroad, home):
    cloud = abroad
    with Clients(cloud, MODEL) as clients:
        ask_for(cloud, STANDBY, "Failover Requested", "move-1", kind="move")
        assert evidence(cloud, STANDBY, "move-1")["outcome"] == "completed"
        wait_for("clients arrive abroad", lambda: clients.seen[-1].region == STANDBY, 120, cloud.story)
        wait_for("the home learned it", lambda: home.standing(key(MODEL)).epoch == 3, 30, cloud.story)
        ask_for(cloud, ACTIVE, "Failback Requested", "home-2")
        assert evidence(cloud, ACTIVE, "home-2")["outcome"] == "completed"
        wait_for("clients arrive at home", lambda: clients.seen[-1].region == ACTIVE, 120, cloud.story)
    assert Counter(one.status for one in clients.seen) == {200: len(clients.seen)}
    assert home.takeover(key(MODEL)).epoch == 4


@pytest.fixture(scope="module")
def taken_back(abroad, home):
    """It is abroad for an exercise when the standby fails, and us-east-1 with it: every call until the home has it.

    So soon after a move only a policy without a cool-down lets a model move by itself.
    """
    cloud = abroad
    hasty = "    criticality: revenue-critical\n    health: {consecutive_failures: 2, cool_down: 1s}\n"
    cloud.put_policy(POLICY.replace("    criticality: revenue-critical\n", hasty, 1))
    ask_for(cloud, STANDBY, "Failover Requested", "move-2", kind="move")
    assert evidence(cloud, STANDBY, "move-2")["outcome"] == "completed"
    wait_for("the home has learned it", lambda: home.standing(key(MODEL)).epoch == 5, 60, cloud.story)
    wait_for("clients are abroad", lambda: cloud.ask(MODEL, question(QUESTIONS[0]))[2] == STANDBY, 60, cloud.story)
    cloud.settle()
    cloud.fail(STANDBY, GLOBAL)
    began = time.time()
    try:
        held = lambda: (epoch := home.epoch(key(MODEL))) and epoch.number == 6 and epoch.concluded  # noqa: E731 - the same
        wait_for("the home holds the next epoch", held, 240, lambda: cloud.story(MODEL))
        calls = cloud.calls(began, time.time())
        wait_for("clients are home", lambda: cloud.ask(MODEL, question(QUESTIONS[0]))[2] == ACTIVE, 60, cloud.story)
        answers = [cloud.ask(MODEL, question(asked)) for asked in QUESTIONS]
    finally:
        cloud.heal(STANDBY, GLOBAL)
        cloud.put_policy(POLICY)
    return {"calls": calls, "answers": answers, "record": evidence(cloud, ACTIVE, home.epoch(key(MODEL)).failover_id)}


def test_when_the_region_that_serves_it_is_lost_the_home_takes_it_back_by_itself(taken_back):
    record = taken_back["record"]
    assert (record["kind"], record["outcome"], record["region"]) == ("failover", "completed", ACTIVE), record["reason"]
    assert (record["id"].startswith("auto-"), record["phases"][0]["name"]) == (True, "detect")
    assert taken_back["answers"] == [(200, answer(asked), ACTIVE) for asked in QUESTIONS]


def test_that_takeover_called_nothing_in_the_lost_region_and_no_remote_control_plane(taken_back):
    """Law 1 in the other direction."""
    assert operations(taken_back["calls"]) >= {"StartExecution", "InvokeEndpoint", "TransactWriteItems"}
    assert forbidden(taken_back["calls"], STANDBY, GLOBAL) == []


def test_the_standby_hears_of_it_when_it_heals(abroad, taken_back):
    cloud = abroad
    wait_for("it stands down", lambda: cloud.catalog.takeover(key(MODEL)) is None, 120, lambda: cloud.story(MODEL))
    assert cloud.ask(MODEL, question(QUESTIONS[0]))[::2] == (200, ACTIVE)


def ask_for(cloud, region, detail_type, failover_id, **more):
    """Ask a region, as an operator does without the CLI."""
    detail = {"model": f"sagemaker/{MODEL}", "reason": "exercise", "failover_id": failover_id, **more}
    cloud.tell(detail_type, detail, region=region)


def evidence(cloud, region, failover_id):
    """The record that a failover left in its region's vault."""
    s3, vault = cloud.aws("s3", region), cloud.outputs(region)["VaultBucketName"]
    prefix = evidence_key(key(MODEL), 0).rpartition("/")[0] + "/"

    def found():
        listed = s3.list_objects_v2(Bucket=vault, Prefix=prefix).get("Contents", [])
        records = [json.loads(s3.get_object(Bucket=vault, Key=one["Key"])["Body"].read()) for one in listed]
        return next((record for record in records if record["id"] == failover_id), None)

    return wait_for(f"the evidence of {failover_id}", found, 300, lambda: cloud.story(MODEL))
