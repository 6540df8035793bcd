"""The active region disappears: models come back by themselves, and what was half protected is finished later."""

import datetime as dt
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from mldr.domain.evidence import GENESIS, evidence_key
from mldr.domain.recovery_point import Phase
from tests.e2e.call_log import forbidden, operations
from tests.e2e.cloud import ACTIVE, GLOBAL, STANDBY, key, wait_for
from tests.e2e.owner import QUESTIONS, answer, question
from tests.e2e.standby import until_it_stands

PHASES = ["detect", "decide", "restore", "warm", "verify", "switch", "confirm"]
OBJECTS = 400
COLD, WARM = "churn", "freight"


@pytest.fixture(scope="module")
def recovered(cloud, events, owner, protected):
    """The region of both models and us-east-1 fail, and heal after the recovery: what was told, and every call between.

    One of the models has nothing in the standby but its recovery point, for the other one an endpoint stands there.
    """
    owner.publish(WARM)
    for name in (COLD, WARM):
        protected(name)
        wait_for("its region serves", lambda name=name: cloud.ask(name, question(QUESTIONS[0]))[2] == ACTIVE)
    stood = until_it_stands(cloud, WARM)
    # Protecting reads the active region, as it must; only recovering may not.
    cloud.settle()
    before = [cloud.ask(COLD, question(asked)) for asked in QUESTIONS]
    cloud.fail(ACTIVE, GLOBAL)
    began = time.time()  # its own functions still called it while it went down
    try:
        told = {name: events.wait("Failover Completed", name, seconds=120)[0] for name in (COLD, WARM)}
        calls = cloud.calls(began, time.time())
        after = {}
        for name in (COLD, WARM):
            wait_for("the standby serves", lambda name=name: cloud.ask(name, question(QUESTIONS[0]))[2] == STANDBY)
            after[name] = [cloud.ask(name, question(asked)) for asked in QUESTIONS]
    finally:
        cloud.heal(ACTIVE, GLOBAL)
    return {"told": told, "calls": calls, "before": before, "after": after, "stood": stood}


def test_a_model_survives_its_region_without_a_human(cloud, events, recovered):
    told = recovered["told"][COLD]
    assert told["outcome"] == "completed", told["reason"]
    assert (told["epoch"], told["region"]) == (1, STANDBY)
    assert [phase["name"] for phase in told["phases"]] == PHASES
    assert all(phase["seconds"] >= 0 for phase in told["phases"])
    asked = [one["detail"] for one in events.heard() if one["detail-type"] == "Failover Requested"]
    # Beside another model that its region takes along it is asked for in a list.
    request = next(one for one in asked if one.get("model") == "sagemaker/churn" or one.get("listed"))
    assert request["requested_by"] == "decide_failover"
    assert cloud.catalog.epoch(key("churn")).concluded


def test_clients_get_the_same_answers_from_the_other_region(recovered):
    right = [(200, answer(asked)) for asked in QUESTIONS]
    assert recovered["before"] == [(*one, ACTIVE) for one in right]
    assert recovered["after"] == {name: [(*one, STANDBY) for one in right] for name in (COLD, WARM)}


def test_a_warm_standby_takes_over_with_what_stood(cloud, recovered):
    told = recovered["told"][WARM]
    assert (told["outcome"], told["region"]) == ("completed", STANDBY), told["reason"]
    assert cloud.catalog.takeover(key(WARM)).endpoint == recovered["stood"]


def test_the_recovery_called_nothing_in_the_failed_region_and_no_remote_control_plane(recovered):
    """Law 1: of a cold model, which is created, and of a warm one, which stands."""
    calls = recovered["calls"]
    assert operations(calls) >= {"CreateEndpoint", "InvokeEndpoint", "TransactWriteItems"}
    assert forbidden(calls, ACTIVE, GLOBAL) == []


def test_the_evidence_of_it_is_written_and_locked(cloud, recovered):
    s3, name = cloud.aws("s3"), evidence_key(key("churn"), 1)
    stored = s3.get_object(Bucket=cloud.vault, Key=name)
    record = json.loads(stored["Body"].read())
    assert (record["id"], record["outcome"], record["previous"]) == (
        recovered["told"][COLD]["failover_id"], "completed", GENESIS,
    )  # fmt: skip
    version = {"Bucket": cloud.vault, "Key": name, "VersionId": stored["VersionId"]}
    kept = s3.get_object_retention(**version)["Retention"]["RetainUntilDate"]
    assert kept > dt.datetime.now(dt.UTC) + dt.timedelta(days=365 * 6)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(**version)


def test_the_traffic_stays_when_the_region_comes_back(cloud, home, recovered):
    """It hears of the higher epoch and stands down by itself: its health says so before anybody is sent there."""
    learned = lambda: (held := home.standing(key("churn"))) and held.epoch == 1  # noqa: E731 - asked until it has
    wait_for("the healed region learns who serves", learned, 60, cloud.story)
    assert {cloud.ask("churn", question(QUESTIONS[0]))[::2] for _ in range(10)} == {(200, STANDBY)}
    assert cloud.catalog.epoch(key("churn")).number == 1


def test_a_copy_that_loses_its_region_half_way_is_finished_later(cloud, owner, events, outage):
    began = time.time()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: owner.upload_shard("archive", n), range(OBJECTS)))
    owner.promote("archive", data=owner.prefix("archive"))
    wait_for("the copy is under way", lambda: len(copies(cloud, began)) > 20, 90, lambda: cloud.story("archive"))
    down = outage(ACTIVE)
    wait_for("a copy is refused", lambda: copies(cloud, down, "region failed"), 60, lambda: cloud.story("archive"))
    (point,) = cloud.catalog.records(key("archive"))
    assert point.phase is Phase.COPYING
    assert len(copies(cloud, began)) < OBJECTS, "the region failed too late to interrupt anything"
    cloud.heal(ACTIVE)
    # Told again while the attempt still runs: nothing starts a second time.
    cloud.tell("Model Promoted", {"model": "sagemaker/archive"})
    told = events.wait("Recovery Point Sealed", "archive", seconds=120)[0]
    assert told["objects"] == OBJECTS
    assert len(copies(cloud, began)) == OBJECTS, "what had been copied was copied again"
    assert [record.attempt for record in cloud.catalog.records(key("archive"))] == [1]


def copies(cloud, since, refused=None):
    """The copies into the vault: those that were made, or those that were refused."""
    calls = [call for call in cloud.calls(since) if call["operation"] == "CopyObject"]
    return [call for call in calls if call["refused"] == refused and (refused or call["status"] == 200)]
