"""What is emitted when the switch is flipped, what a page says when nobody sees it, and ARC Region switch's call."""

import importlib

import pytest

from mldr.domain.evacuation import region_key
from mldr.domain.evidence import GENESIS, Evidence
from mldr.domain.failover import Kind
from mldr.domain.routing import SwitchKind
from mldr.errors import RegionSwitchFailed, RegionUnreachable, RoutingRefused, Throttled
from mldr.events.evacuation import parse_takeover
from mldr.steps.switch_traffic import emit_switch
from tests.fakes.world import ACTIVE, STANDBY
from tests.functional.pair import Pair
from tests.functional.story import CHURN, GATEWAY, clients_follow, fail_over, promoted, protect

PANEL = "arn:aws:route53-recovery-control::123456789012:controlpanel/p/routingcontrol"
HOME, AWAY = f"{PANEL}/home", f"{PANEL}/away"
CONTROLS = f"churn@{ACTIVE}={HOME},churn@{STANDBY}={AWAY}"
CALL = {
    "PlanArn": "arn:aws:arc-region-switch::123456789012:plan/models:abc123",
    "ExecutionId": "us-west-2/dummy",
    "StepName": "models",
    "InvokedBy": "ARC Region switch",
}


@pytest.fixture
def protected(world, context):
    """A sealed point of churn, whose clients would follow a switch."""
    protect(world, context, promoted(world))
    clients_follow(world)
    world.clock.move(hours=1)
    return world


# what a flip emits


def test_a_failover_shows_the_switch_and_points_arc_to_the_standby(protected, context):
    protected.routing_controls.controls = CONTROLS
    assert fail_over(protected, context).status == "SUCCEEDED"
    assert protected.switch_signal.shown == {(CHURN, False): True}
    assert protected.routing_controls.states == {HOME: False, AWAY: True}
    assert protected.pager.pages == []


@pytest.mark.parametrize("refusal", [RegionUnreachable("no endpoint"), RoutingRefused("a safety rule"), Throttled("x")])
def test_arc_that_refuses_stops_nothing_and_a_person_and_the_evidence_know(protected, context, refusal):
    protected.routing_controls.refusal = refusal
    assert fail_over(protected, context).status == "SUCCEEDED"
    assert protected.catalog.takeover(CHURN).epoch == 1
    [evidence] = protected.evidence.records
    assert (evidence.outcome, f"ARC was not told: {refusal}" in evidence.reason) == ("completed", True)
    [(subject, message)] = protected.pager.pages
    assert "completed, but not everybody was told" in subject
    assert message == f"ARC was not told: {refusal}"


def test_a_metric_that_is_not_published_stops_nothing_and_is_told(protected, context):
    protected.switch_signal.refusal = Throttled("slow down")
    assert fail_over(protected, context).status == "SUCCEEDED"
    assert "was not published: slow down" in protected.pager.pages[0][1]


def test_controls_with_a_mistake_stop_nothing(protected, context):
    protected.routing_controls.controls = f"churn@{ACTIVE}={HOME}"
    assert fail_over(protected, context).status == "SUCCEEDED"
    assert f"none in {STANDBY}" in protected.pager.pages[0][1]
    assert protected.routing_controls.states == {}


def test_what_a_first_try_could_not_tell_a_second_one_tells(protected, context):
    """A repeated flip is one flip, and shows it again."""

    fail_over(protected, context)
    takeover = protected.catalog.takeover(CHURN)
    protected.switch_signal.shown.clear()
    note = emit_switch(
        CHURN, takeover, region=STANDBY, signal=protected.switch_signal, routing=protected.routing_controls
    )
    assert (note, protected.switch_signal.shown) == ("", {(CHURN, False): True})


