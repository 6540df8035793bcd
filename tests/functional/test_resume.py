"""Failovers whose execution dies: the schedule goes on with them, or has it told that they failed."""

import pytest

from functions.resume_failovers import app
from mldr.domain.failover import Epoch, Kind
from mldr.domain.leadership import Standing
from mldr.errors import RegionUnreachable
from mldr.ports.stack import Status
from tests.fakes.world import ACTIVE, STANDBY
from tests.functional.region_story import Killed
from tests.functional.story import CHURN, clients_follow, deliver, failover_event, promoted, protect, run

AFTER_THE_CLAIM = ["FindEndpoint", "MaterialiseServing", "RestoreServing", "WarmServing", "VerifyServing", "FlipSwitch",
                   "ConfirmTakeover", "Conclude"]  # fmt: skip


@pytest.fixture
def protected(world, context):
    protect(world, context, promoted(world))
    clients_follow(world)
    world.clock.move(hours=1)
    return world


def ask(world, context, name="failover-1"):
    assert deliver("start_failover", context, failover_event(world, name)) == []


def kill(world, context, execution, state):
    """An execution dies before it enters a state, and records nothing."""

    def dies(name, _attempt):
        if name == state:
            raise Killed

    with pytest.raises(Killed):
        run(world, context, execution, "failover", before=dies)
    world.workflows.ended[execution] = Status.LOST


def died(world, context, state):
    """A requested failover died before a state."""
    ask(world, context)
    kill(world, context, "failover-1", state)


def look(context):
    """The schedule's look; the executions that it started."""
    return app.handler({}, context)["resumed"]


def finish(world, context, execution):
    """Run what was started again, to its end."""
    ended = run(world, context, execution, "failover")
    world.workflows.ended[execution] = Status(ended.status)
    return ended


@pytest.mark.parametrize("state", AFTER_THE_CLAIM)
def test_killed_in_any_state_after_its_claim_a_failover_goes_on_by_itself_and_does_nothing_twice(
    protected, context, state
):
    died(protected, context, state)
    before = protected.catalog.takeover(CHURN)
    assert look(context) == ["failover-1-2"]
    assert protected.workflows.started["failover-1-2"] == protected.workflows.started["failover-1"]
    assert finish(protected, context, "failover-1-2").status == "SUCCEEDED"
    switch, epoch = protected.catalog.takeover(CHURN), protected.catalog.epoch(CHURN)
    assert (switch.epoch, epoch.number, epoch.concluded) == (1, 1, True)
    assert before in (None, switch), "what was flipped is flipped no second time"
    assert len(protected.serving.endpoints) == 1
    [record] = protected.evidence.records
    assert (record.id, record.outcome, record.epoch) == ("failover-1", "completed", 1)
    assert [one["outcome"] for one in protected.bus.named("Failover Completed")] == ["completed"]


def test_whoever_is_on_call_reads_that_it_died_and_how_to_end_it(protected, context):
    died(protected, context, "Conclude")
    look(context)
    [(subject, message)] = protected.pager.pages
    assert subject == "mldr: the failover of sagemaker/churn died, and goes on"
    assert "the execution that holds epoch 1 of sagemaker/churn died. It goes on as failover-1-2" in message
    assert "mldr epoch churn --clear" in message


def test_killed_before_its_claim_a_failover_left_nothing_to_go_on_with(protected, context):
    died(protected, context, "ClaimEpoch")
    assert look(context) == []
    assert protected.catalog.epoch(CHURN) is None


def test_the_evidence_counts_the_time_in_which_it_was_dead(protected, context):
    """Law 10: the clients' clock did not stop while nothing worked."""
    died(protected, context, "ConfirmTakeover")
    protected.clock.move(minutes=1)
    look(context)
    finish(protected, context, "failover-1-2")
    assert sum(phase.seconds for phase in protected.evidence.records[0].phases) >= 60


def test_a_claim_that_was_written_after_its_work_had_ended_is_concluded_and_nothing_is_started(protected, context):
    """The answer to the claim got lost, the failover failed for it, and the write arrived."""
    ask(protected, context)
    protected.catalog.claim(CHURN, Epoch(number=1, failover_id="failover-1", region=STANDBY, recovery_point="v1",
                                         claimed_at=protected.clock.now()), None)  # fmt: skip
    protected.workflows.active.discard("failover-1")
    protected.workflows.ended["failover-1"] = "FAILED"
    assert look(context) == []
    assert protected.catalog.epoch(CHURN).concluded
    assert protected.pager.pages == []


def test_an_execution_that_runs_is_left_alone(protected, context):
    died(protected, context, "RestoreServing")
    protected.workflows.active.add("failover-1")
    protected.clock.move(hours=3)
    assert look(context) == []


def test_an_execution_that_goes_on_already_is_not_started_beside(protected, context):
    died(protected, context, "FlipSwitch")
    ask(protected, context)
    assert "failover-1-2" in protected.workflows.active
    assert look(context) == []


def test_a_claim_that_is_concluded_is_not_asked_about(protected, context, monkeypatch):
    ask(protected, context)
    finish(protected, context, "failover-1")
    monkeypatch.delattr(protected, "workflows")
    protected.workflows = None
    assert look(context) == []


def test_while_no_claim_is_open_no_model_is_read(protected, context, monkeypatch):
    monkeypatch.delattr(type(protected.catalog), "epoch")
    assert look(context) == []


