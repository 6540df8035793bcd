"""What the plan of a region promises of order: slots, deadlines, what hangs, what dies, and what nobody promises."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from itertools import permutations

import pytest

from mldr.domain.capacity import Capacity
from mldr.domain.evacuation import recovery_id, work_key
from mldr.domain.failover import FOLLOW_LOOKS, RESTORE_LOOKS, VERIFY_LOOKS, WARM_LOOKS, looking
from mldr.domain.golden import UNPROVEN
from mldr.domain.region_plan import Draft
from mldr.domain.warming import Warmth
from mldr.ports.stack import Status
from mldr.steps import warm_serving
from mldr.steps.executions import newest_status
from mldr.steps.prove_answers import PATIENCE
from tests.fakes.workflows import FakeWorkflows
from tests.fakes.world import ACTIVE
from tests.functional.region_story import (
    Killed,
    Region,
    evacuate,
    follow,
    key,
    of_region,
    protect_all,
    region_event,
    run_failovers,
    switch,
)
from tests.functional.state_machine import DEFINITIONS
from tests.functional.story import deliver, failover_event, run

NAMES = ("plain-a", "slow-b", "urgent-c")
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def protected(world, context):
    protect_all(world, context, NAMES)
    return world


def test_both_maps_run_as_many_side_by_side_as_the_plan_says():
    states = json.loads((DEFINITIONS / "evacuate.asl.json").read_text())["States"]
    maps = {name: state for name, state in states.items() if state["Type"] == "Map"}
    assert {name: state.get("MaxConcurrencyPath") for name, state in maps.items()} == {
        "Recover": "$.plan.side_by_side", "TryRest": "$.plan.side_by_side",
    }  # fmt: skip


def test_recovery_times_count_from_the_first_failure_and_not_from_the_request(protected, context):
    first = protected.clock.now() - dt.timedelta(minutes=12)
    evacuate(protected, context, first_failure_at=first.isoformat())
    made = Draft.model_validate_json(protected.vault.read(work_key("region-1", "plan.json"))).plan
    rto = protected.policies.load()[0].for_model("sagemaker", "plain-a", {}).rto
    [line] = [one for one in made.planned if one.model == key("plain-a")]
    assert line.deadline == first + rto


# what hangs


@dataclass
class Hanging(Region):
    """An evacuation in which the endpoint of one model does not come up, for the hour that its failover waits."""

    hangs: str = ""
    began: dt.datetime | None = None

    def _pass_time(self, seconds):
        self.world.clock.move(seconds=seconds)
        now = self.world.clock.now()
        self.began = self.began or now
        for name in sorted(self.world.workflows.active):
            if self.world.workflows.started[name]["model"] != str(key(self.hangs)):
                run(self.world, self.context, name, "failover")
            elif now - self.began > HOUR:
                self.world.workflows.ended[name] = Status(run(self.world, self.context, name, "failover").status)


def hanging(world, context, monkeypatch, name, side_by_side=1, **more):
    """Ask for the region; this model's endpoint is Creating for ever. Returns how it ended."""
    world.env = world.env.model_copy(update={"failovers_side_by_side": side_by_side})
    status = world.serving.status
    monkeypatch.setattr(world.serving, "status", lambda one: ("Creating", "") if one.startswith(name) else status(one))
    assert deliver("start_failover", context, region_event(world)) == []
    play = Hanging("evacuate", world, context, hangs=name, **more)
    return play.run(world.evacuations.started["region-1"])


def test_a_creation_that_hangs_gives_its_slot_to_the_next_model(protected, context, monkeypatch):
    """One slot: without that both others would wait for an hour."""
    began = protected.clock.now()
    ended = hanging(protected, context, monkeypatch, "urgent-c")
    assert (ended.status, ended.last) == ("SUCCEEDED", "Evacuated")
    for name in ("plain-a", "slow-b"):
        assert switch(protected, name).flipped_at - began < dt.timedelta(minutes=25)


