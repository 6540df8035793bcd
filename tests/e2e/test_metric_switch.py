"""A stack whose switches are metrics, and whose home is us-east-1, where Route 53 is changed: lost, and home again.

Each step takes minutes at the most, since a figure counts for its minute, and silence as bad only after two. All models
fall silent in the same second, so they are decided in the same rounds: one request, and one plan that orders them.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import dns.exception
import pytest

from mldr.aws.decisions import DynamoDecisions
from mldr.domain.evacuation import region_key, work_key
from mldr.domain.evidence import evidence_key
from mldr.domain.health import Action, Why
from mldr.domain.recovery_point import Phase
from mldr.domain.region_plan import Draft
from tests.e2e.call_log import forbidden, operations
from tests.e2e.cloud import GLOBAL, QUICK, STANDBY, key, running, wait_for
from tests.e2e.inbox import Events, Pages
from tests.e2e.owner import QUESTIONS, Owner, answer, question
from tests.e2e.standby import standing, until_it_stands

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

HOME = GLOBAL
BY_HAND = "dial"
# The order of the plan: the one that is missed most, though it is due last but one, then by when they are due.
BY_THEMSELVES = [GAUGE, WARM, METER, CHIME] = ["gauge", "valve", "meter", "chime"]
# The owner's tags say what the policy says; the others are important.
CRITICALITY = {GAUGE: "revenue-critical", CHIME: "non-critical"}
POLICY = f"""
version: 1
regions: [{HOME}, {STANDBY}]
defaults:
  failover: {{mode: automatic}}
  health: {{consecutive_failures: 2}}
models:
  - match: sagemaker/{BY_HAND}
    golden: {{uri: "s3://e2e-models/{BY_HAND}/golden.jsonl"}}
    failover: {{mode: manual}}
  - match: sagemaker/{GAUGE}
    criticality: {CRITICALITY[GAUGE]}
    rto: 2h
    golden: {{uri: "s3://e2e-models/{GAUGE}/golden.jsonl"}}
    health: {{consecutive_failures: 3}}  # the others wait for it, should a round fall on the turn of the minute
  - match: sagemaker/{WARM}
    tier: warm-standby
    rto: 30m
    golden: {{uri: "s3://e2e-models/{WARM}/golden.jsonl"}}
  - match: sagemaker/{METER}
    rto: 1h
    golden: {{uri: "s3://e2e-models/{METER}/golden.jsonl"}}
  - match: sagemaker/{CHIME}
    criticality: {CRITICALITY[CHIME]}
    golden: {{uri: "s3://e2e-models/{CHIME}/golden.jsonl"}}
"""


@pytest.fixture(scope="module")
def metered(tmp_path_factory):
    """Two regions whose checkers follow metrics alone, and protected models that they have found healthy."""
    place = tmp_path_factory.mktemp("metered")
    policy = place / "policy.yaml"
    policy.write_text(POLICY)
    # A round waits for its looks no longer than its pause: on a busy machine they take some seconds.
    rounds = {"ProbeInterval": 5, "ProbeRounds": 10}
    settings = {**QUICK, **rounds, "TakeoverSwitch": "metric", "FailoversSideBySide": 1}
    with running(place, policy, settings, "--regions", f"{HOME},{STANDBY}") as cloud:
        owner = Owner(cloud, HOME)
        owner.move_in()
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(lambda name: publish(cloud, owner, name), [BY_HAND, *BY_THEMSELVES]))
        until_it_stands(cloud, WARM)
        cloud.settle()
        yield cloud


@pytest.fixture(scope="module")
def told(metered):
    """What is said on the standby's bus."""
    return Events(metered)


@pytest.fixture(scope="module")
def paged(metered):
    """What reaches the person on call."""
    return Pages(metered)


@pytest.fixture(scope="module")
def lost(metered, told, paged):
    """The home fails, and us-east-1 is the home; nobody asks for anything. What came of it, and every call until then.

    Route 53 calls the home unhealthy for want of data, after minutes; the standby's own look agrees.
    """
    [stood] = standing(metered, WARM)
    metered.fail(HOME)
    began = time.time()  # its own functions still called it while it went down

    def all_of_them():
        heard = [one["detail"] for one in told.heard() if one["detail-type"] == "Failover Completed"]
        return [one for one in heard if one.get("of_region") == HOME and one["recovered"] == len(BY_THEMSELVES)]

    [told_of_all] = wait_for("the region's models are recovered", all_of_them, 420, metered.story)
    calls = metered.calls(began, time.time())
    return {"began": began, "told": told_of_all, "calls": calls, "stood": stood}


