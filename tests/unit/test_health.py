"""Health: what the vantage points agree on, and what follows from it, over every sequence of rounds."""

import datetime as dt
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldr.domain.failover import Epoch
from mldr.domain.health import (
    FIRST_RETRY,
    KEPT_CHANGES,
    REPEAT,
    Action,
    Fate,
    HealthState,
    Observation,
    Rules,
    Sight,
    Standby,
    Why,
    decide,
    judge,
)
from mldr.domain.identity import ModelKey
from mldr.domain.model_rules import FailoverMode

patient = settings(deadline=None)  # a busy machine is slow, not wrong
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CHURN = ModelKey(registry="sagemaker", name="churn")
READY = Standby(model=CHURN, ready=True, serving=False)
AUTOMATIC = Rules(mode=FailoverMode.AUTOMATIC, consecutive=3)
APPROVE = Rules(mode=FailoverMode.APPROVE, consecutive=2)
H, U, X = Sight.HEALTHY, Sight.UNHEALTHY, Sight.UNKNOWN
SIGHTS = st.sampled_from([H, U, X])
ROUNDS = st.lists(st.lists(SIGHTS, max_size=4), max_size=60)
MODES = st.sampled_from(list(FailoverMode))
RUNS = READY.model_copy(update={"fate": Fate.RUNNING})


def rules(mode=FailoverMode.AUTOMATIC, **more):
    return Rules(mode=mode, **{"consecutive": 3, **more})


def seen(sights):
    return [Observation(vantage=f"v{number}", sight=sight, detail="as seen") for number, sight in enumerate(sights)]


def play(rounds, rules=AUTOMATIC, standby=RUNS, seconds=10, state=None, start=NOW):
    """Every decision of a sequence of rounds, each remembering the one before. What was requested runs on."""
    state, decisions = state or HealthState(), []
    for number, sights in enumerate(rounds):
        facts = standby(number) if callable(standby) else standby
        decision = decide(state, seen(sights), rules, facts, start + dt.timedelta(seconds=seconds * number))
        decisions.append(decision)
        state = decision.state
    return decisions


def actions(*args, **kwargs):
    return [decision.action for decision in play(*args, **kwargs)]


# what the vantage points agree on


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
    assert judge(seen(sights), 2)[0] is verdict


@patient
@given(sights=st.lists(SIGHTS, max_size=5), quorum=st.integers(2, 3))
def test_down_is_what_a_quorum_saw_fail_and_nobody_saw_work(sights, quorum):
    assert (judge(seen(sights), quorum)[0] is U) == (sights.count(U) >= quorum and H not in sights)


def test_with_a_witness_one_blind_vantage_point_does_not_hold_a_failover_up():
    assert judge(seen([X, U, U]), 2)[0] is U
    assert judge(seen([X, U, U]), 3)[0] is X


def test_a_quorum_that_is_out_of_reach_is_paged_by_day_once():
    strict = rules(quorum=3)
    found = play([[H, H]] * 5, strict)
    assert [one.action for one in found] == [Action.PAGE] + [Action.NONE] * 4
    assert {one.why for one in found} == {Why.OUT_OF_REACH}
    assert "health.quorum is 3 and there are 2 vantage points, so nothing is ever down" in found[0].reason


def test_a_quorum_that_is_out_of_reach_is_named_in_the_outage_that_it_hides():
    last = play([[H, H]] + [[U, U]] * 3, rules(quorum=3))[-1]
    assert (last.action, last.why) == (Action.PAGE, Why.UNKNOWN)
    assert "deploy this region's stack with a WitnessHost" in last.reason


def test_with_a_witness_the_quorum_is_within_reach_and_may_be_lost_again():
    found = play([[H, H], [H, H, H], [H, H, X], [H, H], [H, H]], rules(quorum=3))
    assert [one.action for one in found] == [Action.PAGE, Action.NONE, Action.NONE, Action.PAGE, Action.NONE]