def test_what_gave_its_slot_away_is_waited_for_and_told(protected, context, monkeypatch):
    began = protected.clock.now()
    ended = hanging(protected, context, monkeypatch, "urgent-c")
    assert protected.clock.now() - began > HOUR
    assert "WaitForSlow" in ended.path
    record = of_region(protected)
    assert (record.outcome, record.reason) == ("failed", "1 of 3 models did not move: sagemaker/urgent-c")
    [bad] = [one for one in record.models if one.outcome == "failed"]
    assert "is still Creating after 1:00:00" in bad.reason
    assert [one.outcome for one in protected.evidence.records if one.model == key("urgent-c")] == ["failed"]


def test_what_hangs_in_the_last_map_gives_its_slot_away_too(protected, context, monkeypatch):
    now = protected.clock.now()
    protected.catalog.put_capacity(Capacity(limits={"ml.m5.large": 1}, used={}, side_by_side=1, read_at=now))
    hanging(protected, context, monkeypatch, "plain-a")
    assert switch(protected, "slow-b").flipped_at - now < dt.timedelta(minutes=25)


# killed, and asked for again


def killed_and_asked_for_again(world, context, die):
    """The machine dies where `die` says; what it started goes on without it. Returns how the second one ended."""
    event = region_event(world)
    deliver("start_failover", context, event)
    die()
    world.evacuations.active.discard("region-1")
    world.evacuations.ended["region-1"] = Status.LOST
    run_failovers(world, context)
    world.clock.move(minutes=7)
    assert deliver("start_failover", context, event) == []
    return follow(world, context, "region-1-2")


def recovered_once(world):
    for name in NAMES:
        assert switch(world, name).epoch == 1
        assert [one.outcome for one in world.evidence.records if one.model == key(name)] == ["completed"]
    assert [one.outcome for one in world.evidence.records if one.model.registry == "region"] == ["completed"]


@pytest.mark.parametrize("writes", range(4))
def test_killed_between_the_writes_of_the_plan_it_goes_on_by_one_whole_plan(protected, context, monkeypatch, writes):
    keep, kept = protected.vault.keep, []

    def dies(name, content):
        if len(kept) == writes:
            raise Killed
        kept.append(name)
        keep(name, content)
        if len(kept) == writes == 3:
            raise Killed

    def die():
        with monkeypatch.context() as dying:
            dying.setattr(protected.vault, "keep", dies)
            with pytest.raises(Killed):
                follow(protected, context, "region-1")

    assert killed_and_asked_for_again(protected, context, die).status == "SUCCEEDED"
    assert len(kept) == writes
    made = Draft.model_validate_json(protected.vault.read(work_key("region-1", "plan.json")))
    items = json.loads(protected.vault.read(work_key("region-1", "models.json")))
    assert [one["model"] for one in items] == [str(line.model) for line in made.plan.planned]
    recovered_once(protected)


@pytest.mark.parametrize(
    ("when", "what", "times"),
    [
        ("before", "TryRest", 0),
        *[("after", "recover_model", times) for times in range(1, 7)],
        ("before", "Conclude", 0),
    ],
)
def test_killed_while_it_tries_what_the_quotas_leave_no_room_for_it_goes_on(protected, context, when, what, times):
    now = protected.clock.now()
    protected.catalog.put_capacity(Capacity(limits={"ml.m5.large": 0}, used={}, side_by_side=10, read_at=now))

    def stop(name, count):
        if name == what and count == times:
            raise Killed

    def die():
        with pytest.raises(Killed):
            follow(protected, context, "region-1", **{when: stop})

    ended = killed_and_asked_for_again(protected, context, die)
    assert (ended.status, "Recover" in ended.path, "TryRest" in ended.path) == ("SUCCEEDED", False, True)
    recovered_once(protected)


