"""`mldr approve` and `mldr decisions`: what they say, what they send, and how they end."""

import datetime as dt
import json

import pytest

from cli import approve as module
from cli.regions import Place
from mldr.domain.approvals import Approval
from mldr.domain.health import Action, Decided, HealthState, Sight, Why
from mldr.domain.survivor import Survivor
from mldr.events.health import FailoverApproved
from mldr.steps.approve_failover import approve_failover
from tests.fakes.clock import FakeClock
from tests.functional.cli_stage import ACTIVE, MODEL, NOON, STANDBY, run, told, two_stacks

TOKEN = "3vJ0q7mWc1Yt_9aZ"
ASKED = Approval.ask(
    TOKEN, failover_id="auto-churn-e1", reason="it is down", now=NOON, until=NOON + dt.timedelta(minutes=15), first=NOON
)


@pytest.fixture(autouse=True)
def stage(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "POLL", 0.01)
    with two_stacks(monkeypatch, tmp_path):
        yield


def standby():
    return Place(STANDBY, "prod")


@pytest.fixture
def answering(monkeypatch):
    """The stack of the standby, which takes what comes to the bus at once; gives the clock that it goes by."""
    clock, bus = FakeClock(NOON), standby().bus
    put = type(bus).put

    def handled(self, detail_type, detail):
        put(self, detail_type, detail)
        if detail_type == "Failover Approved":
            event = FailoverApproved.parse({"id": "e", "source": "mldr", "detail-type": detail_type, "detail": detail})
            approve_failover(event, decisions=standby().decisions, bus=bus, clock=clock)

    monkeypatch.setattr(type(bus), "put", handled)
    return clock


class TestApprove:
    def test_the_failover_that_was_asked_about_follows(self, answering):
        standby().decisions.ask(MODEL, ASKED)
        ended = run("approve", "churn", TOKEN)
        assert ended.exit_code == 0, ended.output
        assert "approved: ap-southeast-3 takes over sagemaker/churn, failover auto-churn-e1" in ended.stdout
        approved, requested = told(STANDBY)
        assert approved["detail-type"] == "Failover Approved"
        assert (requested["detail-type"], requested["detail"]["failover_id"]) == ("Failover Requested", "auto-churn-e1")

    def test_json_names_the_failover(self, answering):
        standby().decisions.ask(MODEL, ASKED)
        found = json.loads(run("approve", "churn", TOKEN, "--json").stdout)
        assert found == {"model": "sagemaker/churn", "failover_id": "auto-churn-e1", "region": STANDBY}

    def test_a_wrong_token_is_sent_nowhere(self, answering):
        standby().decisions.ask(MODEL, ASKED)
        ended = run("approve", "churn", "another-token")
        assert ended.exit_code == 1
        assert "the token is wrong" in ended.stderr
        assert told(STANDBY) == told(ACTIVE) == []

    def test_without_a_question_nothing_is_sent(self, answering):
        ended = run("approve", "churn", TOKEN)
        assert ended.exit_code == 1
        assert "no failover of sagemaker/churn waits for an approval" in ended.stderr

    def test_the_second_operator_is_told_who_was_first(self, answering):
        standby().decisions.ask(MODEL, ASKED)
        standby().decisions.settle(MODEL, ASKED.use("ann", "event-1", NOON))
        ended = run("approve", "churn", TOKEN)
        assert ended.exit_code == 1
        assert "ann approved it at 12:00:00 UTC: failover auto-churn-e1" in ended.stderr

    def test_a_withdrawn_question_is_told(self, answering):
        standby().decisions.ask(MODEL, ASKED)
        standby().decisions.settle(MODEL, ASKED.withdraw("the outage ended"))
        ended = run("approve", "churn", TOKEN)
        assert ended.exit_code == 1
        assert "it is withdrawn: the outage ended" in ended.stderr

    def test_the_region_that_asked_decides_by_its_own_clock_whether_the_time_is_over(self, answering):
        """The operator's clock says years later; only what the standby's clock says counts."""
        standby().decisions.ask(MODEL, ASKED)
        answering.move(seconds=901)
        ended = run("approve", "churn", TOKEN, "--timeout", "1")
        assert ended.exit_code == 1
        assert "the token counted until 12:15:00 UTC" in ended.stderr
        assert [one["detail-type"] for one in told(STANDBY)] == ["Failover Approved"]

    def test_with_wait_it_is_followed_to_its_end(self, answering):
        standby().decisions.ask(MODEL, ASKED)
        ended = run("approve", "churn", TOKEN, "--wait", "--timeout", "1")
        assert ended.exit_code == 1
        assert "auto-churn-e1 has not completed in time; it has not started" in ended.stderr

    def test_a_token_that_is_none_is_bad_input(self, answering):
        assert run("approve", "churn", "short").exit_code == 2