def test_a_region_that_serves_looks_at_nothing_and_forgets_nothing_of_it():
    state = play([[H, H]], rules(quorum=3))[-1].state
    serving = READY.model_copy(update={"serving": True})
    assert play([[], [H, H]], rules(quorum=3), lambda n: serving if n == 0 else READY, state=state)[-1].action is (
        Action.NONE
    )


def test_the_reason_names_every_vantage_point():
    assert judge(seen([U, X]), 2)[1] == "v0: unhealthy (as seen); v1: unknown (as seen)"
    assert judge([], 2)[1] == "no vantage point"


# when it acts


@patient
@given(rounds=ROUNDS, consecutive=st.integers(1, 6), quorum=st.integers(2, 3))
def test_a_failover_follows_so_many_quorum_rounds_in_a_row_and_nothing_else(rounds, consecutive, quorum):
    decisions = play(rounds, rules(consecutive=consecutive, quorum=quorum))
    for number, decision in enumerate(decisions):
        if decision.action in (Action.FAIL_OVER, Action.ASK):
            before = rounds[max(0, number - consecutive + 1) : number + 1]
            assert len(before) == consecutive
            assert all(sights.count(U) >= quorum and H not in sights for sights in before)


@patient
@given(
    rounds=st.lists(st.lists(SIGHTS, max_size=4).filter(lambda one: H in one or one.count(U) < 2), max_size=60),
    mode=MODES,
    fate=st.sampled_from(list(Fate)),
)
def test_what_cannot_be_observed_never_fails_over_and_asks_nobody_to(rounds, mode, fate):
    standby = READY.model_copy(update={"fate": fate})
    assert {Action.FAIL_OVER, Action.ASK}.isdisjoint(actions(rounds, rules(mode), standby))


@patient
@given(
    rounds=ROUNDS, mode=st.sampled_from([FailoverMode.APPROVE, FailoverMode.MANUAL]), fate=st.sampled_from(list(Fate))
)
def test_nothing_is_requested_without_a_person_where_the_policy_wants_one(rounds, mode, fate):
    standby = READY.model_copy(update={"fate": fate})
    assert Action.FAIL_OVER not in actions(rounds, rules(mode), standby)


@patient
@given(rounds=ROUNDS, mode=MODES)
def test_a_person_is_paged_once_in_an_outage_for_each_reason(rounds, mode):
    paged = set()
    for decision in play(rounds, rules(mode)):
        if not decision.state.paged_for:
            paged = set()
        if Why.OUT_OF_REACH not in decision.state.paged_for:
            paged.discard(Why.OUT_OF_REACH)  # no outage: enough of them have looked since
        if decision.action is Action.PAGE:
            assert decision.why not in paged
            paged.add(decision.why)


@patient
@given(rounds=ROUNDS, seconds=st.integers(1, 300), fate=st.sampled_from([Fate.RUNNING, Fate.OVER]))
def test_two_requests_are_never_closer_than_the_cool_down(rounds, seconds, fate):
    decisions = play(rounds, standby=READY.model_copy(update={"fate": fate}), seconds=seconds)
    asked = [number for number, one in enumerate(decisions) if one.action is Action.FAIL_OVER]
    pauses = [(b - a) * seconds for a, b in itertools.pairwise(asked)]
    assert all(pause >= AUTOMATIC.cool_down.total_seconds() for pause in pauses)


@patient
@given(rounds=ROUNDS, mode=MODES)
def test_a_region_that_serves_does_nothing(rounds, mode):
    serving = Standby(model=CHURN, ready=True, serving=True)
    assert set(actions(rounds, rules(mode, consecutive=1), serving)) <= {Action.NONE}


@patient
@given(rounds=ROUNDS, mode=MODES)
def test_a_standby_that_is_not_ready_never_takes_over(rounds, mode):
    unready = Standby(model=CHURN, ready=False, serving=False, reason="nothing sealed")
    assert {Action.FAIL_OVER, Action.ASK}.isdisjoint(actions(rounds, rules(mode), unready))


