"""The survivor: when a home carries the load of both regions, what it asks for, and what it gives back."""

import datetime as dt
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldr.domain.growth import Growth, Order
from mldr.domain.health import FIRST_RETRY, Action, Observation, Rules, Sight, Why
from mldr.domain.model_rules import FailoverMode
from mldr.domain.survivor import Facts, Survivor, concerns, decide, done, heard, refused
from mldr.domain.warming import Count

patient = settings(deadline=None)  # a busy machine is slow, not wrong
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
TEN = dt.timedelta(seconds=10)
RULES = Rules(mode=FailoverMode.MANUAL, consecutive=3)  # who may fail over has no say in it
H, U, X = Sight.HEALTHY, Sight.UNHEALTHY, Sight.UNKNOWN
SIGHTS = st.sampled_from([H, U, X])
KNOWN = Survivor(peer={"main": 2})


def seen(*sights):
    return [Observation(vantage=f"v{number}", sight=sight, detail="as seen") for number, sight in enumerate(sights)]


def facts(main=2, **more):
    counts = {"main": main} if isinstance(main, int) else main
    there = {name: Count(current=count, desired=count) for name, count in counts.items()}
    return Facts(**{"answers": "churn", "status": "InService", "there": there, **more})


class Place:
    """An endpoint that does as it is asked, and what is remembered of it."""

    def __init__(self, main=2, limit=None, peer=2, rules=RULES, refuses=False):
        self.counts = {"main": main}
        self.limits = {"main": limit} if limit else {}
        self.memory, self.rules, self.refuses = Survivor(peer={"main": peer}), rules, refuses
        self.at, self.rounds, self.most = NOW, [], main

    def round(self, sight, **more):
        told = facts(self.counts, limits=self.limits, **more)
        found = decide(self.memory, seen(sight, sight), self.rules, told, self.at)
        self.memory = found.after
        if found.action in (Action.SCALE, Action.GIVE_BACK):
            self._ask(found)
        self.rounds.append(found)
        self.at += TEN
        return found

    def _ask(self, found):
        if self.refuses:
            self.memory, _ = refused(self.memory, "no capacity", self.at)
            return
        self.counts |= found.order.counts
        self.limits |= found.order.limits
        self.most = max(self.most, *self.counts.values())
        self.memory = done(self.memory, found.action, self.at)

    def play(self, sights, **more):
        return [self.round(sight, **more) for sight in sights][-1]


# up


def test_it_is_scaled_to_the_sum_after_as_many_rounds_as_make_an_outage():
    place = Place(main=3, peer=2)
    place.play([U, U])
    assert [one.action for one in place.rounds] == [Action.NONE, Action.NONE]
    found = place.round(U)
    assert (found.action, found.order) == (Action.SCALE, Order(counts={"main": 5}))
    assert "main from 3 to 5 instances" in found.decision.reason
    assert place.counts == {"main": 5}


def test_a_long_outage_scales_once():
    place = Place()
    place.play([U] * 200)
    assert [one.action for one in place.rounds].count(Action.SCALE) == 1
    assert place.counts == {"main": 4}
    assert "carries both since 2026-03-01 12:00:20: main 4 of 4 instances" in place.rounds[-1].decision.reason


@pytest.mark.parametrize("mode", list(FailoverMode))
def test_it_asks_nobody_whoever_decides_about_failovers(mode):
    place = Place(rules=RULES.model_copy(update={"mode": mode}))
    place.play([U] * 3)
    assert place.counts == {"main": 4}


def test_nothing_is_done_while_it_cannot_be_told_and_a_person_is_paged_once():
    place = Place()
    place.play([X] * 20)
    assert [one.action for one in place.rounds].count(Action.PAGE) == 1
    assert place.counts == {"main": 2}
    assert "cannot tell whether the other region answers" in place.rounds[2].decision.reason


