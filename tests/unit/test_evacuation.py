"""The order in which a region's models are recovered."""

import datetime as dt
import heapq
import random
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from mldr.domain.capacity import ALL_TYPES
from mldr.domain.evacuation import ASSUMED, EARLIER, Candidate, arrange_recoveries, expected
from mldr.domain.evidence import Evidence, PhaseTime
from mldr.domain.identity import ModelKey
from mldr.domain.model_rules import Criticality, Tier

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
URGENT, MIDDLE = Criticality.REVENUE_CRITICAL, Criticality.IMPORTANT


def one(name, deadline, duration, criticality=MIDDLE, **more):
    """A model that takes so many minutes and must answer within as many."""
    return Candidate(
        model=ModelKey(registry="sagemaker", name=name),
        criticality=criticality,
        deadline=NOON + dt.timedelta(minutes=deadline),
        duration=dt.timedelta(minutes=duration),
        measured=True,
        **more,
    )


def plan(*candidates, slots=1, **quotas):
    """The plan at noon; `m5` in a test stands for an instance type."""
    return arrange_recoveries(candidates, now=NOON, side_by_side=slots, free=quotas)


def names(found):
    return [line.model.name for line in found.planned]


def test_the_earliest_deadline_goes_first_where_all_can_be_in_time():
    found = plan(one("c", 30, 10), one("a", 10, 10), one("b", 20, 10))
    assert names(found) == ["a", "b", "c"]
    assert found.late == 0


def test_one_long_recovery_is_put_last_rather_than_making_two_others_late():
    found = plan(one("long", 20, 20), one("a", 25, 10), one("b", 26, 10))
    assert names(found) == ["a", "b", "long"]
    assert found.late == 1


def test_what_cannot_be_in_time_is_recovered_all_the_same_and_said_to_be_late():
    (line,) = plan(one("a", 5, 10)).planned
    assert (line.in_time, line.reason) == (False, "important, 600 s (measured): 300 s too late")


def test_a_model_that_both_regions_answer_is_said_to_keep_no_client_waiting():
    (line,) = plan(one("a", 10, 5, beside=True)).planned
    assert line.reason.endswith("300 s before its deadline; both regions answer it, so no client waits for this")


def test_a_more_critical_model_is_planned_first_even_if_others_lose_by_it():
    found = plan(one("urgent", 15, 15, URGENT), one("a", 5, 5), one("b", 10, 5))
    assert names(found)[0] == "urgent"


def test_as_many_as_allowed_run_side_by_side():
    found = plan(*(one(name, 60, 10) for name in "abcde"), slots=2)
    assert [line.wave for line in found.planned] == [1, 1, 2, 2, 3]
    assert [line.starts_after for line in found.planned] == [dt.timedelta(minutes=m) for m in (0, 0, 10, 10, 20)]


def test_a_model_without_capacity_is_named_and_the_others_go_on():
    found = plan(one("big", 5, 1, instances={"m5": 3}), one("small", 10, 1, instances={"m5": 2}), m5=2)
    assert names(found) == ["small"]
    (refused,) = found.refused
    assert refused.model.name == "big"
    assert "it needs 3 x m5 and the quota of this region leaves 2" in refused.reason


def test_scarce_instances_go_to_the_more_critical_model():
    found = plan(one("a", 1, 1, instances={"m5": 2}), one("z", 9, 1, URGENT, instances={"m5": 2}), m5=3)
    assert names(found) == ["z"]


def test_the_instances_of_all_types_together_have_a_quota_of_their_own():
    """Service Quotas calls it "Number of instances across active endpoints"; each type may have room, and all none."""
    wants = [one("first", 10, 5, URGENT, instances={"m5": 2}), one("second", 10, 5, instances={"c5": 1, "m5": 1})]
    found = plan(*wants, m5=9, c5=9, **{ALL_TYPES: 3})
    assert names(found) == ["first"]
    [refused] = found.refused
    assert "it needs 2 x instances of all types and the quota of this region leaves 1" in refused.reason
    assert 'raise the quota "Number of instances across active endpoints"' in refused.reason
    assert refused.tried


def test_a_type_without_a_known_quota_is_not_limited():
    assert names(plan(one("a", 5, 1, instances={"g5": 99}))) == ["a"]


