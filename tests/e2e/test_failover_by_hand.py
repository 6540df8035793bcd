"""A person moves a healthy model; the epoch has one holder; a model that answers wrongly takes no traffic."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.cloud import ACTIVE, ROOT, STANDBY, key, wait_for
from tests.e2e.owner import QUESTIONS, answer, question

PHASES = ["decide", "restore", "warm", "verify", "switch", "confirm"]


def entry_for(name):
    """The repository's own event file, as an operator edits it."""
    (entry,) = json.loads((ROOT / Path("events/failover_requested.json")).read_text())
    detail = json.loads(entry["Detail"])
    return {**entry, "Detail": json.dumps({**detail, "model": f"sagemaker/{name}"})}


def test_a_model_moves_by_hand_while_its_region_is_healthy(cloud, owner, events, protected):
    """Its newest version shares every byte with the one before, so its layout is made before it serves."""
    protected("pricing")
    owner.promote("pricing")
    newest = events.wait("Recovery Point Sealed", "pricing", count=2, seconds=90)[-1]["recovery_point"]
    wait_for("the active region serves", lambda: cloud.ask("pricing", question(QUESTIONS[0]))[2] == ACTIVE)
    assert cloud.aws("events").put_events(Entries=[entry_for("pricing")])["FailedEntryCount"] == 0
    (told, *_) = events.wait("Failover Completed", "pricing", seconds=90)
    assert told["outcome"] == "completed", told["reason"]
    assert (told["epoch"], told["region"], told["recovery_point"]) == (1, STANDBY, newest)
    assert [phase["name"] for phase in told["phases"]] == PHASES
    wait_for("the standby serves", lambda: cloud.ask("pricing", question(QUESTIONS[0]))[2] == STANDBY)
    assert [cloud.ask("pricing", question(asked))[:2] for asked in QUESTIONS] == [
        (200, answer(asked)) for asked in QUESTIONS
    ]


def test_of_two_failovers_at_once_one_wins_the_epoch_and_the_other_says_so(cloud, events, pages, protected):
    protected("auction")

    def request(failover_id):
        detail = {"model": "sagemaker/auction", "reason": "exercise", "failover_id": failover_id}
        cloud.tell("Failover Requested", detail)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(request, ("left", "right")))
    told = {one["outcome"]: one for one in events.wait("Failover Completed", "auction", count=2, seconds=90)}
    assert sorted(told) == ["completed", "refused"]
    winner, loser = told["completed"], told["refused"]
    epoch = cloud.catalog.epoch(key("auction"))
    assert (epoch.number, epoch.failover_id, epoch.concluded) == (1, winner["failover_id"], True)
    assert loser["epoch"] is None
    assert loser["reason"].startswith(("EpochTaken: epoch 1 is held by", "AlreadyServing: "))
    assert pages.wait("auction", "refused")["Message"] == loser["reason"]
    assert cloud.catalog.takeover(key("auction")).epoch == 1


def test_a_failover_told_twice_runs_once(cloud, events, protected):
    protected("pricing")
    done = events.wait("Failover Completed", "pricing", seconds=90)
    cloud.tell("Failover Requested", {"model": "sagemaker/pricing", "reason": "again"})
    told = events.wait("Failover Completed", "pricing", count=len(done) + 1)[-1]
    assert told["outcome"] == "refused"
    assert "serves sagemaker/pricing since" in told["reason"]
    assert cloud.catalog.epoch(key("pricing")).number == 1


def test_a_restored_model_that_answers_wrongly_takes_no_traffic(cloud, events, pages, protected):
    protected("liar")
    cloud.tell("Failover Requested", {"model": "sagemaker/liar", "reason": "exercise"})
    (told, *_) = events.wait("Failover Completed", "liar", seconds=90)
    assert told["outcome"] == "failed"
    assert told["reason"].startswith("WrongAnswers: ")
    assert cloud.catalog.takeover(key("liar")) is None
    assert cloud.target("liar") == ACTIVE
    assert pages.wait("liar", "failed")["Message"] == told["reason"]


def test_a_failover_whose_execution_is_stopped_goes_on_by_itself_and_is_told(cloud, events, pages, protected):
    protected("liar")
    before = len(events.of("Failover Completed", "liar"))
    cloud.tell("Failover Requested", {"model": "sagemaker/liar", "reason": "exercise", "failover_id": "stopped"})

    def claim():
        found = cloud.catalog.epoch(key("liar"))
        return found if found and found.failover_id == "stopped" else None

    claimed = wait_for("the claim", claim)
    states = cloud.aws("stepfunctions")
    [machine] = [one for one in machines(states) if one.endswith("mldr-prod-failover")]
    arn = machine.replace(":stateMachine:", ":execution:")
    states.stop_execution(executionArn=f"{arn}:stopped", error="Killed")
    assert not claim().concluded
    cloud.aws("lambda").invoke(FunctionName="mldr-prod-resume-failovers", Payload=b"{}")
    told = events.wait("Failover Completed", "liar", count=before + 1, seconds=90)[-1]
    assert (told["failover_id"], told["epoch"], told["outcome"]) == ("stopped", claimed.number, "failed")
    assert told["reason"].startswith("WrongAnswers: ")
    assert wait_for("the claim is concluded", lambda: claim().concluded)
    assert "It goes on as stopped-2" in pages.wait("liar", "goes on")["Message"]


def machines(states):
    """The state machines of a region."""
    return [one["stateMachineArn"] for one in states.list_state_machines()["stateMachines"]]
