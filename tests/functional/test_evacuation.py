"""Recovering all models of a region: through the doors, in the order of the state machines."""

import json

import pytest

from mldr.domain.capacity import Capacity
from mldr.domain.evacuation import recovery_id, work_key
from mldr.domain.evidence import GENESIS, Evidence
from mldr.domain.failover import Epoch, Kind, Takeover
from mldr.domain.recovery_point import Phase
from mldr.domain.region_plan import Direction, Draft, draw
from mldr.errors import BadPolicy, EndpointFailed, NotAllowed, RegionUnreachable
from mldr.events.evacuation import RecoverTask
from mldr.ports.stack import Status
from mldr.steps.recover_model import recover_model
from mldr.steps.refresh_quotas import refresh_quotas
from tests.fakes.world import ACTIVE, STANDBY
from tests.functional.pair import Pair
from tests.functional.region_story import (
    POLICY,
    Killed,
    evacuate,
    follow,
    key,
    machine,
    of_region,
    protect_all,
    region_event,
    run_failovers,
    switch,
)
from tests.functional.story import CHURN, deliver, failover_event

NAMES = ("plain-a", "slow-b", "urgent-c")


@pytest.fixture
def protected(world, context):
    protect_all(world, context, NAMES)
    return world


def drawn(world, side_by_side=10, kind=Kind.FAILOVER):
    """The plan if the region failed now."""
    now = world.clock.now()
    where = Direction(here=world.env.aws_region, there=world.env.peer_region, kind=kind)
    try:
        policy = world.policies.load()[0]
    except BadPolicy:
        policy = None
    return draw(
        world.region_facts.gather(where, now),
        where,
        policy=policy,
        capacity=world.catalog.capacity(),
        began_at=now,
        now=now,
        side_by_side=side_by_side,
    )


def names(lines):
    return [line.model.name for line in lines]


def refuse(world, monkeypatch, name, error):
    """This model's endpoint cannot be created."""
    restore = world.serving.restore

    def refusing(plan):
        if plan.name.startswith(name):
            raise error
        restore(plan)

    monkeypatch.setattr(world.serving, "restore", refusing)


def test_every_model_of_the_region_is_recovered_and_the_region_has_its_evidence(protected, context):
    ended = evacuate(protected, context)
    assert (ended.status, ended.last) == ("SUCCEEDED", "Evacuated")
    assert all(switch(protected, name).epoch == 1 for name in NAMES)
    record = of_region(protected)
    assert (record.outcome, record.id, record.region) == ("completed", "region-1", STANDBY)
    assert {(one.model.name, one.outcome) for one in record.models} == {(name, "completed") for name in NAMES}
    assert [phase.name for phase in record.phases] == ["plan", "recover"]
    told = [one for one in protected.bus.named("Failover Completed") if "of_region" in one]
    assert [(one["of_region"], one["outcome"], one["recovered"]) for one in told] == [(ACTIVE, "completed", 3)]
    assert protected.pager.pages == []


def test_models_start_in_the_order_of_the_plan(protected, context):
    evacuate(protected, context)
    started = [one for one in protected.workflows.started.values() if "failover_id" in one]
    assert [one["model"] for one in started] == ["sagemaker/urgent-c", "sagemaker/plain-a", "sagemaker/slow-b"]


def test_as_many_run_side_by_side_as_the_stack_says(protected, context):
    protected.env = protected.env.model_copy(update={"failovers_side_by_side": 2})
    ended = evacuate(protected, context)
    assert ended.data["plan"]["side_by_side"] == 2


def test_nothing_of_the_active_region_or_of_a_control_plane_is_asked(protected, context, monkeypatch):
    """Law 1, as the ports see it. Quotas were read beforehand."""
    for port in ("sources", "registry", "images", "fronts", "dns", "quotas"):
        monkeypatch.delattr(protected, port)
    assert evacuate(protected, context).status == "SUCCEEDED"


