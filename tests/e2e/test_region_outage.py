"""The active region disappears: models come back by themselves, and what was half protected is finished later."""

import datetime as dt
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from mldr.domain.evidence import GENESIS, evidence_key
from mldr.domain.recovery_point import Phase
from tests.e2e.cloud import ACTIVE, GLOBAL, STANDBY, key, wait_for
from tests.e2e.owner import QUESTIONS, answer, question

PHASES = ["detect", "decide", "restore", "warm", "verify", "switch", "confirm"]
OBJECTS = 400


@pytest.fixture(scope="module")
def recovered(cloud, events, protected):
    """The region of `churn` and us-east-1 fail, and heal after the recovery: what was told, and every call between."""
    protected("churn")
    wait_for("the active region serves", lambda: cloud.ask("churn", question(QUESTIONS[0]))[2] == ACTIVE)
    # Protecting reads the active region, as it must; only recovering may not.
    cloud.settle()
    before = [cloud.ask("churn", question(asked)) for asked in QUESTIONS]
    cloud.fail(ACTIVE, GLOBAL)
    began = time.time()  # its own functions still called it while it went down
    try:
        (told, *_) = events.wait("Failover Completed", "churn", seconds=120)
        calls = cloud.calls(began, time.time())
        wait_for("the standby serves", lambda: cloud.ask("churn", question(QUESTIONS[0]))[2] == STANDBY)
        after = [cloud.ask("churn", question(asked)) for asked in QUESTIONS]
    finally:
        cloud.heal(ACTIVE, GLOBAL)
    return {"told": told, "calls": calls, "before": before, "after": after}


def test_a_model_survives_its_region_without_a_human(cloud, events, recovered):
    told = recovered["told"]
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
    assert recovered["after"] == [(*one, STANDBY) for one in right]


def test_the_recovery_called_nothing_in_the_failed_region_and_no_remote_control_plane(recovered):
    calls = recovered["calls"]
    assert {call["operation"] for call in calls} >= {"CreateEndpoint", "InvokeEndpoint", "TransactWriteItems"}
    assert [call for call in calls if call["region"] in (ACTIVE, GLOBAL)] == []
    assert [call for call in calls if call["control_plane"] or call["refused"]] == []


def test_the_evidence_of_it_is_written_and_locked(cloud, recovered):
    s3, name = cloud.aws("s3"), evidence_key(key("churn"), 1)
    stored = s3.get_object(Bucket=cloud.vault, Key=name)
    record = json.loads(stored["Body"].read())
    assert (record["id"], record["outcome"], record["previous"]) == (
        recovered["told"]["failover_id"], "completed", GENESIS,
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
