"""Watching the active region: what is decided, acted on and remembered, round by round."""

import pytest

from functions.decide_failover import app
from mldr.domain.capacity import Capacity
from mldr.domain.evacuation import Listing, work_key
from mldr.domain.failover import Epoch, Kind
from mldr.domain.health import Action, Sight, Why
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Standing
from mldr.domain.serving_state import Refusal
from mldr.errors import NotAllowed
from mldr.ports.stack import Status
from tests.fakes.world import ACTIVE, POLICY, STANDBY
from tests.functional.state_machine import Machine
from tests.functional.story import (
    CHURN,
    clients_follow,
    deliver,
    document,
    fail_over,
    point,
    promoted,
    protect,
    run,
    stock,
)

HOST = f"gateway.{ACTIVE}.example"
ROUND = {"round": 0, "rounds": 5, "pause": 10}


@pytest.fixture
def protected(world, context):
    protect(world, context, promoted(world))
    world.bus.events.clear()
    return world


def look(world, context, *, canary="healthy", probe=Sight.HEALTHY, rounds=1):
    """So many rounds of looking, in which both vantage points see the same."""
    world.outside.texts["_health"] = canary
    world.outside.probes[HOST] = probe
    for _ in range(rounds):
        app.handler(ROUND, context)
        world.clock.move(seconds=10)


def requests(world):
    return world.bus.named("Failover Requested")


def test_a_healthy_region_is_left_alone(protected, context):
    look(protected, context, rounds=10)
    assert (protected.bus.events, protected.pager.pages) == ([], [])


def test_three_rounds_in_which_both_vantage_points_fail_request_a_failover(protected, context):
    began = protected.clock.now()
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=2)
    assert requests(protected) == []
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY)
    [request] = requests(protected)
    assert (request["model"], request["requested_by"]) == ("sagemaker/churn", "decide_failover")
    assert request["first_failure_at"] == began.isoformat()
    assert "route53: unhealthy" in request["reason"]


def test_a_model_that_moves_while_it_is_looked_at_is_not_asked_for_again(protected, context, monkeypatch):
    """A look that waits in the middle must not decide on who served as it began."""
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=2)
    records, moved = protected.catalog.records, []

    def moving(model):
        if not moved:
            moved.append(protected.clock.now())
            standing = Standing(
                epoch=1, holder=STANDBY, home=ACTIVE, kind=Kind.FAILOVER, since=moved[0], route=None, version=None,
                learned_at=moved[0],
            )  # fmt: skip
            protected.catalog.learn(CHURN, standing)
        return records(model)

    monkeypatch.setattr(protected.catalog, "records", moving)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY)
    assert requests(protected) == []


def test_a_long_outage_requests_one_failover(protected, context):
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    protected.workflows.start(requests(protected)[0]["failover_id"], {})
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=80)
    assert len(requests(protected)) == 1


def test_a_request_that_was_lost_on_its_way_is_made_again_under_its_own_id(protected, context):
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=12)
    assert len(requests(protected)) == 2
    assert len({request["failover_id"] for request in requests(protected)}) == 1


def test_a_failover_whose_execution_died_is_requested_again_under_its_own_id(protected, context):
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    [request] = requests(protected)
    end(protected, request["failover_id"], Status.LOST)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=7)
    assert [one["failover_id"] for one in requests(protected)] == [request["failover_id"]] * 2


def end(world, failover_id, status):
    """The execution of a failover has ended."""
    world.workflows.start(failover_id, {})
    world.workflows.active.discard(failover_id)
    world.workflows.ended[failover_id] = status


def test_a_failover_that_was_refused_is_requested_again_in_the_same_outage(protected, context):
    """It was refused because the point was damaged; then another one was sealed: the outage is not over."""
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    [request] = requests(protected)
    end(protected, request["failover_id"], Status.FAILED)
    sealed = point(protected).recovery_point
    protected.catalog.annotate(CHURN, sealed, damaged="bytes differ")
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=30)
    assert len(requests(protected)) == 1
    assert [subject for subject, _ in protected.pager.pages] == ["mldr: sagemaker/churn unhealthy"]
    protected.catalog.annotate(CHURN, sealed, damaged=None)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY)
    first, again = (one["failover_id"] for one in requests(protected))
    assert again == f"{first}-t2"