def test_an_endpoint_that_is_refused_is_named_and_the_others_go_on(protected, context, monkeypatch):
    refuse(protected, monkeypatch, "urgent-c", EndpointFailed("ResourceLimitExceeded: 0 of ml.m5.large"))
    ended = evacuate(protected, context)
    assert ended.status == "SUCCEEDED"
    assert switch(protected, "urgent-c") is None, "its switch is not touched"
    assert all(switch(protected, name) for name in ("plain-a", "slow-b"))
    record = of_region(protected)
    assert (record.outcome, record.reason) == ("failed", "1 of 3 models did not move: sagemaker/urgent-c")
    subject, message = protected.pager.pages[-1]
    assert subject == f"mldr: failover of {ACTIVE} failed"
    assert "sagemaker/urgent-c: EndpointFailed: ResourceLimitExceeded: 0 of ml.m5.large" in message


def test_an_endpoint_that_hangs_is_given_up_and_the_others_go_on(protected, context, monkeypatch):
    status = protected.serving.status
    monkeypatch.setattr(
        protected.serving,
        "status",
        lambda name: ("Creating", "waiting for capacity") if name.startswith("urgent") else status(name),
    )
    evacuate(protected, context)
    assert switch(protected, "urgent-c") is None
    assert all(switch(protected, name) for name in ("plain-a", "slow-b"))
    [bad] = [one for one in of_region(protected).models if one.outcome == "failed"]
    assert "still Creating after 1:00:00" in bad.reason


def test_a_model_that_cannot_even_be_started_stops_no_other(protected, context, monkeypatch):
    start = protected.workflows.start

    def forbidden(name, payload):
        if payload["model"] == "sagemaker/urgent-c":
            raise NotAllowed("start an execution: AccessDenied")
        start(name, payload)

    monkeypatch.setattr(protected.workflows, "start", forbidden)
    assert evacuate(protected, context).status == "SUCCEEDED"
    assert all(switch(protected, name) for name in ("plain-a", "slow-b"))
    assert of_region(protected).reason == "1 of 3 models did not move: sagemaker/urgent-c"


@pytest.mark.parametrize(
    ("port", "reads"),
    [("catalog", "leadership"), ("catalog", "records"), ("evidence", "newest"), ("serving_captures", "newest")],
)
@pytest.mark.parametrize("error", [RegionUnreachable("read it: timed out"), ValueError("1 validation error")])
def test_a_model_of_which_nothing_can_be_read_is_planned_last_and_keeps_no_other_from_its_place(
    protected, monkeypatch, port, reads, error
):
    whole = getattr(getattr(protected, port), reads)

    def unreadable(model, *more):
        if model == key("urgent-c"):
            raise error
        return whole(model, *more)

    monkeypatch.setattr(getattr(protected, port), reads, unreadable)
    plan = drawn(protected).plan
    assert sorted(names(plan.planned)) == ["plain-a", "slow-b"]
    [last] = plan.refused
    assert (last.model, last.tried) == (key("urgent-c"), True)
    assert "look at `mldr status urgent-c`" in last.reason


def test_a_model_whose_evidence_is_damaged_is_recovered_with_its_region(protected, context, monkeypatch):
    newest = protected.evidence.newest

    def damaged(model, limit):
        if model == key("urgent-c"):
            raise ValueError("no evidence")
        return newest(model, limit)

    monkeypatch.setattr(protected.evidence, "newest", damaged)
    assert evacuate(protected, context).status == "SUCCEEDED"
    assert all(switch(protected, name) for name in NAMES)
    monkeypatch.undo()
    assert of_region(protected).outcome == "completed"


def test_what_the_quotas_leave_no_room_for_is_tried_after_all_others(protected, context):
    """They may have been raised since they were read: SageMaker decides, not the plan."""
    now = protected.clock.now()
    protected.catalog.put_capacity(Capacity(limits={"ml.m5.large": 2}, used={}, side_by_side=10, read_at=now))
    ended = evacuate(protected, context)
    assert "TryRest" in ended.path
    started = [one["model"] for one in protected.workflows.started.values() if "failover_id" in one]
    assert started[-1] == "sagemaker/slow-b"
    assert all(switch(protected, name) for name in NAMES)


