"""A whole region disappears, and us-east-1 with it: all models move, though the state machine dies on the way."""

import json
import time

import pytest

from mldr.domain.evacuation import recovery_id, region_key
from mldr.domain.evidence import evidence_key
from tests.e2e.call_log import forbidden, operations
from tests.e2e.cloud import ACTIVE, GLOBAL, STANDBY, key, wait_for
from tests.e2e.owner import QUESTIONS, answer, question

ID = "region-1"
# Models of this story alone: what other stories moved by hand is abroad already, and stays there.
SERVED, NEW, LIAR = "quotes", "stocks", "fibber"
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def completed(cloud, events, region):
    """The event with which the failover of a region ends."""

    def told():
        heard = [one for one in events.heard() if one["detail-type"] == "Failover Completed"]
        return [one["detail"] for one in heard if one["detail"].get("of_region") == region]

    return wait_for(f"the failover of {region} ends", told, 420, cloud.story)[0]


def execution(cloud, name, machine="evacuate"):
    """An execution of the standby, None while there is none."""
    states = cloud.aws("stepfunctions")
    arn = cloud.outputs(STANDBY)["EvacuateStateMachineArn"].replace(":stateMachine:", ":execution:")
    try:
        return states.describe_execution(executionArn=f"{arn.replace('-evacuate', f'-{machine}')}:{name}")
    except states.exceptions.ExecutionDoesNotExist:
        return None


@pytest.fixture(scope="module")
def evacuated(cloud, events, owner, protected):
    """The region and us-east-1 fail; all models are asked for, the state machine is killed, and asked for again."""
    for name in (SERVED, NEW, LIAR):
        owner.publish(name, served=name == SERVED, lie=name == LIAR)
    for name in (SERVED, NEW, LIAR):
        protected(name)
    # What its schedule does; it ends before the region does.
    done = cloud.aws("lambda").invoke(FunctionName="mldr-prod-reconcile-registry", Payload=b"{}")
    assert "FunctionError" not in done, done["Payload"].read()
    cloud.settle()
    wanted = {"region": ACTIVE, "reason": "the region is gone", "failover_id": ID}
    cloud.fail(ACTIVE, GLOBAL)
    began = time.time()  # its own functions still called it while it went down
    try:
        cloud.tell("Failover Requested", wanted)
        first = recovery_id(ID, key(SERVED))
        wait_for("a model is being recovered", lambda: execution(cloud, first, "failover"), 240, cloud.story)
        cloud.aws("stepfunctions").stop_execution(executionArn=execution(cloud, ID)["executionArn"])
        wait_for("it is dead", lambda: execution(cloud, ID)["status"] == "ABORTED", 60, cloud.story)
        cloud.tell("Failover Requested", wanted)
        told = completed(cloud, events, ACTIVE)
        calls = cloud.calls(began, time.time())
        wait_for("the standby answers", lambda: cloud.ask(SERVED, question(QUESTIONS[0]))[2] == STANDBY, 60)
        answers = [cloud.ask(SERVED, question(asked)) for asked in QUESTIONS]
    finally:
        cloud.heal(ACTIVE, GLOBAL)
    return {"told": told, "calls": calls, "answers": answers}


def test_every_model_that_can_is_served_from_the_standby(cloud, evacuated):
    told = evacuated["told"]
    assert (told["region"], told["kind"], told["failover_id"]) == (STANDBY, "failover", ID)
    assert evacuated["answers"] == [(200, answer(asked), STANDBY) for asked in QUESTIONS]
    assert told["recovered"] >= 2
    assert all(cloud.catalog.takeover(key(name)) for name in (SERVED, NEW))


def test_a_model_that_gives_wrong_answers_is_named_and_stops_no_other(cloud, evacuated, pages):
    bad = {one["model"]["name"]: one["reason"] for one in evacuated["told"]["models"]}
    assert "WrongAnswers" in bad[LIAR]
    assert cloud.catalog.takeover(key(LIAR)) is None
    [page] = [one for one in pages.heard() if one["Subject"] == f"mldr: failover of {ACTIVE} failed"]
    assert f"sagemaker/{LIAR}: WrongAnswers" in page["Message"]


def test_it_went_on_where_it_stood_and_did_nothing_twice(cloud, evacuated):
    assert execution(cloud, f"{ID}-2")["status"] == "SUCCEEDED"
    for name in (SERVED, NEW):
        ours = recovery_id(ID, key(name))
        assert execution(cloud, ours, "failover")["status"] == "SUCCEEDED"
        assert execution(cloud, f"{ours}-2", "failover") is None


def test_nothing_was_called_in_the_failed_region_and_no_remote_control_plane(evacuated):
    """Law 1, for a whole region."""
    calls = evacuated["calls"]
    assert operations(calls) >= {"CreateEndpoint", "InvokeEndpoint", "StartExecution"}
    assert forbidden(calls, ACTIVE, GLOBAL) == []


def test_the_region_has_evidence_that_names_every_model(cloud, evacuated):
    stored = cloud.aws("s3").get_object(Bucket=cloud.vault, Key=evidence_key(region_key(ACTIVE), 1))
    record = json.loads(stored["Body"].read())
    assert (record["id"], record["outcome"]) == (ID, evacuated["told"]["outcome"])
    outcomes = {one["model"]["name"]: one["outcome"] for one in record["models"]}
    assert (outcomes[SERVED], outcomes[NEW], outcomes[LIAR]) == ("completed", "completed", "failed")


def test_quotas_were_read_beforehand_and_none_was_asked_for_during_the_recovery(cloud, evacuated):
    capacity = cloud.catalog.capacity()
    assert capacity.limits["ml.m5.large"] == 100
    assert capacity.side_by_side == 10
    assert "service-quotas" not in {call["service"] for call in evacuated["calls"]}


def test_a_region_that_nobody_stands_by_for_is_refused(cloud, events):
    cloud.tell("Failover Requested", {"region": "eu-west-1", "reason": "a mistake"})
    told = completed(cloud, events, "eu-west-1")
    assert (told["outcome"], told["recovered"]) == ("refused", 0)
    assert f"which can do it for {ACTIVE}" in told["reason"]
