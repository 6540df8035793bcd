"""`mldr failback`, `move` and `epoch`: what they find out, what they ask of which region, and how they end."""

import datetime as dt
import json

import boto3
import pytest

from cli.regions import Place
from mldr.domain.failover import Epoch, Kind, Takeover
from mldr.domain.golden import UNPROVEN
from mldr.domain.leadership import Beside, Standing
from mldr.domain.recovery_point import Retention
from mldr.domain.routing import CheckTimes, Front, plan_route
from mldr.domain.serving_state import Live, ServingState
from tests.fakes.serving_captures import FakeServingCaptures
from tests.functional.cli_stage import (
    ACTIVE,
    MODEL,
    NOON,
    STANDBY,
    aws,
    keep,
    make_stack,
    point,
    put_policy,
    register,
    run,
    told,
)
from tests.unit.test_serving_plan import manifest, state

ROUTE = plan_route(
    MODEL,
    "models.example",
    active=Front(region=ACTIVE, host="h", target="h"),
    standby=Front(region=STANDBY, host="s", target="s"),
    times=CheckTimes(interval=10, threshold=3, ttl=30),
)
TAKEN = Takeover(epoch=1, endpoint="churn-e1", recovery_point="v1-aaa", flipped_at=NOON, home=ACTIVE)