def test_a_model_without_a_sealed_point_is_named_and_nothing_is_started_for_it(protected, context):
    [record] = protected.catalog.records(key("slow-b"))
    protected.catalog.annotate(key("slow-b"), record.recovery_point, damaged="its bytes went bad")
    evacuate(protected, context)
    assert not any(one.get("model") == "sagemaker/slow-b" for one in protected.workflows.started.values()
                   if "failover_id" in one)  # fmt: skip
    [bad] = [one for one in of_region(protected).models if one.outcome == "failed"]
    assert (bad.model, bad.reason) == (key("slow-b"), "no sealed recovery point; look at `mldr status slow-b`")


def test_a_model_whose_approvals_were_all_taken_back_is_nobodys_loss(protected):
    [record] = protected.catalog.records(key("slow-b"))
    protected.catalog.annotate(key("slow-b"), record.recovery_point, withdrawn="rejected")
    made = drawn(protected).plan
    assert names([*made.planned, *made.refused]) == ["urgent-c", "plain-a"]


# what is under way, or over, already


def test_a_failover_that_is_under_way_is_followed_and_not_refused(protected, context):
    deliver("start_failover", context, failover_event(protected, "auto-1", model="sagemaker/urgent-c"))

    def dies(state, attempt):
        if state == "RestoreServing":
            raise Killed

    with pytest.raises(Killed):
        run_with(protected, context, "auto-1", dies)
    protected.workflows.active.add("auto-1")
    ended = evacuate(protected, context)
    assert ended.status == "SUCCEEDED"
    assert recovery_id("region-1", key("urgent-c")) not in protected.workflows.started
    assert [one.outcome for one in of_region(protected).models] == ["completed"] * 3
    assert protected.catalog.epoch(key("urgent-c")).failover_id == "auto-1"


def test_a_failover_that_another_one_was_faster_than_waits_for_it(protected, context):
    """Ours was started a moment before the other one claimed: it is refused, and the other one decides."""
    task = RecoverTask.parse(
        {**failover_event(protected, model="sagemaker/urgent-c")["detail"], "failover_id": "ours", "poll_seconds": 1,
         "patience": 3600,
         "requested_at": protected.clock.now().isoformat()}
    )  # fmt: skip

    def ended():
        return recover_model(task, region=STANDBY, peer=ACTIVE, catalog=protected.catalog,
                             workflows=protected.workflows, clock=protected.clock).ended  # fmt: skip

    assert not ended(), "ours was started"
    deliver("start_failover", context, failover_event(protected, "other", model="sagemaker/urgent-c"))

    def dies(state, attempt):
        if state == "RestoreServing":
            raise Killed

    with pytest.raises(Killed):
        run_with(protected, context, "other", dies)
    protected.workflows.active.add("other")
    assert run_with(protected, context, "ours", lambda state, attempt: None).data["error"]["Error"] == "EpochTaken"
    protected.workflows.ended["ours"] = Status.FAILED
    assert not ended(), "the other one still runs"
    run_failovers(protected, context)
    assert ended()


def test_the_outcome_is_that_of_the_failover_that_was_faster(protected, context, monkeypatch):
    refuse(protected, monkeypatch, "urgent-c", EndpointFailed("no capacity"))
    deliver("start_failover", context, failover_event(protected, "auto", model="sagemaker/urgent-c"))
    start = protected.workflows.start

    def overtaken(name, payload):
        start(name, payload)
        if name == recovery_id("region-1", key("urgent-c")):
            conclude_refused(protected, name)
            run_failovers(protected, context)

    monkeypatch.setattr(protected.workflows, "start", overtaken)
    evacuate(protected, context)
    [bad] = [one for one in of_region(protected).models if one.outcome == "failed"]
    assert (bad.model, "no capacity" in bad.reason) == (key("urgent-c"), True)