def test_a_failover_of_another_hand_that_is_under_way_is_waited_for(protected, context):
    end(protected, "by-hand", Status.FAILED)
    protected.workflows.active.add("by-hand")
    held = Epoch(number=1, failover_id="by-hand", region=STANDBY, recovery_point="p", claimed_at=protected.clock.now())
    protected.catalog.claim(CHURN, held, None)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=10)
    assert requests(protected) == []
    assert "failover by-hand is under way" in protected.catalog.health(CHURN).decided.reason


def test_a_claim_whose_execution_died_holds_nothing_up(protected, context):
    end(protected, "by-hand", Status.LOST)
    held = Epoch(number=1, failover_id="by-hand", region=STANDBY, recovery_point="p", claimed_at=protected.clock.now())
    protected.catalog.claim(CHURN, held, None)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    assert len(requests(protected)) == 1


def test_a_request_repeated_after_a_crash_names_the_same_failover(protected, context, monkeypatch):
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=2)

    def crash(model, state):
        raise RuntimeError("the function died")

    with monkeypatch.context() as dying:
        dying.setattr(protected.catalog, "put_health", crash)
        with pytest.raises(RuntimeError):
            app.handler(ROUND, context)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY)
    first, second = requests(protected)
    assert first["failover_id"] == second["failover_id"]


def test_the_automatic_request_starts_a_failover_that_succeeds(protected, context):
    clients_follow(protected)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    [request] = requests(protected)
    event = {
        "id": "any", "source": "mldr", "detail-type": "Failover Requested",
        "time": protected.clock.now().isoformat(), "detail": request,
    }  # fmt: skip
    assert deliver("start_failover", context, event, event) == []
    ended = run(protected, context, request["failover_id"], "failover")
    assert ended.status == "SUCCEEDED"
    assert protected.evidence.records[0].phases[0].name == "detect"
    assert protected.evidence.records[0].phases[0].seconds == 30


def test_models_whose_long_names_begin_alike_fail_over_each(world, context):
    """In a region's outage all models fail in the same second: no two of them may share an execution."""
    clients_follow(world)
    stock(world)
    names = [f"customer-churn-prediction-of-{market}" for market in ("north", "north-east", "south")]
    for name in names:
        protect(world, context, world.registry.promote(name, document()))
    world.bus.events.clear()
    look(world, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    [request] = requests(world)
    asked = Listing.model_validate_json(world.vault.read(work_key(request["failover_id"], "asked.json"))).models
    assert {str(one.model) for one in asked} == {f"sagemaker/{name}" for name in names}
    assert len({one.failover_id for one in asked}) == 3


def test_one_good_round_begins_the_count_anew(protected, context):
    for _ in range(5):
        look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=2)
        look(protected, context)
    assert requests(protected) == []


@pytest.mark.parametrize(
    ("canary", "probe"),
    [
        (None, Sight.UNKNOWN),
        (None, Sight.UNHEALTHY),
        ("unhealthy", Sight.UNKNOWN),
        ("unhealthy", Sight.HEALTHY),
        ("healthy", Sight.UNHEALTHY),
        ("something else", Sight.UNKNOWN),
    ],
)
def test_a_probe_that_cannot_observe_pages_once_and_never_fails_over(protected, context, canary, probe):
    look(protected, context, canary=canary, probe=probe, rounds=20)
    assert requests(protected) == []
    [(subject, message)] = protected.pager.pages
    assert subject == "mldr: sagemaker/churn unknown"
    assert "cannot tell whether the model is up" in message
    assert "mldr failover churn" in message


def test_a_policy_that_leaves_it_to_a_person_pages(protected, context):
    protected.policies.put(POLICY.replace("golden:", "failover: {mode: manual}\n    golden:"))
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=10)
    assert requests(protected) == []
    [(_, message)] = protected.pager.pages
    assert "the policy leaves it to a person" in message


def test_a_standby_with_nothing_to_restore_pages(protected, context):
    [arn] = protected.registry.entries
    [record] = protected.catalog.records(CHURN)
    protected.catalog.annotate(CHURN, record.recovery_point, withdrawn="the registry says Rejected")
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=10)
    assert requests(protected) == []
    assert "no sealed recovery point" in protected.pager.pages[0][1]
    assert arn


