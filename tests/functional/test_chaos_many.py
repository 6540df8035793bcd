"""Random schedules of faults over several models that share a pair of regions: a few seeds, and what laws are worth."""

from dataclasses import replace

import pytest

from tests.chaos.__main__ import play
from tests.chaos.many_planted import MANY_PLANTED
from tests.chaos.many_schedule import EVERY, ManySchedule, Ruled, draw_many
from tests.chaos.schedule import COLD, Step, draw
from tests.chaos.simulator import installed

SEEDS = 6
SLICES = 2  # so that several processes share them


@pytest.fixture(autouse=True)
def _installed():
    with installed():
        yield


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS // SLICES))
def test_no_schedule_of_faults_breaks_a_law_of_several_models(first):
    broken, moved, together = {}, 0, 0
    for seed in range(first, first + SEEDS // SLICES):
        outcome = play(draw_many(seed))
        moved += outcome.facts["flips"]
        together += outcome.facts["of these by itself"]
        if outcome.violation:
            broken[seed] = str(outcome.violation)
    assert broken == {}, "python -m tests.chaos --many --replay SEED"
    assert moved > 0, "nothing moved, so nothing was proven"
    assert together > 0, "nothing was asked for together"


def calm(*steps, models, storm, quota=None, side_by_side=10):
    """A schedule without any noise."""
    nothing = {"lost": 0.0, "twice": 0.0, "late": 0.0, "crash": 0.0, "between": 0.0, "tardy": 0.0}
    machinery = replace(draw(1).machinery, cool_down=3, both=False, **nothing)
    return ManySchedule(7, machinery, steps, storm, models, quota, side_by_side)


def ruled(name, mode="automatic", criticality="important"):
    return Ruled(name, mode, COLD, criticality)


def moved(schedule):
    """The models that were taken over before everything was mended, and how many requests were for several."""
    outcome = play(schedule, tracing=True)
    assert outcome.violation is None
    storm = "\n".join(outcome.trace).partition("everything is mended")[0].splitlines()
    flips = {line.split(" to ")[1].partition("-")[0] for line in storm if "FLIPPED" in line}
    return flips, sum("evacuation auto-" in line and "starts" in line for line in storm)


def test_an_outage_of_the_region_moves_its_automatic_models_as_one_request_and_leaves_the_others():
    models = (ruled("churn"), ruled("basket", "manual"), ruled("price"))
    assert moved(calm(Step(60.0, "down", "home", 700.0), models=models, storm=800.0)) == ({"churn", "price"}, 1)


def test_a_model_that_is_refused_keeps_no_other_from_being_recovered():
    models = (ruled("churn", criticality="revenue-critical"), ruled("basket"), ruled("price"))
    hindered = Step(1.0, "no capacity", "standby", 2000.0, model="churn")
    asked = Step(60.0, "ask", "standby", more="failover", model=EVERY)
    schedule = calm(hindered, asked, models=models, storm=900.0, side_by_side=1)
    assert moved(schedule) == ({"basket", "price"}, 0)


def test_where_one_instance_is_left_it_goes_to_the_most_critical_model():
    models = (ruled("churn"), ruled("basket", criticality="revenue-critical"))
    asked = Step(60.0, "ask", "standby", more="failover", model=EVERY)
    assert moved(calm(asked, models=models, storm=500.0, quota=1)) == ({"basket"}, 0)


def test_two_evacuations_after_each_other_bring_every_model_home_again():
    models = (ruled("churn"), ruled("basket"), ruled("price"))
    there, back = (
        Step(60.0, "ask", "standby", more="move", model=EVERY),
        Step(1500.0, "ask", "home", more="failback", model=EVERY),
    )
    outcome = play(calm(there, back, models=models, storm=2600.0), tracing=True)
    assert outcome.violation is None
    assert outcome.facts["evacuations"] >= 2
    assert outcome.facts["flips"] >= 6


def killed(*, asked_again):
    """An evacuation of three models, one after another, dies while the first of them is recovered."""
    again = [Step(100.0, "repeat messages", "standby")] if asked_again else []
    asked = Step(60.0, "ask", "standby", more="move", model=EVERY)
    models = (ruled("churn"), ruled("basket"), ruled("price"))
    return calm(asked, Step(75.0, "kill evacuations", "standby"), *again, models=models, storm=600.0, side_by_side=1)


def test_an_evacuation_that_is_killed_moves_only_what_it_began_until_it_is_asked_for_again():
    assert len(moved(killed(asked_again=False))[0]) == 1
    assert moved(killed(asked_again=True))[0] == {"churn", "basket", "price"}


def test_an_evacuation_that_forgets_its_plan_recovers_a_model_twice(monkeypatch):
    MANY_PLANTED["an evacuation that is started again makes another plan"](monkeypatch)
    found = play(killed(asked_again=True)).violation
    assert found is not None
    assert found.law == "recovered once"


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("a recovery that has ended is started again", "recovered once"),
        ("a list of models becomes the whole region", "left to a person"),
        ("nothing is kept of an evacuation", "every asked model is told of"),
    ],
)
def test_a_planted_fault_breaks_its_law_of_several_models_within_a_hundred_seeds(monkeypatch, fault, law):
    MANY_PLANTED[fault](monkeypatch)
    assert law in (found.law for seed in range(100) if (found := play(draw_many(seed)).violation))


def test_every_planted_fault_of_several_models_can_be_planted(monkeypatch):
    for plant in MANY_PLANTED.values():
        with monkeypatch.context() as patch:
            plant(patch)
