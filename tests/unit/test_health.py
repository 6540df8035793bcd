"""Health: what the vantage points agree on, and what follows from it, over every sequence of rounds."""

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.health import (
    COOL_DOWN,
    Action,
    HealthState,
    Observation,
    Rules,
    Sight,
    Standby,
    decide,
    judge,
    read_canary,
)

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
READY = Standby(ready=True, serving=False)
AUTOMATIC = Rules(automatic=True, consecutive=3)
H, U, X = Sight.HEALTHY, Sight.UNHEALTHY, Sight.UNKNOWN
SIGHTS = st.sampled_from([H, U, X])
ROUNDS = st.lists(st.lists(SIGHTS, max_size=4), max_size=60)


def seen(sights):
    return [Observation(vantage=f"v{number}", sight=sight, detail="as seen") for number, sight in enumerate(sights)]


def play(rounds, rules=AUTOMATIC, standby=READY, seconds=10):
    """Every decision of a sequence of rounds, each remembering the one before."""
    state, decisions = HealthState(), []
    for number, sights in enumerate(rounds):
        decision = decide(state, seen(sights), rules, standby, NOW + dt.timedelta(seconds=seconds * number))
        decisions.append(decision)
        state = decision.state
    return decisions


def actions(*args, **kwargs):
    return [decision.action for decision in play(*args, **kwargs)]


@pytest.mark.parametrize(
    ("sights", "verdict"),
    [
        ([H, H], H),
        ([H, X], H),
        ([U, U], U),
        ([U, U, X], U),
        ([U, U, H], X),
        ([U, H], X),
        ([U, X], X),
        ([U], X),
        ([X, X], X),
        ([], X),
    ],
)
def test_the_vantage_points_agree_or_nobody_knows(sights, verdict):
    assert judge(seen(sights))[0] is verdict


def test_the_reason_names_every_vantage_point():
    assert judge(seen([U, X]))[1] == "v0: unhealthy (as seen); v1: unknown (as seen)"
    assert judge([])[1] == "no vantage point"


@pytest.mark.parametrize(("text", "sight"), [("healthy", H), ("unhealthy", U), (None, X), ("", X), ("Healthy", X)])
def test_a_canary_says_what_route_53_believes(text, sight):
    assert read_canary("_health.churn.example", text).sight is sight


@given(rounds=ROUNDS, consecutive=st.integers(1, 6))
def test_a_failover_follows_so_many_quorum_rounds_in_a_row_and_nothing_else(rounds, consecutive):
    decisions = play(rounds, Rules(automatic=True, consecutive=consecutive))
    for number, decision in enumerate(decisions):
        if decision.action is Action.FAIL_OVER:
            before = rounds[max(0, number - consecutive + 1) : number + 1]
            assert len(before) == consecutive
            assert all(sights.count(U) >= 2 and H not in sights for sights in before)


@given(rounds=st.lists(st.lists(SIGHTS, max_size=4).filter(lambda one: H in one or one.count(U) < 2), max_size=60))
def test_what_cannot_be_observed_never_fails_over(rounds):
    assert Action.FAIL_OVER not in actions(rounds)


@given(rounds=ROUNDS)
def test_a_person_is_paged_once_until_the_model_was_healthy_again(rounds):
    paged = False
    for decision in play(rounds):
        if decision.state.verdict is H:
            paged = False
        if decision.action is Action.PAGE:
            assert not paged
            paged = True


@given(rounds=ROUNDS, seconds=st.integers(1, 300))
def test_two_requests_are_never_closer_than_the_cool_down(rounds, seconds):
    decisions = play(rounds, seconds=seconds)
    asked = [number for number, one in enumerate(decisions) if one.action is Action.FAIL_OVER]
    assert all((b - a) * seconds >= COOL_DOWN.total_seconds() for a, b in itertools.pairwise(asked))


@given(rounds=ROUNDS, automatic=st.booleans())
def test_a_region_that_serves_does_nothing(rounds, automatic):
    serving = Standby(ready=True, serving=True)
    assert set(actions(rounds, Rules(automatic=automatic, consecutive=1), serving)) <= {Action.NONE}


@given(rounds=ROUNDS)
def test_a_standby_that_is_not_ready_never_takes_over(rounds):
    assert Action.FAIL_OVER not in actions(rounds, standby=Standby(ready=False, serving=False, reason="nothing sealed"))


@given(rounds=ROUNDS)
def test_every_decision_has_a_reason(rounds):
    assert all(decision.reason for decision in play(rounds))


def test_the_third_round_in_a_row_requests_and_the_first_one_dates_the_outage():
    decisions = play([[H, H], [U, U], [U, U], [U, U]])
    assert [one.action for one in decisions] == [Action.NONE] * 3 + [Action.FAIL_OVER]
    assert decisions[-1].state.first_unhealthy_at == NOW + dt.timedelta(seconds=10)
    assert decisions[-1].state.requested_at == NOW + dt.timedelta(seconds=30)


def test_an_unknown_round_breaks_the_row():
    assert Action.FAIL_OVER not in actions([[U, U], [U, U], [U, X]] * 10)


def test_an_outage_that_outlasts_the_cool_down_is_requested_again():
    found = actions([[U, U]] * 100)
    assert found.count(Action.FAIL_OVER) == 2
    assert found.index(Action.FAIL_OVER) == 2


def test_a_model_that_flaps_after_a_request_is_left_to_cool_down():
    assert actions([[U, U]] * 3 + [[H, H]] + [[U, U]] * 5).count(Action.FAIL_OVER) == 1


def test_a_policy_that_wants_a_person_pages_with_the_reason():
    decisions = play([[U, U]] * 5, Rules(automatic=False, consecutive=2))
    assert [one.action for one in decisions] == [Action.NONE, Action.PAGE, Action.NONE, Action.NONE, Action.NONE]
    assert "the policy leaves it to a person" in decisions[1].reason


def test_a_standby_that_is_not_ready_pages_with_its_reason():
    standby = Standby(ready=False, serving=False, reason="no sealed recovery point")
    page = play([[U, U]] * 3, standby=standby)[-1]
    assert page.action is Action.PAGE
    assert "no sealed recovery point" in page.reason


def test_health_forgets_the_outage():
    state = play([[U, U], [U, X], [H, H]])[-1].state
    assert (state.unhealthy_rounds, state.unknown_rounds, state.first_unhealthy_at, state.paged) == (0, 0, None, False)