def test_one_vantage_point_that_sees_it_answer_holds_it_up():
    found = KNOWN
    for number in range(10):
        step = decide(found, seen(U, U, H), RULES, facts(), NOW + number * TEN)
        found = step.after
    assert step.action is not Action.SCALE
    assert found.growth is None


def test_where_autoscaling_would_hold_it_down_its_limit_is_raised():
    place = Place(limit=3)
    assert place.play([U] * 3).order == Order(counts={"main": 4}, limits={"main": 4})
    assert place.memory.growth.limits == {"main": 3}


def test_a_limit_that_is_high_enough_stays():
    place = Place(limit=4)
    assert place.play([U] * 3).order == Order(counts={"main": 4})
    assert place.memory.growth.limits == {}


def test_a_peer_that_announced_nothing_is_told_and_nothing_is_scaled():
    """A standby of an older release does not say what it has."""
    place = Place()
    place.memory = Survivor()
    place.play([U] * 10)
    [page] = [one for one in place.rounds if one.action is Action.PAGE]
    assert "nobody heard how many instances answer there" in page.decision.reason
    assert (place.counts, place.memory.growth) == ({"main": 2}, None)


def test_a_peer_with_other_variants_is_told_and_nothing_is_scaled():
    found = Survivor(peer={"blue": 2})
    for number in range(3):
        step = decide(found, seen(U, U), RULES, facts(), NOW + number * TEN)
        found = step.after
    assert step.action is Action.PAGE
    assert "it had blue 2, and churn has main" in step.decision.reason


def test_only_variants_that_the_peer_has_too_are_scaled():
    found = Survivor(peer={"a": 2, "gone": 4})
    for number in range(3):
        step = decide(found, seen(U, U), RULES, facts({"a": 1, "b": 7}), NOW + number * TEN)
        found = step.after
    assert step.order == Order(counts={"a": 3})
    assert step.after.growth.before == {"a": 1}


def test_what_has_no_counts_is_left_alone_and_nobody_is_paged():
    """A serverless variant has none: it scales by itself."""
    place = Place()
    place.counts = {}
    place.play([U] * 10)
    assert {one.action for one in place.rounds} == {Action.NONE}
    assert "no counts of instances to scale" in place.rounds[-1].decision.reason


def test_an_endpoint_that_changes_is_scaled_once_it_is_in_service():
    place = Place()
    place.play([U] * 5, status="Updating")
    assert (place.rounds[-1].decision.why, place.memory.growth) == (Why.CHANGING, None)
    place.counts = {"main": 3}
    assert place.round(U).order == Order(counts={"main": 5})


def test_what_cannot_be_read_is_told_once_and_nothing_is_scaled():
    place = Place()
    place.play([U] * 10, blind="NotAllowed: no")
    assert [one.action for one in place.rounds].count(Action.PAGE) == 1
    assert "not scaled: NotAllowed: no" in place.rounds[2].decision.reason
    assert place.round(U).action is Action.SCALE


