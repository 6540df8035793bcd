"""`--wait` of failover, move and a whole region: one that dies is followed in the execution that goes on with it."""

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError

from cli import evacuation, executions, failover
from cli.demo.region_view import RegionView
from cli.executions import GOES_ON_WITHIN, PHASES
from cli.regions import Place
from mldr.aws.evidence import VaultEvidence
from mldr.domain.evacuation import Planned, recovery_id, region_key
from mldr.domain.evidence import GENESIS, Evidence
from mldr.domain.failover import Epoch
from mldr.domain.routing import CheckTimes, Front, plan_route
from tests.functional.cli_stage import ACTIVE, MODEL, NOON, STANDBY, keep, point, put_policy, run, two_stacks

DEFINITION = Path(__file__).parents[2] / "statemachines/failover.asl.json"
FRONTS = {"active": Front(region=ACTIVE, host="a", target="a"), "standby": Front(region=STANDBY, host="s", target="s")}
ROUTE = plan_route(MODEL, "models.example", **FRONTS, times=CheckTimes(interval=10, threshold=3, ttl=30))
LOOPS = {"WaitForProtection", "WaitForAnswer"}  # the other waits look like the task that they wait for


class States:
    """Step Functions of the standby: executions by name, and what happens to them while the operator waits."""

    def __init__(self):
        self.known, self.script, self.passed = {}, [], 0.0

    def describe_execution(self, **named):
        arn = named["executionArn"]
        name = arn.rpartition(":")[2]
        if name not in self.known:
            raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": name}}, "DescribeExecution")
        return {"executionArn": arn, **self.known[name]}

    def get_paginator(self, _):
        return SimpleNamespace(paginate=self._history)

    def _history(self, **named):
        phases = self.known[named["executionArn"].rpartition(":")[2]].get("phases", ())
        return [{"events": [{"stateEnteredEventDetails": {"name": phase}} for phase in phases]}]

    def sleep(self, seconds):
        self.passed += seconds
        if self.script:
            self.script.pop(0)()

    def then(self, name, status, *phases, **said):
        """This becomes of an execution at the next look."""
        self.script.append(lambda: self.known.update({name: {"status": status, "phases": phases, **said}}))


@pytest.fixture
def states(monkeypatch, tmp_path):
    made = States()
    clock = SimpleNamespace(monotonic=lambda: made.passed, sleep=made.sleep)
    for module in (executions, failover, evacuation):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(failover, "_new_id", lambda *_: "f-1")
    client = Place.client
    chosen = lambda place, service: made if service == "stepfunctions" else client(place, service)  # noqa: E731 - short
    monkeypatch.setattr(Place, "client", chosen)
    with two_stacks(monkeypatch, tmp_path):
        where = {"LocationConstraint": STANDBY}
        s3 = boto3.client("s3", region_name=STANDBY)
        s3.create_bucket(Bucket=standby().vault, CreateBucketConfiguration=where, ObjectLockEnabledForBucket=True)
        keep(point())
        yield made


def standby():
    return Place(STANDBY, "prod")


def tell(outcome="completed", reason="exercise", model=MODEL, name="f-1"):
    """The evidence of the failover."""
    given = {"model": model, "id": name, "sequence": 0, "previous": GENESIS, "kind": "failover", "region": STANDBY,
             "epoch": 1, "recovery_point": "v1-aaa", "phases": (), "recorded_at": NOON}  # fmt: skip
    VaultEvidence(standby().sealed, lambda: NOON).append(Evidence(outcome=outcome, reason=reason, **given))


def claimed():
    claim = Epoch(number=1, failover_id="f-1", region=STANDBY, recovery_point="v1-aaa", claimed_at=NOON)
    standby().catalog.claim(MODEL, claim, None)
    return claim


def wait(*more, command="failover"):
    return run(command, "churn", "--reason", "exercise", "--wait", *more)


@pytest.mark.parametrize("command", ["failover", "move"])
def test_one_that_dies_is_followed_in_the_execution_that_goes_on_and_completes(states, command):
    if command == "move":
        put_policy(STANDBY)
        standby().catalog.put_route(MODEL, ROUTE, {})
    states.then("f-1", "RUNNING", "ClaimEpoch", "MaterialiseServing")
    states.then("f-1", "ABORTED", "ClaimEpoch", "MaterialiseServing")
    states.script += [lambda: None] * 59
    states.then("f-1-2", "RUNNING", "ClaimEpoch")
    states.then("f-1-2", "RUNNING", "ClaimEpoch", "VerifyServing", "WaitForAnswer")
    states.script.append(tell)
    states.then("f-1-2", "SUCCEEDED", "ClaimEpoch", "VerifyServing", "WaitForAnswer", "Conclude")
    ended = wait(command=command)
    assert ended.exit_code == 0, ended.output
    said = [line.partition(" ")[2] for line in ended.stderr.splitlines()]
    expected = [
        PHASES["ClaimEpoch"], PHASES["MaterialiseServing"],
        "its execution died; waiting up to 2 min 30 s", "it was started again as f-1-2",
        PHASES["ClaimEpoch"], PHASES["VerifyServing"], PHASES["WaitForAnswer"], PHASES["Conclude"],
    ]  # fmt: skip
    assert len(said) == len(expected), said
    assert [line for line, words in zip(said, expected, strict=True) if words not in line] == []
    assert f"{STANDBY} serves sagemaker/churn from v1-aaa" in ended.stdout