def test_a_damaged_point_is_none_to_fail_over_to(protected, context):
    protected.catalog.annotate(CHURN, point(protected).recovery_point, damaged="bytes differ")
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=10)
    assert requests(protected) == []
    assert "no sealed recovery point" in protected.pager.pages[0][1]


def tiered(world, tier):
    world.policies.put(POLICY.replace("golden:", f"tier: {tier}\n    golden:"))


@pytest.mark.parametrize("tier", ["warm-standby", "active-active"])
def test_a_warm_endpoint_that_is_gone_is_told_and_holds_nothing_up(protected, context, tier):
    """A slow recovery is better than none: the endpoint is restored from the vault."""
    tiered(protected, tier)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    [request] = requests(protected)
    assert f"its {tier} endpoint churn-{point(protected).recovery_point[-8:]}-s" in request["reason"]
    assert "a failover takes as long as a cold one" in request["reason"]


def test_a_warm_endpoint_that_serves_is_not_worth_a_word(protected, context):
    tiered(protected, "warm-standby")
    due = {"id": "d", "source": "mldr", "detail-type": "Tiers Due", "detail": {}}
    assert deliver("converge_serving", context, due) == []
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    assert "its warm-standby endpoint" not in requests(protected)[0]["reason"]


@pytest.mark.parametrize("status", ["Updating", "SystemUpdating", "RollingBack"])
def test_a_warm_endpoint_that_is_scaled_is_not_worth_a_word_either(protected, context, status):
    tiered(protected, "warm-standby")
    due = {"id": "d", "source": "mldr", "detail-type": "Tiers Due", "detail": {}}
    assert deliver("converge_serving", context, due) == []
    [standing] = protected.serving.endpoints.values()
    standing.statuses = [(status, "")]
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    assert "its warm-standby endpoint" not in requests(protected)[0]["reason"]


def test_what_a_failover_will_lack_is_told_with_it(protected, context):
    """Nothing of it holds the failover up: a quota may have been raised, an older state is better than none."""
    at = protected.clock.now()
    protected.serving_captures.refuse(CHURN, Refusal(reason="BadReference: Config.KmsKeyId", at=at))
    protected.catalog.put_capacity(Capacity(limits={"ml.m5.large": 0}, used={}, side_by_side=10, read_at=at))
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    [request] = requests(protected)
    assert "a later look was refused: BadReference: Config.KmsKeyId" in request["reason"]
    assert "it needs 1 x ml.m5.large and the quota of this region leaves 0" in request["reason"]


def test_what_a_tier_has_standing_needs_no_room(protected, context):
    tiered(protected, "warm-standby")
    due = {"id": "d", "source": "mldr", "detail-type": "Tiers Due", "detail": {}}
    assert deliver("converge_serving", context, due) == []
    [name] = protected.serving.endpoints
    full = Capacity(
        limits={"ml.m5.large": 1}, used={"ml.m5.large": 1}, standing={name: {"ml.m5.large": 1}}, side_by_side=10,
        read_at=protected.clock.now(),
    )  # fmt: skip
    protected.catalog.put_capacity(full)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    assert "quota" not in requests(protected)[0]["reason"]


def test_a_policy_with_mistakes_does_not_stop_the_watch(protected, context):
    """The policy that was sealed with the point stands in."""
    protected.policies.text = "version: 7"
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    assert len(requests(protected)) == 1


def test_a_model_that_this_region_serves_is_not_observed(protected, context):
    clients_follow(protected)
    fail_over(protected, context)
    protected.outside.probed.clear()
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=5)
    assert (requests(protected), protected.outside.probed) == ([], [])


# what may not be seen


def forbidden(*_, **__):
    raise NotAllowed("read the table: AccessDenied; grant it in template.yaml")


def test_a_permission_that_was_lost_pages_and_moves_nothing(protected, context, monkeypatch):
    """Law 6: the probes say down, but this region cannot tell whether it could take over."""
    monkeypatch.setattr(protected.catalog, "records", forbidden)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=10)
    assert requests(protected) == []
    [(_, message)] = protected.pager.pages
    assert "its readiness cannot be told: NotAllowed" in message


