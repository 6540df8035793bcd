"""What one model's decision means for the failovers of others: only what will move by itself may hold them back."""

import datetime as dt

import pytest

from mldr.domain.health import Action, Decision, HealthState, Request, Sight, Standby, Why
from mldr.domain.identity import ModelKey
from mldr.domain.joint_failovers import Turn, turn_of
from mldr.domain.model_rules import FailoverMode

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CHURN = ModelKey(registry="sagemaker", name="churn")
READY = Standby(model=CHURN, ready=True, serving=False)


def decision(why, action=Action.NONE, **state):
    return Decision(action=action, why=why, state=HealthState(verdict=Sight.UNHEALTHY, **state), reason="so it is")


@pytest.mark.parametrize("why", [Why.COUNTING, Why.UNKNOWN])
@pytest.mark.parametrize(
    ("mode", "turn"),
    [(FailoverMode.AUTOMATIC, Turn.COUNTING), (FailoverMode.APPROVE, None), (FailoverMode.MANUAL, None)],
)
def test_a_model_that_a_person_moves_never_holds_others_back(why, mode, turn):
    """It is in trouble as long as the person thinks: what fails over by itself must not wait for that."""
    assert turn_of(decision(why), READY, mode) is turn


def test_what_was_unknown_for_so_long_that_a_person_was_paged_holds_nobody_back():
    told = decision(Why.UNKNOWN, paged_for=(Why.UNKNOWN,))
    assert turn_of(told, READY, FailoverMode.AUTOMATIC) is None


def test_what_fails_over_already_holds_nobody_back():
    runs = READY.model_copy(update={"under_way": "failover-1"})
    assert turn_of(decision(Why.COUNTING), runs, FailoverMode.AUTOMATIC) is None


@pytest.mark.parametrize("mode", list(FailoverMode))
def test_what_is_decided_is_asked_for_whoever_decided_it(mode):
    request = Request(id="auto-1", tries=1, asked_at=NOW, put_at=NOW)
    asked = decision(Why.REQUESTED, Action.FAIL_OVER, request=request)
    assert turn_of(asked, READY, mode) is Turn.ASKED