def test_a_planned_way_home_turns_the_old_regions_control_off_in_the_same_step(monkeypatch, context):
    """So nothing is left to emit when the old region stands down."""
    pair = Pair(monkeypatch, context)
    pair.protected()
    pair.listen()
    pair.home.routing_controls.controls = pair.standby.routing_controls.controls = CONTROLS
    assert pair.request(pair.standby, "move", "move-1").status == "SUCCEEDED"
    assert pair.standby.routing_controls.states == {HOME: False, AWAY: True}
    pair.listen()
    served = pair.standby.catalog.takeover(CHURN).recovery_point
    pair.protect(pair.home, pair.standby.catalog.record(CHURN, served).target_arn)
    assert pair.request(pair.home, "failback", "failback-1").status == "SUCCEEDED"
    assert pair.home.routing_controls.states == {HOME: True, AWAY: False}
    assert pair.home.switch_signal.shown == {(CHURN, True): True}


# a switch that nobody sees


@pytest.mark.parametrize(
    ("kind", "look"),
    [
        ("https", f"https://gateway.{STANDBY}.example/models/churn/takeover"),
        ("metric", "the alarms mldr-…-switch-…-churn-… have data"),
    ],
)
def test_a_switch_that_the_checkers_do_not_see_leaves_the_old_state_and_the_page_says_so(world, context, kind, look):
    world.env = world.env.model_copy(update={"takeover_switch": SwitchKind(kind)})
    protect(world, context, promoted(world))
    assert world.catalog.route(CHURN).kind is SwitchKind(kind)
    clients_follow(world)
    world.outside.targets["churn.models.example"] = f"target.{ACTIVE}.example"
    ended = fail_over(world, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "NotConfirmed")
    assert world.catalog.takeover(CHURN).epoch == 1
    [(subject, message)] = world.pager.pages
    assert subject == "mldr: failover of sagemaker/churn failed"
    for words in (
        f"still points to target.{ACTIVE}.example, not to {GATEWAY}",
        "Route 53 says off of it (_switch.churn.models.example TXT)",
        "the old state stays, and clients are sent where they were",
        look,
        "DNS moves by itself",
    ):
        assert words in message


@pytest.mark.parametrize("kind", ["https", "metric"])
def test_new_checks_of_a_model_that_is_taken_over_get_its_name_once_they_say_on(protected, context, kind):
    """A new check of a metric starts healthy, which means off: the name would go back to the region that failed."""
    fail_over(protected, context)
    protected.env = protected.env.model_copy(update={"takeover_switch": SwitchKind(kind), "record_ttl": 5})
    written = dict(protected.dns.records)
    door = importlib.import_module("functions.onboard_model.app")
    task = {"model": "sagemaker/churn", "recovery_point": "v1", "attempt": 1}
    with pytest.raises(Exception, match="says off, not on, yet"):
        door.handler(task, context)
    assert protected.dns.records["churn.models.example", "primary"] == written["churn.models.example", "primary"]
    protected.outside.texts["_switch"] = "on"
    door.handler(task, context)
    assert protected.dns.records["churn.models.example", "primary"] != written["churn.models.example", "primary"]
    assert protected.catalog.route(CHURN).kind is SwitchKind(kind)


# the schedule's door


def test_the_schedule_shows_a_model_that_is_not_onboarded_yet_as_off(world, context):
    promoted(world)
    show = importlib.import_module("functions.show_switches.app")
    assert show.handler({}, context) == {"models": 0.0}
    protect(world, context, promoted(world))
    assert show.handler({}, context) == {"models": 1.0}
    assert [(one.name, one.value) for one in world.metrics.published[-2:]] == [
        ("TakeoverSwitch", 0.0),
        ("SwitchesShown", 1.0),
    ]


def test_what_cannot_be_told_of_one_model_is_not_published_and_the_others_are(protected, context, monkeypatch):
    def unreadable(model):
        raise Throttled("the catalog is slow")

    monkeypatch.setattr(protected.catalog, "leadership", unreadable)
    show = importlib.import_module("functions.show_switches.app")
    assert show.handler({}, context) == {"models": 0.0}