def conclude_refused(world, name):
    """This failover was refused: another one holds the epoch."""
    world.workflows.active.discard(name)
    world.workflows.ended[name] = Status.FAILED
    world.evidence.append(
        Evidence(
            sequence=0, previous=GENESIS, kind="failover", id=name, model=key("urgent-c"), outcome="refused",
            reason="EpochTaken", region=STANDBY, epoch=None, recovery_point=None, phases=(),
            recorded_at=world.clock.now(),
        )
    )  # fmt: skip


def run_with(world, context, execution, before):
    from tests.functional.story import run

    return run(world, context, execution, "failover", before=before)


def test_a_model_that_was_taken_over_before_is_not_in_the_plan(protected, context):
    deliver("start_failover", context, failover_event(protected, "auto-1", model="sagemaker/urgent-c"))
    run_failovers(protected, context)
    assert names(drawn(protected).plan.planned) == ["plain-a", "slow-b"]
    evacuate(protected, context)
    assert sorted(one.model.name for one in of_region(protected).models) == ["plain-a", "slow-b"]


def test_a_model_whose_execution_is_lost_again_and_again_is_given_up(protected, context, monkeypatch):
    lost = recovery_id("region-1", key("urgent-c"))
    start = protected.workflows.start

    def dead(name, payload):
        start(name, payload)
        if name.startswith(lost):
            protected.workflows.active.discard(name)
            protected.workflows.ended[name] = Status.LOST

    monkeypatch.setattr(protected.workflows, "start", dead)
    evacuate(protected, context)
    assert [name for name in protected.workflows.started if name.startswith(lost)] == [lost, f"{lost}-2", f"{lost}-3"]
    [bad] = [one for one in of_region(protected).models if one.outcome == "failed"]
    assert bad.reason == "its failover told nothing; `mldr status urgent-c`"


# killed and asked for again


KILLS = [
    ("before", "Plan", 1), ("after", "plan_evacuation", 1), ("before", "Recover", 1),
    *[("after", "recover_model", times) for times in range(1, 7)],
    ("before", "Conclude", 1), ("after", "conclude_evacuation", 1),
]  # fmt: skip


@pytest.mark.parametrize(("when", "what", "times"), KILLS)
def test_killed_anywhere_and_asked_for_again_it_goes_on_and_does_nothing_twice(protected, context, when, what, times):
    """The failovers that it started are executions of their own: they do not die with it."""
    event = region_event(protected)
    deliver("start_failover", context, event)

    def die(name, count):
        if name == what and count == (times if when == "after" else 0):
            raise Killed

    with pytest.raises(Killed):
        follow(protected, context, "region-1", **{when: die})
    protected.evacuations.ended["region-1"] = Status.LOST
    run_failovers(protected, context)
    assert deliver("start_failover", context, event) == []
    assert follow(protected, context, "region-1-2").status == "SUCCEEDED"
    for name in NAMES:
        assert switch(protected, name).epoch == 1
        assert [one.outcome for one in protected.evidence.records if one.model == key(name)] == ["completed"]
    assert len(protected.serving.endpoints) == len(NAMES)
    assert [one.outcome for one in protected.evidence.records if one.model.registry == "region"] == ["completed"]


def test_asked_for_twice_it_is_one_evacuation(protected, context):
    event = region_event(protected)
    assert deliver("start_failover", context, event, event) == []
    assert list(protected.evacuations.started) == ["region-1"]
    assert follow(protected, context, "region-1").status == "SUCCEEDED"
    assert deliver("start_failover", context, event) == []
    assert list(protected.evacuations.started) == ["region-1"]