@patient
@given(rounds=ROUNDS, mode=MODES)
def test_while_a_failover_is_under_way_nothing_is_asked(rounds, mode):
    busy = READY.model_copy(update={"under_way": "by-hand-1"})
    assert {Action.FAIL_OVER, Action.ASK}.isdisjoint(actions(rounds, rules(mode), busy))


def test_the_third_round_in_a_row_requests_and_the_first_one_dates_the_outage():
    decisions = play([[H, H], [U, U], [U, U], [U, U]])
    assert [one.action for one in decisions] == [Action.NONE] * 3 + [Action.FAIL_OVER]
    assert decisions[-1].state.first_unhealthy_at == NOW + dt.timedelta(seconds=10)
    assert decisions[-1].state.requested_at == NOW + dt.timedelta(seconds=30)


def test_an_unknown_round_breaks_the_row():
    assert Action.FAIL_OVER not in actions([[U, U], [U, U], [U, X]] * 10)


def test_health_forgets_the_outage_once_it_has_lasted():
    state = play([[U, U], [U, X], [H, H], [H, H], [H, H]])[-1].state
    assert (state.unhealthy_rounds, state.unknown_rounds, state.first_unhealthy_at, state.paged_for) == (0, 0, None, ())


def test_what_cannot_be_seen_now_and_then_pages_once():
    assert actions(([[U, X]] * 3 + [[H, H]]) * 10).count(Action.PAGE) == 1


def test_a_single_good_round_of_an_outage_pages_nobody_twice():
    rounds = ([[U, U]] * 3 + [[H, H]]) * 5
    assert actions(rounds, rules(FailoverMode.MANUAL)).count(Action.PAGE) == 1


# flapping


@patient
@given(
    lengths=st.lists(st.tuples(SIGHTS, st.integers(1, 12)), max_size=60),
    seconds=st.integers(1, 120),
    flaps=st.integers(1, 5),
)
def test_flapping_health_does_not_flap_traffic(lengths, seconds, flaps):
    """However the verdict jumps: no more outages move a model in any window than it may change before it flaps."""
    window = dt.timedelta(hours=1)
    rounds = [[sight, sight] for sight, count in lengths for _ in range(count)]
    flapping = rules(flaps=flaps, flap_window=window, cool_down=dt.timedelta(seconds=1))
    decisions = play(rounds, flapping, READY.model_copy(update={"fate": Fate.OVER}), seconds=seconds)
    moved, outage, before = {}, 0, H
    for number, decision in enumerate(decisions):
        outage += before is H and decision.state.settled is U
        before = decision.state.settled
        if decision.action is Action.FAIL_OVER:
            assert len(decision.state.changes) <= flaps
            moved.setdefault(outage, NOW + dt.timedelta(seconds=seconds * number))
    for at in moved.values():
        assert sum(at <= other < at + window for other in moved.values()) <= flaps // 2 + 1


def test_a_model_that_flaps_pages_and_is_not_moved():
    up_and_down = ([[U, U]] * 3 + [[H, H]] * 3) * 3
    calm = rules(cool_down=dt.timedelta(seconds=1))
    decisions = play(up_and_down, calm)
    assert [d.action for d in decisions].count(Action.FAIL_OVER) == 2
    [page] = [d for d in decisions if d.action is Action.PAGE]
    assert page.why is Why.FLAPPING
    assert "the verdict changed 5 times within 1:00:00" in page.reason


def test_a_model_that_flapped_is_moved_again_when_it_has_been_calm_for_the_window():
    up_and_down = ([[U, U]] * 3 + [[H, H]] * 3) * 6
    calm = rules(cool_down=dt.timedelta(seconds=1))
    state = play(up_and_down, calm)[-1].state
    later = play([[U, U]] * 3, calm, state=state, start=NOW + dt.timedelta(hours=2))
    assert later[-1].action is Action.FAIL_OVER