def line(minutes=0, **changes):
    at = NOON + dt.timedelta(minutes=minutes)
    fields = {
        "at": at, "until": at, "rounds": 1, "verdict": Sight.HEALTHY, "action": Action.NONE, "why": Why.HEALTHY,
        "reason": "healthy: route53: healthy",
    }  # fmt: skip
    return Decided(**{**fields, **changes})


DOWN = {
    "verdict": Sight.UNHEALTHY,
    "why": Why.REQUESTED,
    "action": Action.FAIL_OVER,
    "reason": "unhealthy for 3 rounds",
}


class TestDecisions:
    def test_the_newest_come_first_with_their_reasons(self):
        for one in (line(), line(5, **DOWN)):
            standby().decisions.log(MODEL, one)
        shown = run("decisions", "churn").stdout
        assert shown.index("fail over") < shown.index("healthy: route53: healthy")
        assert "unhealthy for 3 rounds" in shown

    def test_json_has_the_lines_of_both_regions_and_no_digest(self):
        standby().decisions.log(MODEL, line(5, **DOWN))
        Place(ACTIVE, "prod").decisions.log(MODEL, line())
        standby().decisions.ask(MODEL, ASKED)
        shown = run("decisions", "churn", "--json").stdout
        found = json.loads(shown)
        assert [(one["region"], one["action"]) for one in found["decisions"]] == [
            (STANDBY, "fail over"), (ACTIVE, "none"),
        ]  # fmt: skip
        assert found["approvals"][0]["failover_id"] == "auto-churn-e1"
        assert ASKED.digest not in shown

    def test_the_line_that_goes_on_has_its_rounds(self):
        standby().decisions.log(MODEL, line())
        standby().catalog.put_health(MODEL, HealthState(decided=line(rounds=300)))
        assert json.loads(run("decisions", "churn", "--json").stdout)["decisions"][0]["rounds"] == 300

    def test_the_line_about_the_region_beside_a_home_has_its_rounds_too(self):
        home = Place(ACTIVE, "prod")
        home.decisions.log(MODEL, line())
        home.survivors.put(MODEL, Survivor().next(health=HealthState(decided=line(rounds=300))))
        assert json.loads(run("decisions", "churn", "--json").stdout)["decisions"][0]["rounds"] == 300

    def test_no_more_lines_than_asked_for(self):
        for minute in range(5):
            standby().decisions.log(MODEL, line(minute))
        assert len(json.loads(run("decisions", "churn", "--limit", "2", "--json").stdout)["decisions"]) == 2

    def test_a_model_that_nobody_watched_is_told(self):
        ended = run("decisions", "churn")
        assert ended.exit_code == 1
        assert "nobody watched sagemaker/churn" in ended.stdout

    @pytest.mark.parametrize(
        ("approval", "said"),
        [
            (ASKED, "it can be given until"),
            (ASKED.use("ann", "event-1", NOON), "given by ann at"),
            (ASKED.withdraw("the outage ended"), "withdrawn, the outage ended"),
        ],
    )
    def test_what_a_person_was_asked_is_told(self, approval, said):
        standby().decisions.log(MODEL, line())
        standby().decisions.ask(MODEL, approval)
        assert said in run("decisions", "churn").stdout