def publish(cloud, owner, name):
    owner.publish(name, criticality=CRITICALITY.get(name, "important"))
    wait_for(f"{name} is sealed", lambda: sealed(cloud, name), 90, lambda: cloud.story(name))
    wait_for(f"{name} has its name", lambda: says(cloud, "_health", name) == "healthy", 180, cloud.story)
    wait_for(f"{name} is watched", lambda: watched(cloud, name), 90, cloud.story)


def sealed(cloud, name):
    """Whether there is a sealed point."""
    return any(one.phase is Phase.SEALED for one in cloud.catalog.records(key(name)))


def watched(cloud, name):
    """Whether a round of the watch has read Route 53's word."""
    return "route53: healthy" in cloud.catalog.health(key(name)).reason


def says(cloud, canary, name):
    """What Route 53 believes; nothing while nobody has written that name."""
    try:
        found = cloud.resolver().resolve(f"{canary}.{name}.{cloud.outputs(STANDBY)['ZoneName']}", "TXT")
    except dns.exception.DNSException:
        return None
    return found[0].strings[0].decode()


def arrived(cloud, name, region):
    """Whether a client who goes by name is answered by this region, and rightly."""
    return cloud.ask(name, question(QUESTIONS[0])) == (200, answer(QUESTIONS[0]), region)


def body(cloud, name):
    """What an object of the standby's vault holds."""
    return cloud.aws("s3").get_object(Bucket=cloud.vault, Key=name)["Body"].read()


def evidence(cloud, model, failover_id):
    """The record that a failover left in the standby's vault."""
    prefix = evidence_key(model, 0).rpartition("/")[0] + "/"
    listed = cloud.aws("s3").list_objects_v2(Bucket=cloud.vault, Prefix=prefix)["Contents"]
    records = [json.loads(body(cloud, one["Key"])) for one in listed]
    return next(record for record in records if record["id"] == failover_id)


def decisions(cloud, name):
    """The lines about a model."""
    table = cloud.outputs(STANDBY)["CatalogTableName"]
    return DynamoDecisions(cloud.aws("dynamodb"), table=table).newest(key(name), 100)


def test_no_checker_asks_a_gateway_for_the_switch(metered):
    checks = metered.aws("route53", GLOBAL).list_health_checks()["HealthChecks"]
    kinds = {one["HealthCheckConfig"]["Type"] for one in checks}
    assert kinds == {"CLOUDWATCH_METRIC", "CALCULATED"}


def test_models_that_fall_silent_together_are_asked_for_together_and_by_nobody_else(metered, told, lost):
    """Should a look of the round come too late for the list, what still waits is listed anew with it."""
    asked = [one["detail"] for one in told.heard() if one["detail-type"] == "Failover Requested"]
    assert {(one.get("region"), one["listed"], one["requested_by"]) for one in asked} == {
        (HOME, True, "decide_failover")
    }
    assert asked[-1]["failover_id"] == lost["told"]["failover_id"]
    assert asked[-1]["reason"].startswith(f"4 models of {HOME} are down: ")


def test_one_plan_orders_them_by_what_they_are_worth_and_when_they_are_due(metered, lost):
    plan = Draft.model_validate_json(body(metered, work_key(lost["told"]["failover_id"], "plan.json"))).plan
    lines = plan.planned
    assert [one.model.name for one in lines] == BY_THEMSELVES
    assert lines[1].deadline < lines[2].deadline < lines[0].deadline < lines[3].deadline
    assert [one.wave for one in lines] == [1, 2, 3, 4], "this stack lets one recover at a time"
    assert plan.refused == ()


def test_they_are_restored_in_that_order_each_under_the_id_that_its_watch_chose(metered, lost):
    claims = [metered.catalog.epoch(key(name)) for name in BY_THEMSELVES]
    assert claims == sorted(claims, key=lambda one: one.claimed_at)
    for name, claim in zip(BY_THEMSELVES, claims, strict=True):
        assert (claim.concluded, claim.failover_id.startswith("auto-")) == (True, True)
        record = evidence(metered, key(name), claim.failover_id)
        assert (record["outcome"], record["epoch"], record["region"]) == ("completed", 1, STANDBY)
        assert (record["phases"][0]["name"], "route53: unhealthy" in record["reason"]) == ("detect", True)
        flipped = metered.catalog.takeover(key(name)).flipped_at
        assert all(one.claimed_at >= flipped for one in claims if one.claimed_at > claim.claimed_at)