@pytest.fixture
def regions(monkeypatch):
    monkeypatch.setenv("MLDR_REGIONS", f"{ACTIVE},{STANDBY}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with aws():
        for region in (ACTIVE, STANDBY):
            make_stack(region)
            put_policy(region)
        catalog(STANDBY).put_route(MODEL, ROUTE, {})
        yield


def catalog(region):
    return Place(region, "prod").catalog


def claimed(region, number, failover_id):
    epoch = Epoch(number=number, failover_id=failover_id, region=region, recovery_point="v1-aaa", claimed_at=NOON)
    catalog(region).claim(MODEL, epoch, catalog(region).epoch(MODEL))
    return epoch


def took_over(region, takeover, failover_id):
    claim = claimed(region, takeover.epoch, failover_id)
    catalog(region).flip(MODEL, takeover, claim)
    catalog(region).conclude(MODEL, claim)


def standing(epoch):
    return Standing(epoch=epoch, holder=ACTIVE if epoch % 2 == 0 else STANDBY, home=ACTIVE, kind=Kind.FAILOVER,
                    since=NOON, route=ROUTE, version=None, learned_at=NOON)  # fmt: skip


@pytest.fixture
def abroad(regions):
    """The standby serves by epoch 1, and the home has learned it."""
    copy = register(STANDBY, metadata={"mldr:source-arn": "arn:of:the:original"})
    keep(point(target_arn=copy))
    took_over(STANDBY, TAKEN, "f1")
    catalog(ACTIVE).learn(MODEL, standing(1))
    return copy


def test_a_failback_is_asked_of_the_home(abroad):
    ended = run("failback", "churn", "--reason", "all is well", "--json")
    assert ended.exit_code == 0, ended.output
    [event] = told(ACTIVE)
    assert event["detail-type"] == "Failback Requested"
    assert (event["detail"]["model"], event["detail"]["reason"]) == ("sagemaker/churn", "all is well")
    assert event["detail"]["failover_id"] == json.loads(ended.stdout)["failover_id"]
    assert told(STANDBY) == []


def test_a_move_is_asked_of_the_standby(regions):
    ended = run("move", "churn", "--reason", "exercise")
    assert ended.exit_code == 0, ended.output
    [event] = told(STANDBY)
    assert (event["detail-type"], event["detail"]["kind"]) == ("Failover Requested", "move")
    assert told(ACTIVE) == []


@pytest.mark.parametrize(("command", "fixture"), [("failback", "regions"), ("move", "abroad")])
def test_nothing_is_asked_of_a_region_that_serves(request, command, fixture):
    request.getfixturevalue(fixture)
    if fixture == "regions":
        catalog(ACTIVE).learn(MODEL, standing(0))
    ended = run(command, "churn", "--reason", "exercise")
    assert ended.exit_code == 1
    assert "serves, epoch" in ended.stderr
    assert told(ACTIVE) + told(STANDBY) == []


def test_a_plan_names_what_must_be_protected_first(abroad):
    ended = run("failback", "churn", "--plan", "--json")
    found = json.loads(ended.stdout)
    assert (ended.exit_code, found["ready"], found["version"]) == (1, False, abroad)
    assert "its protection has not begun" in found["lag"]
    assert told(ACTIVE) == []


def test_a_plan_holds_once_that_is_sealed_at_home(abroad):
    keep(point("v1-back", arn=abroad), region=ACTIVE)
    ended = run("failback", "churn", "--plan")
    assert ended.exit_code == 0, ended.output
    assert f"{STANDBY} → {ACTIVE}" in ended.stdout
    assert "sealed as v1-back" in ended.stdout


def captured(monkeypatch, endpoint):
    """The home looked at an endpoint of the standby, which had four instances."""
    state = ServingState(
        model=MODEL, endpoint=endpoint, region=STANDBY, standby_region=ACTIVE, captured_at=NOON, reason="event",
        epoch=0, retention=Retention(mode="GOVERNANCE", until=NOON + dt.timedelta(days=35)), document={},
        live=(Live(variant="main", weight=1.0, instances=4),), carried=(),
    )  # fmt: skip
    captures = FakeServingCaptures()
    captures.put(state)
    monkeypatch.setattr(Place, "captures", captures)


def own_endpoint(instances):
    """The model's own endpoint at home, with so many instances."""
    sagemaker = boto3.client("sagemaker", region_name=ACTIVE)
    sagemaker.create_model(ModelName="churn", ExecutionRoleArn="arn:aws:iam::123456789012:role/team")
    variant = {
        "VariantName": "main", "ModelName": "churn", "InstanceType": "ml.m5.large", "InitialInstanceCount": instances
    }  # fmt: skip
    sagemaker.create_endpoint_config(EndpointConfigName="churn", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="churn")


@pytest.mark.parametrize(("instances", "grows"), [(None, {}), (6, {}), (1, {"main": 4})])
def test_a_plan_says_with_what_it_is_served_and_what_the_own_endpoint_is_asked_for(
    abroad, monkeypatch, instances, grows
):
    keep(point("v1-back", arn=abroad), region=ACTIVE)
    captured(monkeypatch, TAKEN.endpoint)
    monkeypatch.setattr("cli.failback.component_names", lambda *_: [])  # which moto does not list
    if instances:
        own_endpoint(instances)
    said = " ".join(run("failback", "churn", "--plan").stdout.split())
    assert f"it is served with: main 4, captured {NOON:%Y-%m-%d %H:%M:%S}" in said
    asked = f"if churn serves that version in {ACTIVE}, it is asked for main 4 before the switch"
    assert (asked in said) is bool(grows)
    found = json.loads(run("failback", "churn", "--plan", "--json").stdout)
    assert (found["serves_with"], found["grows"]) == ({"main": 4}, grows)


def test_a_plan_says_what_no_page_of_the_move_will_tell(abroad, monkeypatch):
    keep(point("v1-back", arn=abroad, manifest_version="v"), region=ACTIVE)
    captures = FakeServingCaptures()
    captures.put(state(("1",), left_out={"shadow": "it answers nobody"}))
    monkeypatch.setattr(Place, "captures", captures)
    monkeypatch.setattr("cli.standing.manifest_of", lambda *_: manifest())
    expected = ["variant shadow is not restored: it answers nobody", UNPROVEN.reason]
    assert json.loads(run("failback", "churn", "--plan", "--json").stdout)["foreseen"] == expected
    said = " ".join(run("failback", "churn", "--plan").stdout.split())
    assert all(f"known by now: {one}" in said for one in expected)


@pytest.mark.parametrize("endpoint", [None, "churn-earlier-e1"])
def test_a_plan_says_that_nobody_captured_how_it_is_served(abroad, monkeypatch, endpoint):
    keep(point("v1-back", arn=abroad), region=ACTIVE)
    if endpoint:
        captured(monkeypatch, endpoint)
    said = " ".join(run("failback", "churn", "--plan").stdout.split())
    assert f"how it is served was not captured in {ACTIVE}: what is restored has the policy's instances" in said


@pytest.mark.parametrize("hasty", [ACTIVE, STANDBY])
def test_a_plan_that_the_gate_would_refuse_says_so_and_what_is_right(abroad, hasty):
    """The region that is left drains by its own file, and the gate of the other one reads that one's."""
    keep(point("v1-back", arn=abroad), region=ACTIVE)
    put_policy(hasty, "defaults: {failover: {drain: 20s}}")
    ended = run("failback", "churn", "--plan")
    assert ended.exit_code == 1
    assert f"{hasty}: failover.drain is 20s" in " ".join(ended.stderr.split())
    assert "at least 70s" in " ".join(ended.stderr.split())
    assert "sealed as v1-back" in ended.stdout
    found = json.loads(run("failback", "churn", "--plan", "--json").stdout)
    assert (found["ready"], found["lag"], found["recovery_point"]) == (False, None, "v1-back")
    assert "failover.drain is 20s" in found["refused"]


def test_a_model_that_nobody_onboarded_moves_nowhere(regions):
    ended = run("move", "stranger", "--reason", "exercise")
    assert ended.exit_code == 1
    assert "was never onboarded" in ended.stderr


def test_a_failover_of_a_model_that_both_regions_know_goes_to_the_one_that_waits(abroad):
    keep(point("v1-back", arn=abroad), region=ACTIVE)
    assert run("failover", "churn", "--reason", "the standby is down").exit_code == 0
    [event] = told(ACTIVE)
    assert event["detail"]["kind"] == "failover"


def test_the_epoch_is_explained_for_each_region(abroad):
    ended = run("epoch", "churn")
    assert ended.exit_code == 0, ended.output
    assert "epoch 1 is held by" in " ".join(ended.stdout.split())
    found = json.loads(run("epoch", "churn", "--json").stdout)
    assert found["serving"] == [STANDBY]
    assert found["regions"][ACTIVE]["role"]["stood_down"]
    assert found["regions"][STANDBY]["takeover"]["epoch"] == 1


def test_of_a_model_that_nobody_onboarded_no_region_is_said_to_serve_it(regions):
    ended = run("epoch", "stranger")
    assert ended.exit_code == 1
    assert "sagemaker/stranger was never onboarded" in ended.stderr
    assert "serves" not in ended.output


def test_the_status_is_that_of_the_region_that_would_take_over_and_says_who_serves(abroad):
    """Once it came home both regions have points of it."""
    keep(point("v1-back", arn=abroad), region=ACTIVE)
    away = json.loads(run("status", "churn", "--json").stdout)
    assert (away["region"], away["recoverable"], away["role"]["holder"]) == (ACTIVE, "v1-back", STANDBY)
    assert away["name"] == "churn.models.example"
    home = Takeover(epoch=2, endpoint="churn", recovery_point="v1-back", flipped_at=NOON, home=ACTIVE)
    took_over(ACTIVE, home, "f2")
    catalog(STANDBY).learn(MODEL, standing(2))
    back = json.loads(run("status", "churn", "--json").stdout)
    assert (back["region"], back["recoverable"], back["role"]["holder"]) == (STANDBY, "v1-aaa", ACTIVE)
    shown = " ".join(run("status", "churn").stdout.split())
    assert f"can be recovered in {STANDBY}" in shown
    assert "not onboarded" not in shown
    assert f"epoch 2 is held by {ACTIVE}" in shown or f"{ACTIVE} serves, epoch 2" in shown
    [line] = [one for one in run("status").stdout.splitlines() if "sagemaker/churn" in one]
    assert line.split()[:3] == ["sagemaker/churn", ACTIVE, STANDBY]


def test_it_says_that_both_regions_answer_and_which_of_them_holds_the_epoch(regions):
    catalog(ACTIVE).learn(MODEL, standing(0))
    assert "both regions answer" not in run("epoch", "churn").stdout
    aside = Beside(home=ACTIVE, endpoint="churn-1-s0", recovery_point="v1-aaa", counts={"a": 2}, since=NOON)
    catalog(STANDBY).put_beside(MODEL, aside, None)
    shown = run("epoch", "churn")
    assert shown.exit_code == 0, shown.output
    assert f"both regions answer: {ACTIVE} holds the epoch, {STANDBY} answers beside it" in shown.stdout
    found = json.loads(run("epoch", "churn", "--json").stdout)
    assert (found["serving"], found["beside"]) == ([ACTIVE], [STANDBY])
    assert found["regions"][STANDBY]["beside"]["endpoint"] == "churn-1-s0"


def test_two_that_have_not_heard_of_each_other_do_not_hold(regions):
    took_over(STANDBY, TAKEN, "f1")
    ended = run("epoch", "churn")
    assert ended.exit_code == 1
    assert f"{ACTIVE} and {STANDBY}" in ended.stderr


def test_an_open_claim_is_shown_and_cleared_by_an_event(regions):
    claimed(STANDBY, 1, "hangs")
    shown = run("epoch", "churn")
    assert shown.exit_code == 1
    assert "--clear" in shown.stderr
    assert "its execution is not found" in " ".join(shown.stdout.split())
    ended = run("epoch", "churn", "--clear", "--reason", "it hangs")
    assert ended.exit_code == 0, ended.output
    [event] = told(STANDBY)
    assert (event["detail"]["kind"], event["detail"]["reason"]) == ("clear", "it hangs")


def test_clearing_needs_a_reason_and_something_to_clear(regions):
    assert run("epoch", "churn", "--clear").exit_code == 2
    ended = run("epoch", "churn", "--clear", "--reason", "it hangs")
    assert (ended.exit_code, told(STANDBY)) == (1, [])