def test_started_again_it_goes_on_with_the_same_plan(protected, context):
    deliver("start_failover", context, region_event(protected))
    first = machine(protected, context)

    def die(state, attempt):
        if state == "Recover":
            raise Killed

    first.before = die
    with pytest.raises(Killed):
        first.run(protected.evacuations.started["region-1"])
    made = protected.vault.read(work_key("region-1", "plan.json"))
    protected.clock.move(minutes=20)
    follow(protected, context, "region-1")
    assert protected.vault.read(work_key("region-1", "plan.json")) == made
    assert Draft.model_validate_json(made).plan.holds


# what is refused


@pytest.mark.parametrize(
    ("detail", "says"),
    [
        ({"region": ACTIVE, "model": "sagemaker/churn", "reason": "x"}, "names a model or a region, not both"),
        ({"reason": "x"}, "model: Field required"),
        ({"region": "Mars", "reason": "x"}, "detail.region"),
        ({"region": ACTIVE, "kind": "clear", "reason": "x"}, "detail.kind"),
    ],
)
def test_a_request_names_exactly_one_model_or_one_region(world, context, detail, says, caplog):
    event = {**region_event(world), "detail": detail}
    assert deliver("start_failover", context, event, region_event(world, "fine")) == ["0"]
    assert says in caplog.text
    assert list(world.evacuations.started) == ["fine"]


def test_a_region_that_this_one_does_not_stand_by_for_is_refused_with_evidence(protected, context):
    ended = evacuate(protected, context, region="eu-west-1")
    assert (ended.status, ended.error) == ("FAILED", "EvacuationFailed")
    record = of_region(protected, "eu-west-1")
    assert (record.outcome, record.models) == ("refused", ())
    assert f"which can do it for {ACTIVE}" in protected.pager.pages[-1][1]


def test_a_region_that_was_asked_for_days_ago_is_not_moved_any_more(protected, context):
    event = region_event(protected)
    protected.clock.move(seconds=3 * 86400)
    assert deliver("start_failover", context, event) == []
    ended = follow(protected, context, "region-1")
    assert (ended.status, ended.error) == ("FAILED", "EvacuationFailed")
    assert of_region(protected).outcome == "refused"
    assert "ask again if it is still wanted" in protected.pager.pages[-1][1]
    assert not any(switch(protected, name) for name in NAMES)


def test_a_plan_that_cannot_be_made_pages_and_fails(protected, context, monkeypatch):
    def forbidden():
        raise NotAllowed("read CAPACITY of REGION: AccessDenied")

    monkeypatch.setattr(protected.catalog, "capacity", forbidden)
    ended = evacuate(protected, context)
    assert ended.error == "EvacuationFailed"
    assert of_region(protected).outcome == "failed"
    assert "AccessDenied" in protected.pager.pages[-1][1]


# the plan


def test_the_plan_says_when_each_model_is_back_and_touches_nothing(protected):
    before = (dict(protected.workflows.started), len(protected.bus.events))
    made = drawn(protected)
    assert names(made.plan.planned) == ["urgent-c", "plain-a", "slow-b"]
    assert made.plan.holds
    assert all(line.measured == 0 for line in made.plan.planned)
    assert (dict(protected.workflows.started), len(protected.bus.events)) == before


def test_a_measured_recovery_replaces_the_assumption(protected, context):
    """A model that was recovered here is expected to take as long as the longest of its last recoveries."""
    deliver("start_failover", context, failover_event(protected, "f-1", model="sagemaker/urgent-c"))
    run_failovers(protected, context)
    record = protected.evidence.newest(key("urgent-c"), 1)[0]
    own = sum(phase.seconds for phase in record.phases if phase.name not in ("detect", "gate", "decide"))
    protected.catalog._switches.clear()
    [line] = [one for one in drawn(protected).plan.planned if one.model.name == "urgent-c"]
    assert (line.measured, line.duration.total_seconds()) == (1, own)


def test_a_plan_survives_a_policy_with_mistakes(protected):
    protected.policies.text = None
    assert names(drawn(protected).plan.planned) == ["urgent-c", "plain-a", "slow-b"], "the sealed policies hold"