# ARC Region switch


@pytest.fixture
def pair(monkeypatch, context):
    made = Pair(monkeypatch, context)
    made.protected()
    made.listen()
    return made


def activate(world, pair, **payload):
    with pair.inside(world):
        return importlib.import_module("functions.switch_region.app").handler({**CALL, **payload}, pair.context)


def asked(world):
    """The requests that lie on a region's bus."""
    event = {"id": "e", "source": "mldr", "detail-type": "Failover Requested", "time": "2026-03-01T12:00:00Z"}
    return [parse_takeover({**event, "detail": detail}) for detail in world.bus.named("Failover Requested")]


def test_a_lambda_block_asks_for_a_planned_move_and_ends_once_this_region_serves(pair):
    with pytest.raises(Exception, match="does not serve sagemaker/churn yet"):
        activate(pair.standby, pair)
    [request] = asked(pair.standby)
    assert (request.detail.region, request.kind) == (ACTIVE, Kind.MOVE)
    assert CALL["PlanArn"] in request.detail.reason
    pair.request(pair.standby, "move", "move-1")
    assert activate(pair.standby, pair) == {"region": STANDBY, "models": ["sagemaker/churn"]}


def test_asked_again_the_same_execution_is_the_same_request_and_another_one_is_not(pair):
    for execution in ("one", "one", "two"):
        with pytest.raises(Exception, match="yet"):
            activate(pair.standby, pair, ExecutionId=execution)
    first, again, other = (request.failover_id for request in asked(pair.standby))
    assert first == again != other


def test_the_way_home_is_asked_of_the_home(pair):
    assert activate(pair.home, pair)["models"] == ["sagemaker/churn"]
    pair.request(pair.standby, "move", "move-1")
    pair.listen()
    with pytest.raises(Exception, match=f"{ACTIVE} does not serve"):
        activate(pair.home, pair)
    [request] = asked(pair.home)
    assert (request.detail.region, request.kind) == (STANDBY, Kind.MOVE)


def test_a_payload_may_say_that_the_region_is_not_well(pair):
    with pytest.raises(Exception, match="yet"):
        activate(pair.standby, pair, unplanned=True)
    assert asked(pair.standby)[0].kind is Kind.FAILOVER


def test_a_model_whose_approvals_were_all_taken_back_keeps_no_plan_waiting(pair):
    catalog = pair.standby.catalog
    for record in catalog.records(CHURN):
        catalog.annotate(CHURN, record.recovery_point, withdrawn="Rejected")
    assert activate(pair.standby, pair)["region"] == STANDBY
    assert asked(pair.standby) == []


def test_what_ended_without_a_model_says_so_with_its_reason_and_asks_no_more(pair):
    with pytest.raises(Exception, match="yet"):
        activate(pair.standby, pair)
    [request] = asked(pair.standby)
    pair.standby.evidence.append(
        Evidence(
            sequence=0, previous=GENESIS, kind="move", id=request.failover_id, model=region_key(ACTIVE), epoch=None,
            outcome="failed", reason="1 of 1 models did not move: sagemaker/churn", region=STANDBY, phases=(),
            recovery_point=None, recorded_at=pair.standby.clock.now(),
        )
    )  # fmt: skip
    with pytest.raises(RegionSwitchFailed, match="has ended: 1 of 1 models did not move"):
        activate(pair.standby, pair)
    assert len(asked(pair.standby)) == 1


@pytest.mark.parametrize("missing", ["PlanArn", "ExecutionId"])
def test_a_call_that_is_not_region_switchs_is_refused_by_field(pair, missing, context):
    with (
        pair.inside(pair.standby),
        pytest.raises(Exception, match=missing),
    ):
        importlib.import_module("functions.switch_region.app").handler(
            {key: value for key, value in CALL.items() if key != missing}, context
        )