def test_short_glitches_are_no_flaps():
    glitches = ([[U, U]] + [[H, H]] * 2) * 20
    assert play(glitches)[-1].state.changes == ()
    assert actions([*glitches, *[[U, U]] * 3])[-1] is Action.FAIL_OVER


@patient
@given(rounds=ROUNDS)
def test_what_is_remembered_stays_small(rounds):
    decisions = play(rounds * 3, rules(consecutive=1), seconds=1)
    assert all(len(d.state.changes) <= KEPT_CHANGES for d in decisions)


# after a request


def test_an_outage_that_outlasts_a_failover_that_failed_is_requested_again_after_the_cool_down():
    failed = READY.model_copy(update={"fate": Fate.OVER})
    decisions = play([[U, U]] * 100, standby=failed)
    asked = [d for d in decisions if d.action is Action.FAIL_OVER]
    assert [d.state.request.tries for d in asked] == [1, 2]
    assert len({d.state.request.id for d in asked}) == 2


def test_a_request_that_was_refused_is_made_again_in_the_same_outage_ever_more_seldom():
    refused = READY.model_copy(update={"fate": Fate.REFUSED})
    decisions = play([[U, U]] * 60, standby=refused)
    at = [number * 10 for number, d in enumerate(decisions) if d.action is Action.FAIL_OVER]
    assert at == [20, 50, 110, 230, 470]
    first = FIRST_RETRY.total_seconds()
    assert [b - a for a, b in itertools.pairwise(at)] == [first, first * 2, first * 4, first * 8]
    ids = [d.state.request.id for d in decisions if d.action is Action.FAIL_OVER]
    assert len(set(ids)) == len(ids)
    assert all(len(name) <= 60 for name in ids)


def test_a_request_that_was_refused_waits_until_the_standby_is_ready():
    def standby(number):
        return READY.model_copy(update={"fate": Fate.REFUSED, "ready": number < 3 or number > 30, "reason": "damaged"})

    found = actions([[U, U]] * 36, standby=standby)
    assert [number for number, action in enumerate(found) if action is Action.FAIL_OVER] == [2, 31]


def test_a_request_of_which_nothing_is_seen_is_put_again_under_its_own_id():
    decisions = play([[U, U]] * 16, standby=READY)
    asked = [(number * 10, d.state.request) for number, d in enumerate(decisions) if d.action is Action.FAIL_OVER]
    assert [at for at, _ in asked] == [20, 20 + REPEAT.total_seconds(), 20 + 2 * REPEAT.total_seconds()]
    assert len({request.id for _, request in asked}) == 1


def test_a_round_that_is_repeated_after_a_crash_requests_the_same_failover():
    state = play([[U, U]] * 2)[-1].state
    at = [NOW + dt.timedelta(seconds=s) for s in (20, 35)]
    first, second = (decide(state, seen([U, U]), AUTOMATIC, READY, one) for one in at)
    assert first.action is second.action is Action.FAIL_OVER
    assert first.state.request.id == second.state.request.id


def test_a_new_outage_within_the_cool_down_pages_and_waits():
    rounds = [[U, U]] * 3 + [[H, H]] * 3 + [[U, U]] * 90
    decisions = play(rounds)
    asked = [number for number, d in enumerate(decisions) if d.action is Action.FAIL_OVER]
    assert asked == [2, 92]
    [page] = [d for d in decisions if d.action is Action.PAGE]
    assert page.why is Why.COOLING
    assert "not failed over before 12:15:20 (cool-down)" in page.reason