def test_what_was_refused_is_asked_for_again_more_and_more_seldom():
    place = Place(refuses=True)
    place.play([U] * 600)
    asked = [NOW + number * TEN for number, one in enumerate(place.rounds) if one.action is Action.SCALE]
    pauses = [after - before for before, after in itertools.pairwise(asked)]
    assert pauses[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert max(pauses) == RULES.cool_down
    assert len({one.order.counts["main"] for one in place.rounds if one.action is Action.SCALE}) == 1
    place.refuses = False
    place.play([U] * 100)
    assert place.counts == {"main": 4}


def test_a_refusal_is_told_once_in_an_outage():
    grown = KNOWN.model_copy(update={"growth": Growth(endpoint="churn", before={}, wanted={}, planned_at=NOW)})
    once, tell = refused(grown, "no capacity", NOW)
    assert tell
    again, tell = refused(once, "no capacity", NOW + TEN)
    assert (tell, again.growth.tries) == (False, 2)


def test_instances_that_went_away_again_are_told_and_not_asked_for_again():
    place = Place()
    place.play([U] * 3)
    place.counts = {"main": 2}
    place.play([U] * 10)
    [page] = [one for one in place.rounds if one.action is Action.PAGE]
    assert "is back at main 2 instances" in page.decision.reason
    assert place.counts == {"main": 2}


def test_what_autoscaling_took_away_is_its_own_affair():
    place = Place(limit=9)
    place.play([U] * 3)
    place.counts = {"main": 2}
    place.play([U] * 10)
    assert Action.PAGE not in [one.action for one in place.rounds]


# a crash


def test_what_was_planned_and_not_asked_for_is_asked_for_in_the_same_numbers():
    """The function died after it wrote the plan; meanwhile the peer announced something else."""
    place = Place()
    planned = place.play([U] * 3).after
    step = decide(heard(planned, {"main": 9}), seen(U, U), RULES, facts(2), place.at)
    assert step.order == Order(counts={"main": 4})
    assert step.after.growth.before == {"main": 2}


def test_what_was_asked_for_and_not_noted_is_not_asked_for_again():
    place = Place()
    planned = place.play([U] * 3).after
    step = decide(planned, seen(U, U), RULES, facts(4), place.at)
    assert (step.action, step.order) == (Action.PAGE, Order()), "nobody was told"
    assert step.after.growth.scaled_at == place.at
    assert decide(step.after, seen(U, U), RULES, facts(4), place.at + TEN).action is Action.NONE
    assert (step.after.growth.before, step.after.growth.wanted) == ({"main": 2}, {"main": 4})


def test_a_limit_that_was_raised_before_the_crash_is_not_taken_for_the_owners():
    place = Place(limit=3)
    planned = place.play([U] * 3).after
    step = decide(planned, seen(U, U), RULES, facts(2, limits={"main": 4}), place.at)
    assert step.order == Order(counts={"main": 4})
    assert step.after.growth.limits == {"main": 3}


# back


def test_it_is_scaled_back_after_as_many_healthy_rounds():
    place = Place(main=3, limit=4)
    place.play([U] * 3)
    assert (place.counts, place.limits) == ({"main": 5}, {"main": 5})
    place.play([H, H])
    assert place.counts == {"main": 5}
    found = place.round(H)
    assert (found.action, found.order) == (Action.GIVE_BACK, Order(counts={"main": 3}, limits={"main": 4}))
    assert (place.counts, place.limits, place.memory.growth) == ({"main": 3}, {"main": 4}, None)


@pytest.mark.parametrize("theirs", [1, 3, 7])
def test_a_count_that_somebody_changed_stays(theirs):
    place = Place()
    place.play([U] * 3)
    place.counts = {"main": theirs}
    place.play([H] * 4)
    assert (place.counts, place.memory.growth) == ({"main": theirs}, None)


def test_a_count_that_somebody_changed_before_it_was_scaled_stays():
    place = Place(refuses=True)
    place.play([U] * 3)
    place.refuses, place.counts = False, {"main": 7}
    place.play([U] * 50 + [H] * 4)
    assert place.counts == {"main": 7}


def test_a_limit_that_somebody_changed_stays():
    place = Place(limit=3)
    place.play([U] * 3)
    place.limits = {"main": 8}
    place.play([H] * 4)
    assert (place.counts, place.limits) == ({"main": 2}, {"main": 8})


def test_what_scales_by_itself_has_its_owners_limit_again_whatever_its_count():
    place = Place(limit=3)
    place.play([U] * 3)
    place.counts = {"main": 3}  # autoscaling took one
    found = place.play([H] * 3)
    assert found.order == Order(limits={"main": 3})


def test_an_endpoint_that_changes_is_scaled_back_once_it_is_in_service():
    place = Place()
    place.play([U] * 3)
    place.play([H] * 5, status="Updating")
    assert (place.rounds[-1].decision.why, place.counts) == (Why.CHANGING, {"main": 4})
    place.round(H)
    assert place.counts == {"main": 2}


def test_an_endpoint_that_is_gone_is_forgotten():
    place = Place()
    place.play([U] * 3)
    place.counts = {}
    place.play([H] * 3, status="Missing")
    assert place.memory.growth is None


def test_what_cannot_be_read_is_not_scaled_back_and_told_once():
    place = Place()
    place.play([U] * 3)
    place.play([H] * 10, blind="Throttled: slow down")
    assert [one.action for one in place.rounds].count(Action.PAGE) == 1
    assert place.memory.growth
    place.round(H)
    assert place.counts == {"main": 2}


def test_a_region_that_answers_nobody_any_more_scales_back_at_once():
    place = Place()
    place.play([U] * 3)
    assert place.round(U, idle=True).action is Action.GIVE_BACK
    assert place.counts == {"main": 2}


def test_another_endpoint_that_answers_is_scaled_after_the_first_is_given_back():
    place = Place()
    place.play([U] * 3)
    assert place.round(U, answers="churn-e2").order == Order(counts={"main": 2})
    found = place.round(U, answers="churn-e2")
    assert (found.action, found.after.growth.endpoint) == (Action.SCALE, "churn-e2")


def test_nobody_knows_which_endpoint_answers_so_the_first_stays():
    place = Place()
    place.play([U] * 3)
    place.round(U, answers="", blind="its policy cannot be told")
    assert place.memory.growth.endpoint == "churn"


def test_a_region_that_keeps_the_load_keeps_what_carries_it_and_a_person_is_told():
    """The policy was changed to another tier while the other region was down."""
    place = Place(limit=3)
    place.play([U] * 3)
    found = place.round(U, spread=False)
    assert (found.action, found.after.growth) == (Action.PAGE, None)
    assert "its counts are yours from now on; autoscaling allowed main 3 before" in found.decision.reason
    assert (place.counts, place.limits) == ({"main": 4}, {"main": 4})


# flapping


def test_a_region_that_comes_and_goes_leaves_the_counts_where_they_are():
    place = Place(rules=RULES.model_copy(update={"flaps": 2}))
    place.play(([U] * 3 + [H] * 3) * 20)
    assert [one.action for one in place.rounds].count(Action.SCALE) <= 2
    assert place.rounds[-1].decision.why is Why.FLAPPING
    held = dict(place.counts)
    place.play([H] * 30)
    assert place.counts == held
    place.at += RULES.flap_window
    place.play([H] * 3)
    assert place.counts == {"main": 2}


def test_a_region_that_comes_and_goes_is_no_reason_to_scale_and_a_person_is_told_once():
    place = Place(rules=RULES.model_copy(update={"flaps": 2}))
    place.memory = Survivor()
    place.play([U] * 3 + [H] * 3)
    place.memory = heard(place.memory, {"main": 2})
    place.play([U] * 10)
    assert (place.counts, place.memory.growth) == ({"main": 2}, None)
    pages = [one.decision.reason for one in place.rounds[6:] if one.action is Action.PAGE]
    assert len(pages) == 1
    assert "not scaled: the verdict changed 3 times" in pages[0]
    place.at += RULES.flap_window
    place.play([U] * 3)
    assert place.counts == {"main": 4}


@given(st.lists(SIGHTS, max_size=80))
@patient
def test_flapping_health_never_scales_twice_and_always_comes_back(sights):
    place = Place(main=3, limit=4, peer=2)
    for number, sight in enumerate(sights):
        found = place.round(sight)
        last = sights[max(0, number - 2) : number + 1]
        if found.action is Action.SCALE:
            assert last == [U, U, U]
        if found.action is Action.GIVE_BACK:
            assert last == [H, H, H]
        assert place.counts["main"] in (3, 5)
        assert place.limits["main"] in (4, 5)
        assert found.decision.reason
    place.at += RULES.flap_window
    place.play([H] * 4)
    assert (place.counts, place.limits, place.memory.growth) == ({"main": 3}, {"main": 4}, None)


@given(
    st.lists(
        st.one_of(SIGHTS, st.integers(1, 9), st.sampled_from(["refuse", "take", "Updating", "blind"])), max_size=80
    )
)
@patient
def test_whatever_happens_a_count_of_somebody_else_is_never_touched(story):
    place = Place(main=3, peer=2)
    theirs, more = None, {}
    for one in story:
        if isinstance(one, int):
            place.counts, theirs = {"main": one}, one
        elif isinstance(one, Sight):
            growth = place.memory.growth
            place.round(one, **more)
            after = place.memory.growth
            if growth and after:
                assert (after.before, after.wanted) == (growth.before, growth.wanted)
            if growth and theirs is not None and theirs not in (growth.before["main"], growth.wanted["main"]):
                assert place.counts["main"] == theirs
            if place.counts["main"] != theirs:
                theirs = None
        elif one in ("refuse", "take"):
            place.refuses = one == "refuse"
        else:
            more = {"Updating": {"status": "Updating"}, "blind": {"blind": "no"}}[one] if not more else {}
        assert place.counts["main"] <= 9 + 2


# what is remembered


def test_silence_forgets_nothing_and_a_word_replaces_everything():
    assert heard(KNOWN, None) == KNOWN
    assert heard(KNOWN, {"main": 3, "b": 1}).peer == {"main": 3, "b": 1}
    assert heard(KNOWN, {}).peer == {}


def test_while_all_is_well_the_endpoint_is_not_looked_at():
    assert not concerns(KNOWN, seen(H, H))
    assert concerns(KNOWN, seen(H, X))
    grown = KNOWN.model_copy(update={"growth": Growth(endpoint="churn", before={}, wanted={}, planned_at=NOW)})
    assert concerns(grown, seen(H, H))


def test_rounds_that_rest_on_the_same_are_one_line():
    place = Place()
    place.play([H] * 5 + [U] * 13)
    lines = {one.after.decided.at: one.after.decided for one in place.rounds}
    assert [(line.why, line.action, line.rounds) for line in lines.values()] == [
        (Why.HEALTHY, Action.NONE, 5),
        (Why.COUNTING, Action.NONE, 2),
        (Why.ALONE, Action.SCALE, 1),
        (Why.ALONE, Action.NONE, 10),
    ]


def test_a_row_of_a_newer_release_is_read():
    row = {**KNOWN.model_dump(), "later": 1, "growth": None}
    assert Survivor.model_validate(row) == KNOWN


# an endpoint that converging gives its counts


def test_a_tended_endpoint_grows_by_its_share_and_not_by_what_it_has_now():
    """After a failback it may still have the instances of both."""
    place = Place(main=4)
    found = place.play([U] * 3, tended=True, share={"main": 2})
    assert (found.action, found.decision.why, place.counts) == (Action.NONE, Why.ALONE, {"main": 4})
    place.counts = {"main": 3}
    found = place.round(U, tended=True, share={"main": 2})
    assert (found.order, found.after.growth.before) == (Order(counts={"main": 4}), {"main": 3})


def test_a_tended_endpoint_of_which_no_share_is_known_is_told_and_not_scaled():
    place = Place()
    place.play([U] * 5, tended=True)
    assert [one.action for one in place.rounds].count(Action.PAGE) == 1
    assert place.counts == {"main": 2}


def test_where_a_failover_is_decided_as_well_what_cannot_be_told_is_paged_by_that():
    place = Place()
    place.play([X] * 20, tended=True)
    assert {one.action for one in place.rounds} == {Action.NONE}


def test_a_tended_endpoint_that_is_let_go_is_its_tiers_and_nobody_is_paged():
    place = Place()
    place.play([U] * 3, tended=True, share={"main": 2})
    found = place.round(U, tended=True, spread=False)
    assert (found.action, found.after.growth, found.order) == (Action.NONE, None, Order())


def test_how_many_look_is_remembered_for_whoever_asks_whether_a_quorum_can_be_reached():
    found = decide(Survivor(), seen(H, H), RULES, facts(), NOW)
    assert found.after.health.vantages == 2