def test_quotas_are_read_by_the_schedule_and_kept_with_their_age(protected, context):
    from functions.reconcile_registry import app

    protected.quotas.allowed = {"ml.m5.large": 4}
    protected.quotas.endpoints = {"somebody-elses": {"ml.m5.large": 3}}
    app.handler({}, context)
    kept = protected.catalog.capacity()
    assert (kept.free, kept.read_at) == ({"ml.m5.large": 1}, protected.clock.now())
    made = drawn(protected).plan
    assert names(made.refused) == ["plain-a", "slow-b"]
    assert "the quota of this region leaves 0" in made.refused[0].reason


@pytest.mark.parametrize("again", [False, True])
def test_what_one_failover_began_is_deducted_once_from_what_the_next_plan_may_use(protected, context, again):
    """Before the quotas are read again, and after; while it is under way, and once it has taken over."""

    def plan():
        if again:
            refresh_quotas(quotas=protected.quotas, catalog=protected.catalog, clock=protected.clock, side_by_side=10)
        return drawn(protected).plan

    protected.quotas.allowed = {"ml.m5.large": 2}
    refresh_quotas(quotas=protected.quotas, catalog=protected.catalog, clock=protected.clock, side_by_side=10)
    assert (names(drawn(protected).plan.planned), names(drawn(protected).plan.refused)) == (
        ["urgent-c", "plain-a"], ["slow-b"]
    )  # fmt: skip
    urgent, now = key("urgent-c"), protected.clock.now()
    [record] = protected.catalog.records(urgent)
    claim = Epoch(
        number=1, failover_id="f", region=STANDBY, recovery_point=record.recovery_point, claimed_at=now
    )  # fmt: skip
    protected.catalog.claim(urgent, claim, None)
    endpoint = f"urgent-c-{record.recovery_point[-8:]}-e1"
    protected.quotas.endpoints = {endpoint: {"ml.m5.large": 1}}
    protected.clock.move(seconds=30)
    assert (names(plan().planned), names(plan().refused)) == (["urgent-c", "plain-a"], ["slow-b"])
    taken = Takeover(
        epoch=1, endpoint=endpoint, recovery_point=record.recovery_point, flipped_at=protected.clock.now(), home=ACTIVE
    )  # fmt: skip
    protected.catalog.flip(urgent, taken, claim)
    protected.catalog.conclude(urgent, claim)
    assert (names(plan().planned), names(plan().refused)) == (["plain-a"], ["slow-b"])


def standing_by(world, context, floor, instances=3):
    """Urgent-c is a warm standby and stands; the schedule has read what the region holds. Returns its name."""
    from functions.reconcile_registry import app

    rule = "criticality: revenue-critical"
    warm = f"tier: warm-standby, serving: {{instance_count: {instances}, floor: {floor}}}"
    protect_all(world, context, NAMES, POLICY.replace(rule, f"{rule}, {warm}"))
    due = {"id": "due", "source": "mldr", "detail-type": "Tiers Due", "detail": {}}
    assert deliver("converge_serving", context, due) == []
    [stands] = world.standing_endpoints.held()
    world.quotas.endpoints = {stands.name: {"ml.m5.large": stands.counts["AllTraffic"].desired}}
    app.handler({}, context)
    return stands.name


@pytest.mark.parametrize(("quota", "tried_last"), [(5, []), (4, ["slow-b"]), (3, ["plain-a", "slow-b"])])
def test_what_stands_by_is_not_asked_of_the_quotas_again(world, context, quota, tried_last):
    """It stands with one of three: two are missing. The others need one each."""
    world.quotas.allowed = {"ml.m5.large": quota}
    name = standing_by(world, context, floor=1)
    assert names(drawn(world).plan.refused) == tried_last
    ended = evacuate(world, context)
    assert ended.data["plan"]["rest"] == len(tried_last)
    assert switch(world, "urgent-c").endpoint == name
    assert all(switch(world, one) for one in NAMES)


