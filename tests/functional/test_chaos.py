"""Random schedules of faults over two regions: a few fixed seeds, a seed is one schedule, and a trace can be read."""

from dataclasses import replace

import pytest

from tests.chaos.__main__ import Summary, play, run, shrink
from tests.chaos.planted import PLANTED
from tests.chaos.rules import LAWS
from tests.chaos.schedule import Schedule, Step, draw
from tests.chaos.simulator import installed

SEEDS = 150
SLICES = 10  # so that several processes share them


@pytest.fixture(autouse=True)
def _installed():
    with installed():
        yield


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS // SLICES))
def test_no_schedule_of_faults_breaks_a_law(first):
    broken, flips = {}, 0
    for seed in range(first, first + SEEDS // SLICES):
        outcome = play(draw(seed))
        flips += outcome.facts["flips"]
        if outcome.violation:
            broken[seed] = str(outcome.violation)
    assert broken == {}, "python -m tests.chaos --replay SEED"
    assert flips > 0, "nothing moved, so nothing was proven"


def test_a_seed_is_the_same_schedule_and_the_same_trace_every_time():
    one, two = (play(draw(4), tracing=True) for _ in range(2))
    assert one.trace == two.trace
    assert one.facts == two.facts


def test_a_law_that_is_broken_names_the_few_steps_that_break_it(monkeypatch):
    """A switch without a golden check, among steps that have nothing to do with it."""
    monkeypatch.setattr("tests.chaos.rules.Book.answered", lambda *_: None)
    asked = Step(60.0, "ask", "standby", more="move")
    noise = tuple(Step(at, "new gateway", "home") for at in (20.0, 30.0, 40.0))
    schedule = Schedule(1, draw(1).machinery, (*noise, asked), 200.0)
    found = play(schedule).violation
    assert found is not None
    assert found.law == "proven first"
    assert len(shrink(schedule, found.law)) <= 1


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("a takeover is flipped without its condition", "work of the past"),
        ("a catalog that refuses forgets the takeover", "a switch stays"),
        ("what is to answer beside the home is not asked anything before", "proven beside"),
    ],
)
def test_a_planted_fault_breaks_its_law_within_a_hundred_seeds(monkeypatch, fault, law):
    PLANTED[fault](monkeypatch)
    assert law in (found.law for seed in range(100) if (found := play(draw(seed)).violation))


def test_every_planted_fault_can_be_planted(monkeypatch):
    for plant in PLANTED.values():
        with monkeypatch.context() as patch:
            plant(patch)


def test_two_ranges_of_seeds_come_to_what_both_together_do(capsys):
    apart, together = run(0, 3, 0, 5).plus(run(3, 3, 0, 5)), run(0, 6, 0, 5)
    assert (apart.schedules, apart.facts, apart.faults) == (6, together.facts, together.faults)
    assert apart.stakes == together.stakes


def test_the_summary_names_a_law_that_was_never_at_stake_and_the_seeds_that_broke_one(capsys):
    some = Summary(schedules=3, broken={7: LAWS[0]})
    some.stakes[LAWS[0]] = some.stakes[LAWS[1]] = 2
    some.show(1.0)
    said = capsys.readouterr().out
    assert f"{LAWS[0]}: broken by [7]" in said
    assert f"{LAWS[1]}: held" in said
    assert f"{LAWS[2]}: NEVER AT STAKE" in said


def calm(seed=1, *, both=False):
    """Machinery in which nothing is lost, late or dead, and the policy decides."""
    drawn = draw(seed).machinery
    nothing = {"lost": 0.0, "twice": 0.0, "late": 0.0, "crash": 0.0, "between": 0.0, "tardy": 0.0}
    return replace(drawn, mode="automatic", cool_down=3, both=both, **nothing)


def moves(*steps, storm):
    """The automatic moves, and all of them, of steps without any noise."""
    outcome = play(Schedule(7, calm(), steps, storm))
    assert outcome.violation is None
    return outcome.facts["automatic flips"], outcome.facts["flips"] - 1  # one at the end, by a person


def test_an_outage_alone_moves_the_traffic_once_and_by_itself():
    assert moves(Step(60.0, "down", "home", 600.0), storm=900.0) == (1, 1)


def test_the_home_takes_over_by_itself_when_the_standby_that_serves_is_lost():
    asked, lost = Step(60.0, "ask", "standby", more="move"), Step(1000.0, "down", "standby", 900.0)
    assert moves(asked, lost, storm=2200.0) == (1, 2)


def test_a_cut_between_the_regions_alone_moves_nothing():
    assert moves(Step(60.0, "cut", lasts=900.0), storm=1100.0) == (0, 0)


def test_a_region_that_only_the_checkers_do_not_reach_is_not_down():
    assert moves(Step(60.0, "unseen", "home", 900.0), storm=1100.0) == (0, 0)


@pytest.mark.parametrize(("lost", "automatic"), [("home", 1), ("standby", 0)])
def test_where_both_regions_answer_only_the_loss_of_the_home_moves_the_model_and_both_answer_again(lost, automatic):
    outcome = play(Schedule(7, calm(both=True), (Step(200.0, "down", lost, 600.0),), 1000.0))
    assert outcome.violation is None
    assert outcome.facts["automatic flips"] == automatic
    assert outcome.stakes["both answer again"] > 0