def test_killed_while_it_waits_for_what_hangs_it_goes_on_waiting(protected, context, monkeypatch):
    def wait(state, _):
        if state == "Conclude" and any(switch(protected, name) for name in NAMES):
            seen.append(state)
        if len(seen) == 2:
            raise Killed

    seen = []
    with pytest.raises(Killed):
        hanging(protected, context, monkeypatch, "urgent-c", before=wait)
    protected.evacuations.active.discard("region-1")
    protected.evacuations.ended["region-1"] = Status.LOST
    assert of_models(protected) == []
    deliver("start_failover", context, region_event(protected))
    again = Hanging("evacuate", protected, context, hangs="urgent-c")
    assert again.run(protected.evacuations.started["region-1-2"]).last == "Evacuated"
    assert of_models(protected) == ["failed"]
    assert [one.outcome for one in protected.evidence.records if one.model == key("urgent-c")] == ["failed"]


def of_models(world):
    return [one.outcome for one in world.evidence.records if one.model.registry == "region"]


# what is not promised


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_in_whatever_order_step_functions_starts_the_items_every_model_is_recovered_once(protected, context, order):
    """Above a concurrency of one AWS promises no order: the plan is what is asked for, not a barrier."""

    class Shuffled(Region):
        def _read(self, bucket, name):
            items = json.loads(super()._read(bucket, name))
            return json.dumps([items[place] for place in order]).encode()

    deliver("start_failover", context, region_event(protected))
    assert Shuffled("evacuate", protected, context).run(protected.evacuations.started["region-1"]).status == "SUCCEEDED"
    started = [one["model"] for one in protected.workflows.started.values() if "failover_id" in one]
    assert sorted(started) == [str(key(name)) for name in NAMES]
    assert all(switch(protected, name).epoch == 1 for name in NAMES)


# one page


def test_a_region_that_failed_pages_once_however_many_models_did_not_move(protected, context, monkeypatch):
    monkeypatch.setattr(protected.serving, "status", lambda name: ("Failed", "no capacity"))
    evacuate(protected, context)
    [(subject, message)] = protected.pager.pages
    assert subject == f"mldr: failover of {ACTIVE} failed"
    assert all(f"sagemaker/{name}: EndpointFailed: " in message for name in NAMES)


@pytest.mark.parametrize("seen", [False, True])
def test_a_warning_of_a_model_is_in_the_page_of_its_region(protected, context, monkeypatch, seen):
    cold = Warmth(warm=False, more=False, reason="1 of 3 instances", warning="1 of 3 instances")
    monkeypatch.setattr(warm_serving, "judge", lambda *_, **__: cold)
    evacuate(protected, context, **({"first_failure_at": protected.clock.now().isoformat()} if seen else {}))
    assert of_region(protected).outcome == "completed"
    [(subject, message)] = protected.pager.pages
    assert subject == f"mldr: failover of {ACTIVE} completed, with a warning"
    assert "sagemaker/urgent-c moved, with a warning: 1 of 3 instances" in message
    assert ("Their clients are in" in message) is seen, "nobody asked for it: it is told what happened"
    assert "nothing has to be done" not in message


def test_a_region_that_moved_without_a_warning_has_nothing_left_to_be_done(protected, context):
    evacuate(protected, context, first_failure_at=protected.clock.now().isoformat())
    [(subject, message)] = protected.pager.pages
    assert subject == f"mldr: failover of {ACTIVE} completed by itself"
    assert "nothing has to be done now" in message


def test_unproven_models_are_counted_and_crowd_out_no_other_warning(protected, context, monkeypatch):
    monkeypatch.setattr("mldr.steps.prove_answers._to_prove", lambda *_: ())
    cold = Warmth(warm=False, more=False, reason="1 of 3 instances", warning="1 of 3 instances")
    monkeypatch.setattr(warm_serving, "judge", lambda *_, **__: cold)
    monkeypatch.setattr("mldr.steps.conclude_evacuation.NAMED", 3)
    evacuate(protected, context)
    [(_, message)] = protected.pager.pages
    assert message.count("moved, with a warning: 1 of 3 instances") == 3
    assert message.endswith(f"\n3 of 3 moved unproven: {UNPROVEN.reason}")
    assert message.count(UNPROVEN.reason) == 1