def test_what_stands_as_large_as_it_serves_is_recovered_where_the_quotas_leave_nothing(world, context):
    world.quotas.allowed = {"ml.m5.large": 3}
    standing_by(world, context, floor=3)
    made = drawn(world)
    assert made.capacity.free == {"ml.m5.large": 0}
    assert names(made.plan.planned) == ["urgent-c"]
    assert names(made.plan.refused) == ["plain-a", "slow-b"]


def test_a_planned_move_of_a_region_leaves_where_it_is_what_would_fail_requests(protected, context):
    """Nothing is started for it; it is named with what is right, and the others move."""
    short = "criticality: revenue-critical, failover: {drain: 20s}"
    protected.policies.put(POLICY.replace("criticality: revenue-critical", short))
    made = drawn(protected, kind=Kind.MOVE).plan
    assert (names(made.planned), names(made.refused)) == (["plain-a", "slow-b"], ["urgent-c"])
    evacuate(protected, context, kind="move")
    asked = [one["model"] for one in protected.workflows.started.values() if "failover_id" in one]
    assert "sagemaker/urgent-c" not in asked
    assert len(asked) == 2
    [bad] = [one for one in of_region(protected).models if one.model == key("urgent-c")]
    assert bad.reason.startswith("failover.drain is 20s, shorter than DNS needs to move")
    assert "failover.drain is 20s" in protected.pager.pages[-1][1]
    assert drawn(protected).plan.holds, "a region that failed is left all the same"


def test_three_hundred_models_are_planned_in_one_state_of_bounded_size(world, context):
    """256 KiB is what Step Functions hands from state to state; the items are in the vault."""
    protect_all(world, context, ["plain-0"])
    [record] = world.catalog.records(key("plain-0"))
    route = world.catalog.route(key("plain-0"))
    for number in range(1, 300):
        model = key(f"a-model-with-a-rather-long-name-of-sixty-letters-or-so-{number:04d}")
        world.catalog.begin(record.model_copy(update={"model": model, "phase": Phase.SEALED}))
        world.catalog.put_route(model, route, {})
    asked = machine(world, context)

    def stop(state, attempt):
        if state == "Recover":
            raise Killed

    asked.before = stop
    deliver("start_failover", context, region_event(world))
    with pytest.raises(Killed):
        asked.run(world.evacuations.started["region-1"])
    items = json.loads(world.vault.read(work_key("region-1", "models.json")))
    assert len(items) == 300
    assert all(len(item["failover_id"]) <= 60 for item in items)
    assert len({item["failover_id"] for item in items}) == 300
    assert asked.largest < 2_000
    assert max(len(json.dumps(item)) for item in items) < 2_000


def test_refresh_keeps_how_many_run_side_by_side(world):
    kept = refresh_quotas(quotas=world.quotas, catalog=world.catalog, clock=world.clock, side_by_side=7)
    assert world.catalog.capacity() == kept
    assert kept.side_by_side == 7


# home again


def test_a_region_takes_its_models_home(monkeypatch, context):
    pair = Pair(monkeypatch, context)
    pair.protected()
    pair.listen()
    pair.fail(pair.home)
    pair.request(pair.standby, "failover", "failover-1")
    pair.heal(pair.home)
    pair.listen()
    pair.protect(pair.home, pair.standby.catalog.records(CHURN)[-1].target_arn)
    event = {**region_event(pair.home, "home-1", region=ACTIVE), "detail-type": "Failback Requested"}
    with pair.inside(pair.home):
        assert names(drawn(pair.home, kind=Kind.FAILBACK).plan.planned) == ["churn"]
        assert deliver("start_failover", context, event) == []
        assert follow(pair.home, context, "home-1").status == "SUCCEEDED"
    assert pair.home.catalog.takeover(CHURN).kind is Kind.FAILBACK
    assert of_region(pair.home).outcome == "completed"
    assert pair.home.bus.named("Failback Completed")[-1]["of_region"] == ACTIVE
