"""A pace grows with success, is halved once per round trip, and repeats no more than its budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.pace import Pace, PaceLimits


def grown(pace, answers):
    for _ in range(answers):
        pace.succeeded()
    return pace.allowed


def test_it_starts_low_and_gains_one_with_each_answer_while_nothing_was_refused():
    pace = Pace(PaceLimits(start=4, ceiling=32))
    assert pace.allowed == 4
    assert [grown(pace, 1) for _ in range(4)] == [5, 6, 7, 8]


def test_once_the_limit_was_felt_it_gains_one_for_each_full_window():
    pace = Pace(PaceLimits(start=8, ceiling=32))
    pace.refused(0.0, 1.0)
    assert pace.allowed == 4
    assert grown(pace, 4) <= 5
    assert grown(pace, 2) == 5


def test_it_stops_at_its_ceiling_and_never_starts_above_it():
    assert grown(Pace(PaceLimits(start=4, ceiling=8)), 1000) == 8
    assert Pace(PaceLimits(start=4, ceiling=2)).allowed == 2


def test_a_refusal_halves_it_down_to_one():
    pace = Pace(PaceLimits(start=16))
    seen = []
    for moment in range(6):
        pace.refused(sent=moment, now=moment + 0.5)
        seen.append(pace.allowed)
    assert seen == [8, 4, 2, 1, 1, 1]


def test_refusals_of_one_round_trip_halve_it_once():
    pace = Pace(PaceLimits(start=16))
    for sent in (0.0, 0.1, 0.2, 0.9):
        pace.refused(sent, now=1.0 + sent)
    assert pace.allowed == 8
    pace.refused(sent=1.1, now=2.0)
    assert pace.allowed == 4


def test_it_recovers_after_a_cut():
    pace = Pace(PaceLimits(start=16, ceiling=16))
    pace.refused(0.0, 1.0)
    assert grown(pace, 500) == 16


def test_retries_take_from_a_budget_that_successes_fill():
    pace = Pace(PaceLimits(budget=2))
    assert [pace.may_retry(1) for _ in range(3)] == [True, True, False]
    pace.succeeded()
    assert [pace.may_retry(1) for _ in range(2)] == [True, False]
    assert grown(pace, 100)
    assert [pace.may_retry(1) for _ in range(3)] == [True, True, False]


def test_one_call_has_a_bounded_number_of_attempts():
    pace = Pace(PaceLimits(attempts=3))
    assert [pace.may_retry(attempt) for attempt in (1, 2, 3)] == [True, True, False]


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.1), (2, 0.2), (5, 1.6), (7, 5.0), (500, 5.0)])
def test_a_delay_is_anything_up_to_a_bound_that_doubles(attempt, longest):
    pace = Pace(PaceLimits(first_delay=0.1, longest_delay=5.0))
    assert pace.delay(attempt, 0.0) == 0.0
    assert pace.delay(attempt, 0.5) == pytest.approx(longest / 2)
    assert pace.delay(attempt, 0.999999) == pytest.approx(longest, rel=1e-5)


@given(st.lists(st.sampled_from(["success", "refusal", "fault"]), max_size=400))
def test_whatever_happens_the_window_is_in_bounds_and_retries_are_paid_for(story):
    limits = PaceLimits(ceiling=32, budget=10)
    pace, retries = Pace(limits), 0
    for moment, event in enumerate(story):
        if event == "success":
            pace.succeeded()
        else:
            if event == "refusal":
                pace.refused(moment, moment + 0.5)
            retries += pace.may_retry(1)
        assert 1 <= pace.allowed <= limits.ceiling
    assert retries <= limits.budget + story.count("success")