# lost executions


def test_the_third_execution_of_a_failover_is_followed_like_the_first():
    workflows = FakeWorkflows()
    for name in ("f", "f-2"):
        workflows.start(name, {})
        workflows.active.discard(name)
        workflows.ended[name] = Status.LOST
    assert newest_status(workflows, "f") is Status.LOST
    workflows.start("f-3", {})
    assert newest_status(workflows, "f") is Status.RUNNING
    workflows.active.discard("f-3")
    assert newest_status(workflows, "f") is Status.SUCCEEDED


def test_a_model_whose_third_execution_succeeds_is_recovered(protected, context, monkeypatch):
    lost = recovery_id("region-1", key("urgent-c"))
    start = protected.workflows.start

    def dies_twice(name, payload):
        start(name, payload)
        if name in (lost, f"{lost}-2"):
            protected.workflows.active.discard(name)
            protected.workflows.ended[name] = Status.LOST

    monkeypatch.setattr(protected.workflows, "start", dies_twice)
    evacuate(protected, context)
    assert switch(protected, "urgent-c").epoch == 1
    assert of_region(protected).outcome == "completed"
    assert f"{lost}-4" not in protected.workflows.started


# what the history of an execution holds


@pytest.mark.parametrize("poll_seconds", [1, 2, 3, 6, 15, 300])
def test_a_restore_that_hangs_a_cold_model_and_late_answers_fit_into_the_history_of_one_execution(poll_seconds):
    """A look is nine events; a full history ends the execution, and nobody is told."""
    hour = dt.timedelta(hours=1)
    proof = min(PATIENCE, looking(VERIFY_LOOKS, poll_seconds))
    waits = min(hour, looking(RESTORE_LOOKS, poll_seconds)) + looking(WARM_LOOKS, poll_seconds) + proof
    looks = waits / dt.timedelta(seconds=poll_seconds)
    assert looks * 9 + 300 * 5 < 25_000
    assert looking(FOLLOW_LOOKS, poll_seconds) / dt.timedelta(seconds=poll_seconds) * 9 < 25_000
    assert min(hour, looking(RESTORE_LOOKS, 15)) == hour


def test_a_proof_and_a_restore_that_take_as_long_as_they_may_leave_an_execution_time_to_tell_it():
    most = json.loads((DEFINITIONS / "failover.asl.json").read_text())["TimeoutSeconds"]
    assert dt.timedelta(hours=1) + PATIENCE + dt.timedelta(minutes=30) < dt.timedelta(seconds=most)
    assert looking(VERIFY_LOOKS, 15) > dt.timedelta(hours=1), "four questions that each take the longest"


def test_a_look_is_nine_events():
    """Entered, scheduled, started, succeeded and exited of the task; entered and exited of the choice and the wait."""
    states = json.loads((DEFINITIONS / "failover.asl.json").read_text())["States"]
    for task in ("RestoreServing", "WarmServing", "VerifyServing"):
        choice = states[states[task]["Next"]]
        after = [states[name] for name in (choice["Default"], *(rule["Next"] for rule in choice["Choices"]))]
        assert choice["Type"] == "Choice"
        assert [one["Next"] for one in after if one["Type"] == "Wait"] == [task]


def test_with_a_look_each_second_a_restore_that_hangs_is_given_up_before_its_history_is_full(
    protected, context, monkeypatch
):
    protected.env = protected.env.model_copy(update={"endpoint_poll_seconds": 1})
    monkeypatch.setattr(protected.serving, "status", lambda _: ("Creating", ""))
    monkeypatch.setattr("tests.asl_walker.STEPS", 10_000)
    assert deliver("start_failover", context, failover_event(protected, "f", model="sagemaker/urgent-c")) == []
    ended = run(protected, context, "f", "failover")
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "EndpointFailed")
    assert "is still Creating after 0:26:40" in protected.evidence.newest(key("urgent-c"), 1)[0].reason
    assert len(ended.path) / 3 * 9 < 25_000