def test_a_witness_whose_token_may_not_be_read_is_unknown(witnessed, context, monkeypatch):
    monkeypatch.setattr(witnessed.witness_token, "present", forbidden)
    look(witnessed, context, canary=None, probe=Sight.UNHEALTHY, rounds=10)
    assert requests(witnessed) == []
    assert "witness: unknown (NotAllowed" in witnessed.pager.pages[0][1]


def rounds_beside_a_model_that_cannot_be_judged(world, context, monkeypatch, *, rounds, seconds):
    """What was asked for, after so many rounds so far apart, in which `alpha` went wrong and `zeta` was down."""
    stock(world)
    for name in ("alpha", "zeta"):
        protect(world, context, world.registry.promote(name, document()))
    world.bus.events.clear()
    health = world.catalog.health
    monkeypatch.setattr(world.catalog, "health", lambda model: forbidden() if model.name == "alpha" else health(model))
    for _ in range(rounds):
        with pytest.raises(NotAllowed):
            look(world, context, canary="unhealthy", probe=Sight.UNHEALTHY)
        world.clock.move(seconds=seconds)
    return [request["model"] for request in requests(world)]


def test_a_model_that_cannot_be_judged_keeps_no_other_from_being_watched(world, context, monkeypatch):
    asked = rounds_beside_a_model_that_cannot_be_judged(world, context, monkeypatch, rounds=3, seconds=10)
    assert asked == ["sagemaker/zeta"]


def test_a_round_that_is_tried_again_for_one_model_counts_once_for_the_others(world, context, monkeypatch):
    """A second that went wrong three times is no outage of three rounds."""
    assert rounds_beside_a_model_that_cannot_be_judged(world, context, monkeypatch, rounds=5, seconds=1) == []
    assert world.catalog.health(ModelKey(registry="sagemaker", name="zeta")).unhealthy_rounds == 1


# a witness

WITNESS = "gateway.third.example"


@pytest.fixture
def witnessed(protected):
    protected.env = protected.env.model_copy(update={"witness_host": WITNESS})
    return protected


@pytest.mark.parametrize("sight", list(Sight))
def test_a_witness_decides_where_one_of_the_others_sees_nothing(witnessed, context, sight):
    witnessed.outside.witnessed[WITNESS] = sight
    look(witnessed, context, canary=None, probe=Sight.UNHEALTHY, rounds=10)
    assert bool(requests(witnessed)) == (sight is Sight.UNHEALTHY)
    assert witnessed.outside.witnesses[0] == (WITNESS, HOST, "sagemaker/churn", "right-token")


def test_a_witness_that_sees_it_work_holds_a_failover_up(witnessed, context):
    witnessed.outside.witnessed[WITNESS] = Sight.HEALTHY
    look(witnessed, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=10)
    assert requests(witnessed) == []
    assert "cannot tell" in witnessed.pager.pages[0][1]