def test_a_model_that_has_just_moved_is_not_moved_on_by_itself():
    """However long the failover itself took: what counts is when this region learned of the new holder."""
    moved = RUNS.model_copy(update={"epoch": 1})
    decisions = play([[H, H]] * 5 + [[U, U]] * 95, standby=lambda n: moved if n >= 5 else RUNS)
    assert [n for n, d in enumerate(decisions) if d.action is Action.FAIL_OVER] == [95]
    assert [d.why for d in decisions if d.action is Action.PAGE] == [Why.COOLING]


def test_a_model_that_moved_after_a_refused_request_is_left_to_cool_down():
    def standby(number):
        return READY.model_copy(update={"fate": Fate.REFUSED, "epoch": 1 if number >= 4 else 0})

    decisions = play([[U, U]] * 100, standby=standby)
    asked = [number for number, d in enumerate(decisions) if d.action is Action.FAIL_OVER]
    assert asked == [2, 94]


# a person


def test_a_policy_that_wants_a_person_pages_with_the_reason():
    decisions = play([[U, U]] * 5, rules(FailoverMode.MANUAL, consecutive=2))
    assert [one.action for one in decisions] == [Action.NONE, Action.PAGE, Action.NONE, Action.NONE, Action.NONE]
    assert "the policy leaves it to a person" in decisions[1].reason


def test_a_standby_that_is_not_ready_pages_with_its_reason():
    standby = Standby(model=CHURN, ready=False, serving=False, reason="no sealed recovery point")
    page = play([[U, U]] * 3, standby=standby)[-1]
    assert page.action is Action.PAGE
    assert "no sealed recovery point" in page.reason


def test_a_page_about_the_unknown_does_not_keep_the_next_reason_quiet():
    unready = Standby(model=CHURN, ready=False, serving=False, reason="nothing sealed")
    decisions = play([[U, X]] * 5 + [[U, U]] * 5, standby=unready)
    assert [d.why for d in decisions if d.action is Action.PAGE] == [Why.UNKNOWN, Why.NOT_READY]


def test_a_person_is_asked_once_within_the_time_and_again_after_it():
    decisions = play([[U, U]] * 200, APPROVE)
    asked = [(number * 10, d.state.ask) for number, d in enumerate(decisions) if d.action is Action.ASK]
    assert [at for at, _ in asked] == [10, 910, 1810]
    assert len({ask.id for _, ask in asked}) == 1
    assert asked[0][1].until == NOW + dt.timedelta(seconds=910)


def test_a_person_is_asked_while_it_flaps_or_cools_down_and_told_so():
    """Only what moves by itself waits: a person may know better."""
    restless = HealthState(
        changes=tuple(NOW - dt.timedelta(minutes=m) for m in range(20, 0, -1)),
        epoch=2,
        moved_at=NOW - dt.timedelta(minutes=1),
    )
    asked = play([[U, U]] * 2, APPROVE, RUNS.model_copy(update={"epoch": 2}), state=restless)[-1]
    assert asked.action is Action.ASK
    assert "the verdict changed 21 times within 1:00:00; it moved, or was to, a moment ago" in asked.reason
    assert "cool-down until 12:14:00" in asked.reason
    calm = play([[U, U]] * 2, APPROVE)[-1]
    assert (calm.action, "cool-down" in calm.reason, "changed" in calm.reason) == (Action.ASK, False, False)
    by_itself = play([[U, U]] * 2, rules(consecutive=2), RUNS.model_copy(update={"epoch": 2}), state=restless)[-1]
    assert by_itself.why is Why.FLAPPING


def test_an_approved_failover_is_a_request_with_the_same_id():
    asked = play([[U, U]] * 2, APPROVE)[-1].state
    approved = RUNS.model_copy(update={"approved": True})
    decision = decide(asked, seen([U, U]), APPROVE, approved, NOW + dt.timedelta(seconds=60))
    assert decision.action is Action.NONE
    assert (decision.state.request.id, decision.state.ask) == (asked.ask.id, None)