def test_a_claim_that_is_listed_though_it_was_concluded_meanwhile_is_left_alone(protected, context, monkeypatch):
    died(protected, context, "Conclude")
    protected.catalog.conclude(CHURN, protected.catalog.epoch(CHURN))
    monkeypatch.setattr(protected.catalog, "open_claims", lambda: [CHURN])
    assert look(context) == []


def lost(world, context, state, times=3):
    """An execution, and all that went on with it, died before a state."""
    died(world, context, state)
    for number in range(2, times + 1):
        assert look(context) == [f"failover-1-{number}"]
        kill(world, context, f"failover-1-{number}", state)


def told_failed(world, context, execution):
    """What was started told that the failover failed, and touched nothing; returns the evidence."""
    before, stands = world.catalog.takeover(CHURN), dict(world.serving.endpoints)
    world.pager.pages.clear()
    ended = finish(world, context, execution)
    assert ended.path == ("Planned?", "RecordFailure", "Failed")
    assert (world.catalog.takeover(CHURN), world.serving.endpoints) == (before, stands)
    assert world.catalog.epoch(CHURN).concluded
    [record] = world.evidence.records
    assert (record.id, record.outcome, record.epoch) == ("failover-1", "failed", 1)
    assert world.bus.named("Failover Completed")[-1]["outcome"] == "failed"
    assert world.pager.pages == [("mldr: failover of sagemaker/churn failed", record.reason)]
    return record


def test_what_dies_three_times_is_told_as_failed_with_what_it_left(protected, context):
    lost(protected, context, "Conclude")
    assert look(context) == ["failover-1-4"]
    reason = told_failed(protected, context, "failover-1-4").reason
    assert reason.startswith("ExecutionLost: 3 executions of it died: its switch is on since 2026-03-01 13:")


def test_what_was_told_as_failed_is_not_begun_again_by_a_request_that_comes_late(protected, context):
    lost(protected, context, "Conclude")
    look(context)
    finish(protected, context, "failover-1-4")
    before = dict(protected.workflows.started)
    ask(protected, context)
    assert look(context) == []
    assert protected.workflows.started == before


def test_an_hour_after_a_claim_that_switched_nothing_no_traffic_moves_any_more(protected, context):
    """The region may be well again: whoever wants it still asks again."""
    died(protected, context, "FlipSwitch")
    protected.clock.move(hours=1)
    assert look(context) == ["failover-1-2"]
    reason = told_failed(protected, context, "failover-1-2").reason
    assert "its execution died, and the claim is more than an hour old: nothing was switched by it" in reason
    ask(protected, context, "failover-2")
    assert finish(protected, context, "failover-2").status == "SUCCEEDED"
    assert protected.catalog.takeover(CHURN).epoch == 3


def test_however_old_a_switch_that_is_on_gets_its_evidence(protected, context):
    died(protected, context, "Conclude")
    protected.clock.move(hours=30)
    assert look(context) == ["failover-1-2"]
    assert finish(protected, context, "failover-1-2").status == "SUCCEEDED"
    assert protected.evidence.records[0].outcome == "completed"


@pytest.mark.parametrize("state", ["FlipSwitch", "Conclude"])
def test_an_execution_that_is_not_found_is_waited_for_and_then_told_as_failed(protected, context, state):
    died(protected, context, state)
    del protected.workflows.started["failover-1"]
    protected.clock.move(minutes=59)
    assert look(context) == []
    protected.clock.move(minutes=1)
    assert look(context) == ["failover-1"]
    assert "no execution of it is found" in told_failed(protected, context, "failover-1").reason


def test_a_claim_that_the_peer_overruled_meanwhile_is_told_to_be_over(protected, context):
    died(protected, context, "RestoreServing")
    said = Standing(
        epoch=2, holder=ACTIVE, home=ACTIVE, kind=Kind.FAILBACK, since=None, route=None, version=None,
        learned_at=protected.clock.now(),
    )  # fmt: skip
    protected.catalog.learn(CHURN, said)
    assert look(context) == ["failover-1-2"]
    assert finish(protected, context, "failover-1-2").data["error"]["Error"] == "StaleEpoch"
    assert protected.catalog.takeover(CHURN) is None
    assert protected.catalog.epoch(CHURN).concluded


def test_one_model_that_cannot_be_looked_at_keeps_no_other_one_waiting(protected, context, monkeypatch):
    died(protected, context, "Conclude")
    epoch = protected.catalog.epoch

    def refuses(model):
        if model.name == "apples":
            raise RegionUnreachable("the table does not answer")
        return epoch(model)

    other = CHURN.model_copy(update={"name": "apples"})
    monkeypatch.setattr(protected.catalog, "open_claims", lambda: [other, CHURN])
    monkeypatch.setattr(protected.catalog, "epoch", refuses)
    with pytest.raises(RegionUnreachable):
        look(context)
    assert "failover-1-2" in protected.workflows.started


def test_tiers_are_converged_again_as_soon_as_it_has_been_told_how_a_dead_failover_ended(protected, context):
    due = {"id": "due", "source": "mldr", "detail-type": "Tiers Due", "detail": {}}
    died(protected, context, "Conclude")
    older = "churn-00000000-s000000"
    protected.serving.endpoints[older] = next(iter(protected.serving.endpoints.values()))
    protected.clock.move(hours=5)
    assert deliver("converge_serving", context, due) == []
    assert older in protected.serving.endpoints, "a claim is open: nothing is touched"
    look(context)
    finish(protected, context, "failover-1-2")
    assert deliver("converge_serving", context, due) == []
    assert older not in protected.serving.endpoints