def test_json_says_only_how_it_ended_in_whichever_execution(states):
    states.known["f-1"] = {"status": "TIMED_OUT"}
    states.script.append(tell)
    states.then("f-1-2", "SUCCEEDED", "Conclude")
    ended = wait("--json")
    assert (ended.exit_code, json.loads(ended.stdout)["outcome"], ended.stderr) == (0, "completed", "")


def test_what_dies_and_is_not_gone_on_with_has_failed_once_the_schedule_had_its_time(states):
    states.known["f-1"] = {"status": "ABORTED", "cause": "stopped in the console"}
    ended = wait()
    assert ended.exit_code == 1
    assert "failed: ABORTED: stopped in the console; nothing goes on with it" in ended.stderr
    assert GOES_ON_WITHIN <= states.passed <= GOES_ON_WITHIN + 2
    assert GOES_ON_WITHIN > 120, "the schedule looks every minute, and its look takes a while"


def test_each_death_has_its_own_time_and_the_last_execution_tells_that_it_failed(states):
    states.known["f-1"] = {"status": "ABORTED"}
    for name in ("f-1-2", "f-1-3"):
        states.script += [lambda: None] * 100
        states.then(name, "RUNNING")
        states.then(name, "FAILED", error="States.Runtime")
    states.script += [lambda: None] * 100
    states.script.append(lambda: tell("failed", "ExecutionLost: 3 executions of it died"))
    states.then("f-1-4", "FAILED", "RecordFailure", error="FailoverFailed")
    ended = wait()
    assert ended.exit_code == 1
    assert "failed: ExecutionLost: 3 executions of it died" in ended.stderr
    assert states.script == []


def test_what_died_after_its_claim_was_concluded_is_over_at_once(states):
    standby().catalog.conclude(MODEL, claimed())
    tell()
    states.known["f-1"] = {"status": "ABORTED"}
    assert wait().exit_code == 0
    assert states.passed == 0


def test_a_failure_that_was_told_is_over_at_once(states):
    claimed()
    tell("failed", "EndpointFailed: no capacity")
    states.known["f-1"] = {"status": "FAILED", "error": "FailoverFailed"}
    ended = wait()
    assert (ended.exit_code, states.passed) == (1, 0)
    assert "failed: EndpointFailed: no capacity" in ended.stderr


def test_an_operator_who_waits_less_reads_that_it_died(states):
    states.known["f-1"] = {"status": "ABORTED"}
    ended = wait("--timeout", "5")
    assert ended.exit_code == 1
    assert "f-1 has not completed in time; its execution died, and no other one goes on yet" in ended.stderr


def test_a_region_that_is_asked_for_again_is_followed_in_the_execution_that_goes_on(states, monkeypatch):
    """Its first execution was killed, and so was one of a model."""
    one = Planned.model_construct(model=MODEL)
    monkeypatch.setattr(evacuation, "_lines", lambda _: [one])
    name = recovery_id("region-1", MODEL)
    states.known |= {"region-1": {"status": "ABORTED"}, name: {"status": "ABORTED"}}
    states.then("region-1-2", "RUNNING")
    states.then(f"{name}-2", "RUNNING")
    states.then(f"{name}-2", "SUCCEEDED")
    states.script.append(lambda: tell(model=region_key(ACTIVE), name="region-1"))
    states.then("region-1-2", "SUCCEEDED")
    ended = run("failover", "--region", ACTIVE, "--reason", "it is gone", "--id", "region-1", "--wait")
    assert ended.exit_code == 0, ended.output
    words = ["died, and is to go on", "started again as region-1-2", "recovering", "recovered"]
    places = [ended.stderr.index(word) for word in words]
    assert all(first < second for first, second in pairwise(places))


def test_the_epoch_and_the_demo_know_the_execution_that_goes_on(states, monkeypatch):
    claimed()
    states.known |= {"f-1": {"status": "ABORTED"}, "f-1-2": {"status": "RUNNING", "phases": ["WarmServing"]}}
    found = json.loads(run("epoch", "churn", "--json").stdout)["regions"][STANDBY]
    assert found["execution"] == "RUNNING"
    view = object.__new__(RegionView)
    view.place, view._states = standby(), states
    assert (view.phase("f-1"), view.failure("f-1")) == ("warming it", None)


def test_every_state_that_a_failover_works_or_waits_in_has_words():
    machine = json.loads(DEFINITION.read_text())["States"]
    assert set(PHASES) == {name for name, state in machine.items() if state["Type"] == "Task"} | LOOPS