def test_an_approved_failover_that_was_refused_is_asked_for_anew():
    asked = play([[U, U]] * 2, APPROVE)[-1].state
    refused = READY.model_copy(update={"fate": Fate.REFUSED})
    facts = lambda n: refused.model_copy(update={"approved": n == 0})  # noqa: E731 - approved in the first round only
    decisions = play([[U, U]] * 10, APPROVE, facts, state=asked, start=NOW + dt.timedelta(seconds=60))
    [again] = [d for d in decisions if d.action is Action.ASK]
    assert again.state.ask.id == f"{asked.ask.id}-t2"


def test_a_question_is_dropped_when_the_outage_ends():
    decisions = play([[U, U]] * 3 + [[H, H]] * 2, APPROVE)
    assert (decisions[-2].state.ask is None, decisions[-1].state.ask is None) == (False, True)


# the log


@patient
@given(rounds=ROUNDS, mode=MODES)
def test_every_decision_has_a_reason_and_belongs_to_a_line_of_the_log(rounds, mode):
    lines = []
    for decision in play(rounds, rules(mode)):
        line = decision.state.decided
        assert line.reason == decision.reason
        assert decision.reason
        if lines and lines[-1].at == line.at:
            assert (line.rounds, line.why) == (lines[-1].rounds + 1, lines[-1].why)
            lines[-1] = line
        else:
            lines.append(line)
    assert sum(line.rounds for line in lines) == len(rounds)
    assert [line.at for line in lines] == sorted({line.at for line in lines})


def test_quiet_rounds_are_one_line_and_what_was_done_is_a_line_of_its_own():
    decisions = play([[H, H]] * 5 + [[U, U]] * 6)
    lines = {d.state.decided.at: d.state.decided for d in decisions}
    assert [(one.why, one.action, one.rounds) for one in lines.values()] == [
        (Why.HEALTHY, Action.NONE, 5),
        (Why.COUNTING, Action.NONE, 2),
        (Why.REQUESTED, Action.FAIL_OVER, 1),
        (Why.REQUESTED, Action.NONE, 3),
    ]


# clocks


@patient
@given(rounds=ROUNDS, skew=st.integers(-300, 300), mode=MODES)
def test_a_clock_that_is_minutes_off_decides_the_same(rounds, skew, mode):
    """No time of another region is compared with this one's: all of a region's times move together."""
    claimed = Epoch(number=1, failover_id="f", region="r", recovery_point="p", claimed_at=NOW, concluded=True)
    standby = RUNS.model_copy(update={"claimed": claimed, "epoch": 2})
    right = play(rounds, rules(mode), standby)
    wrong = play(rounds, rules(mode), standby, start=NOW + dt.timedelta(seconds=skew))
    assert [(d.action, d.why) for d in right] == [(d.action, d.why) for d in wrong]


@patient
@given(before=ROUNDS, after=ROUNDS, step=st.integers(-300, 300))
def test_a_clock_that_is_set_by_minutes_never_makes_it_act_sooner(before, after, step):
    state = play(before)[-1].state if before else HealthState()
    at = NOW + dt.timedelta(seconds=10 * len(before) + step)
    decisions = play(after, state=state, start=at)
    last = state.requested_at
    for number, one in enumerate(decisions):
        if one.action is Action.FAIL_OVER and last:
            real = NOW + dt.timedelta(seconds=10 * (len(before) + number))
            assert real - last >= AUTOMATIC.cool_down - dt.timedelta(seconds=300)


@patient
@given(rounds=ROUNDS, mode=MODES)
def test_what_is_remembered_survives_the_catalog(rounds, mode):
    for decision in play(rounds[:10], rules(mode, consecutive=1)):
        assert HealthState.model_validate_json(decision.state.model_dump_json()) == decision.state


def test_the_state_of_an_older_release_is_read():
    old = '{"verdict":"unhealthy","unhealthy_rounds":2,"unknown_rounds":0,"paged":true,"reason":"as seen"}'
    assert HealthState.model_validate_json(old).unhealthy_rounds == 2