def test_the_evidence_of_the_region_names_them_in_that_order_and_a_person_is_told(metered, paged, lost):
    record = evidence(metered, region_key(HOME), lost["told"]["failover_id"])
    assert record["outcome"] == "completed"
    assert [(one["model"]["name"], one["outcome"]) for one in record["models"]] == [
        (name, "completed") for name in BY_THEMSELVES
    ]
    assert record["reason"].startswith(f"4 of 4 models moved: 4 models of {HOME} are down: ")
    assert f"mldr: failover of {HOME} completed by itself" in [one["Subject"] for one in paged.heard()]


def test_the_warm_one_takes_over_with_what_stood(metered, lost):
    assert metered.catalog.takeover(key(WARM)).endpoint == lost["stood"]


def test_clients_of_all_of_them_arrive(metered, lost):
    for name in BY_THEMSELVES:
        wait_for(f"clients of {name} arrive", lambda name=name: arrived(metered, name, STANDBY), 60, metered.story)
        assert says(metered, "_health", name) == "unhealthy"
        assert says(metered, "_switch", name) == "on"
    assert metered.catalog.epoch(key(GAUGE)).claimed_at.timestamp() - lost["began"] < 300


def test_nothing_was_called_in_the_lost_region_and_no_remote_control_plane(lost):
    """Law 1, with us-east-1 itself as the failed region: for a joint failover, a warm standby, and a metric switch."""
    assert operations(lost["calls"]) >= {
        "StartExecution", "CreateEndpoint", "InvokeEndpoint", "TransactWriteItems", "PutMetricData",
    }  # fmt: skip
    assert forbidden(lost["calls"], HOME) == []


def test_the_manual_one_is_left_where_it_is_and_a_person_is_told(metered, told, paged, lost):
    page = paged.wait(BY_HAND, "unhealthy")
    assert "the policy leaves it to a person" in page["Message"]
    assert metered.catalog.epoch(key(BY_HAND)) is None
    assert metered.target(BY_HAND) == HOME
    assert told.of("Failover Requested", BY_HAND) == []
    decided = {(one.action, one.why) for one in decisions(metered, BY_HAND)}
    assert (Action.PAGE, Why.BY_HAND) in decided
    assert Action.FAIL_OVER not in {action for action, _ in decided}


def test_the_switch_that_a_person_asks_for_moves_the_clients(metered, told, lost):
    """The figure is put with the flip, so nobody waits for the next minute; the home was seen to be silent by then."""
    began = time.time()
    metered.tell("Failover Requested", {"model": f"sagemaker/{BY_HAND}", "reason": "its region is down"})
    (done,) = told.wait("Failover Completed", BY_HAND, seconds=300)
    assert (done["outcome"], done["epoch"], done["region"]) == ("completed", 1, STANDBY), done["reason"]
    calls = metered.calls(began, time.time())
    assert says(metered, "_switch", BY_HAND) == "on"
    wait_for("clients arrive", lambda: arrived(metered, BY_HAND, STANDBY), 60, metered.story)
    assert operations(calls) >= {"CreateEndpoint", "TransactWriteItems", "PutMetricData"}
    assert forbidden(calls, HOME) == []


@pytest.mark.parametrize("name", [BY_HAND, WARM])
def test_once_the_home_publishes_again_the_model_goes_home(metered, told, lost, name):
    """The home says that it took the model back, by a figure of its own: that one turns the switch off."""
    metered.heal(HOME)
    wait_for("the home is seen to be silent no more", lambda: learned(metered, name), 180, metered.story)
    detail = {"model": f"sagemaker/{name}", "reason": "the region is well again", "failover_id": f"home-{name}"}
    metered.tell("Failback Requested", detail, region=HOME)
    machine = metered.outputs(HOME)["FailoverStateMachineArn"]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:home-{name}"
    assert wait_for("it is home", lambda: ended(metered, execution), 300, metered.story) == "SUCCEEDED"
    wait_for("clients arrive at home", lambda: arrived(metered, name, HOME), 180, metered.story)
    wait_for("the switch is off", lambda: says(metered, "_switch", name) == "off", 180, metered.story)
    wait_for("the standby stood down", lambda: metered.catalog.takeover(key(name)) is None, 180, metered.story)
    assert metered.target(name) == HOME


def learned(cloud, name):
    """Whether the healed home knows that the standby serves."""
    held = cloud.catalog_of(HOME).standing(key(name))
    return bool(held and held.epoch == 1)


def ended(cloud, execution):
    """How a state machine's execution ended; nothing while it runs or has not begun."""
    states = cloud.aws("stepfunctions", HOME)
    try:
        status = states.describe_execution(executionArn=execution)["status"]
    except states.exceptions.ExecutionDoesNotExist:
        return None
    return status if status != "RUNNING" else None