def test_a_model_with_an_obstacle_is_left_out_with_its_reason():
    (refused,) = plan(one("a", 5, 1, obstacle="no sealed recovery point")).refused
    assert refused.reason == "no sealed recovery point"


JOBS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12)), min_size=1, max_size=6)


def in_time(order):
    """How many of these are in time, one after the other."""
    clock, count = 0, 0
    for deadline, duration in order:
        clock += duration
        count += clock <= deadline
    return count


@settings(max_examples=300, deadline=None)
@given(JOBS)
def test_for_one_recovery_at_a_time_no_other_order_is_in_time_more_often(jobs):
    found = plan(*(one(f"m{number}", *job) for number, job in enumerate(jobs)))
    assert len(jobs) - found.late == max(in_time(order) for order in permutations(jobs))


@settings(max_examples=200, deadline=None)
@given(JOBS, st.integers(1, 4))
def test_every_model_is_planned_once_whatever_the_order_it_is_told_in(jobs, slots):
    candidates = [one(f"m{number}", *job) for number, job in enumerate(jobs)]
    found = plan(*candidates, slots=slots)
    assert sorted(names(found)) == sorted(candidate.model.name for candidate in candidates)
    assert plan(*reversed(candidates), slots=slots) == found


def in_slots(order, slots):
    """When each is ready whose turn comes as soon as a slot is free."""
    free, ready = [0.0] * slots, {}
    for line in order:
        ready[line.model.name] = heapq.heappop(free) + line.duration.total_seconds()
        heapq.heappush(free, ready[line.model.name])
    return ready


def in_ranks(order, slots):
    """When each is ready where as many as there are slots begin once all before them have ended."""
    began, ready = 0.0, {}
    for first in range(0, len(order), slots):
        rank = {line.model.name: began + line.duration.total_seconds() for line in order[first : first + slots]}
        began = max(rank.values())
        ready |= rank
    return ready


def late(lines, ready):
    return sum(ready[line.model.name] > (line.deadline - NOON).total_seconds() + 1 for line in lines)


def test_ranks_that_wait_for_each_other_lose_more_recovery_times_than_any_disorder():
    """What a map promises of its order is little; a barrier that would promise it costs more than it keeps."""
    dice, slots = random.Random(1), 10
    lost = dict.fromkeys(("planned", "disturbed", "random", "ranks"), 0)
    for _ in range(200):
        region = [
            one(f"m{number}", dice.choice([15, 30, 60]), dice.uniform(2, 20), dice.choice(list(Criticality)))
            for number in range(40)
        ]
        lines = plan(*region, slots=slots).planned
        disturbed = sorted(enumerate(lines), key=lambda one: one[0] + dice.uniform(0, 10))
        orders = {"planned": lines, "disturbed": [line for _, line in disturbed], "random": dice.sample(lines, 40)}
        for name, order in orders.items():
            lost[name] += late(lines, in_slots(order, slots))
        lost["ranks"] += late(lines, in_ranks(lines, slots))
    assert lost["planned"] <= lost["disturbed"] < lost["random"] < lost["ranks"]


def measured(outcome="completed", **seconds):
    """What a recovery took, by phase."""
    return Evidence(
        sequence=1, previous="", kind="failover", id="f", model=ModelKey(registry="sagemaker", name="churn"),
        outcome=outcome, reason="r", region="r", epoch=1, recovery_point="p", recorded_at=NOON,
        phases=tuple(PhaseTime(name=name, seconds=took) for name, took in seconds.items()),
    )  # fmt: skip


def test_how_long_a_recovery_takes_is_measured_without_the_time_that_it_was_waited_for():
    """Detection, the gate of a planned move and the claim's turn are over, or not there, when a region is left."""
    slow = measured(detect=500, gate=900, decide=300, restore=40, warm=10, verify=5, switch=2, confirm=3)
    assert expected([slow], Tier.WARM_STANDBY, 0) == (dt.timedelta(seconds=60), 1)


def test_the_longest_of_the_last_recoveries_that_completed_is_expected():
    runs = [measured("failed", restore=999), measured("refused"), *(measured(restore=n) for n in (20, 70, 30, 800))]
    assert expected(runs, Tier.COLD_STANDBY, 0) == (dt.timedelta(seconds=70), EARLIER)
    assert expected(runs[:2], Tier.COLD_STANDBY, 0) == (ASSUMED[Tier.COLD_STANDBY], 0)