def test_a_quorum_of_three_wants_all_three(witnessed, context):
    witnessed.policies.put(POLICY.replace("golden:", "health: {quorum: 3}\n    golden:"))
    look(witnessed, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=5)
    assert requests(witnessed) == []
    witnessed.outside.witnessed[WITNESS] = Sight.UNHEALTHY
    look(witnessed, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    assert len(requests(witnessed)) == 1


# the other direction: this region is the home, and the peer took the model over


@pytest.fixture
def abroad(world, context):
    """The world of the home: a copy of churn is sealed here, the peer announced its takeover."""
    protect(world, context, promoted(world))
    route = world.catalog.route(CHURN)
    turned = route.model_copy(update={"active": route.standby, "standby": route.active})
    world.catalog._routes.clear()
    told = Standing(
        epoch=1, holder=ACTIVE, home=STANDBY, kind=Kind.FAILOVER, since=world.clock.now(), route=turned, version=None,
        learned_at=world.clock.now(),
    )  # fmt: skip
    world.catalog.learn(CHURN, told)
    world.bus.events.clear()
    return world


def watched(world, context, *, switch, probe, rounds):
    world.outside.texts["_switch"] = switch
    look(world, context, canary="healthy", probe=probe, rounds=rounds)


def test_the_region_that_took_a_model_over_is_watched_by_its_home(abroad, context):
    watched(abroad, context, switch="on", probe=Sight.HEALTHY, rounds=95)
    assert abroad.pager.pages == []
    assert {host for host, _ in abroad.outside.probed} == {HOST}
    watched(abroad, context, switch="off", probe=Sight.UNHEALTHY, rounds=3)
    [request] = requests(abroad)
    assert (request["model"], request["requested_by"]) == ("sagemaker/churn", "decide_failover")


def test_the_home_does_not_take_back_what_has_just_moved(abroad, context):
    watched(abroad, context, switch="on", probe=Sight.HEALTHY, rounds=1)
    watched(abroad, context, switch="off", probe=Sight.UNHEALTHY, rounds=10)
    assert requests(abroad) == []
    assert "(cool-down)" in abroad.pager.pages[0][1]


def test_a_gateway_that_announces_its_takeover_keeps_the_home_from_acting_alone(abroad, context):
    watched(abroad, context, switch="on", probe=Sight.UNHEALTHY, rounds=120)
    assert requests(abroad) == []
    assert "cannot tell" in abroad.pager.pages[0][1]


def test_a_model_that_was_never_taken_over_is_not_watched_by_its_home(abroad, context):
    told = abroad.catalog.standing(CHURN)
    abroad.catalog._standings.clear()
    at_home = told.model_copy(update={"epoch": 0, "holder": STANDBY, "kind": Kind.HOME})
    abroad.catalog.learn(CHURN, at_home)
    watched(abroad, context, switch="off", probe=Sight.UNHEALTHY, rounds=5)
    assert (abroad.bus.events, abroad.pager.pages, abroad.outside.probed) == ([], [], [])


def test_a_region_that_stood_down_watches_again(protected, context):
    clients_follow(protected)
    fail_over(protected, context)
    switch, route = protected.catalog.takeover(CHURN), protected.catalog.route(CHURN)
    back = Standing(
        epoch=2, holder=ACTIVE, home=ACTIVE, kind=Kind.FAILBACK, since=None, route=route, version=None,
        learned_at=protected.clock.now(),
    )  # fmt: skip
    protected.catalog.learn(CHURN, back)
    protected.catalog.stand_down(CHURN, back)
    assert switch.epoch == 1
    protected.outside.probed.clear()
    look(protected, context, rounds=95)
    assert {host for host, _ in protected.outside.probed} == {HOST}
    protected.bus.events.clear()
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    assert len(requests(protected)) == 1


# the log of decisions


def test_every_decision_is_logged_also_the_ones_not_to_act(protected, context):
    look(protected, context, rounds=6)
    look(protected, context, canary=None, probe=Sight.UNHEALTHY, rounds=2)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    lines = protected.decisions.newest(CHURN, 10)[::-1]
    assert [(line.why, line.action, line.rounds) for line in lines[:3]] == [
        (Why.HEALTHY, Action.NONE, 6),
        (Why.UNKNOWN, Action.NONE, 2),
        (Why.COUNTING, Action.NONE, 2),
    ]
    assert (lines[3].why, lines[3].action) == (Why.REQUESTED, Action.FAIL_OVER)
    assert all("route53: " in line.reason for line in lines)
    assert all(line.until >= line.at for line in lines)


def test_a_quiet_day_is_one_line(protected, context):
    look(protected, context, rounds=300)
    [line] = protected.decisions.newest(CHURN, 10)
    assert line.why is Why.HEALTHY
    assert protected.catalog.health(CHURN).decided.rounds == 300


def test_a_model_without_a_route_is_not_watched(world, context):
    world.dns.zone_exists = False
    protect(world, context, promoted(world))
    world.bus.events.clear()
    look(world, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=5)
    assert (world.bus.events, world.pager.pages) == ([], [])


def test_one_execution_looks_for_a_minute(protected, context):
    began = protected.clock.now()
    machine = Machine("watch", protected, context)
    assert machine.run(ROUND).last == "Done"
    assert machine.calls == ["decide_failover"] * 5
    assert (protected.clock.now() - began).total_seconds() == 40


@pytest.mark.parametrize("field", ["round", "rounds", "pause"])
def test_a_malformed_round_is_refused_by_field_before_anything_is_done(protected, context, field):
    with pytest.raises(Exception, match=field) as caught:
        app.handler({**ROUND, field: "soon"}, context)
    assert type(caught.value).__name__ == "BadEvent"
    assert protected.outside.probed == []
