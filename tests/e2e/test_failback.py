"""A model comes home: its region fails, heals and stands down by itself; then it goes back, and no client notices."""

import contextlib
import http.client
import json
import time
from collections import Counter

import pytest

from mldr.domain.evidence import evidence_key
from tests.e2e.clients import Clients
from tests.e2e.cloud import ACTIVE, STANDBY, key, wait_for
from tests.e2e.owner import QUESTIONS, answer, question

MODEL = "churn"
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
