"""A stack whose switches are metrics: Route 53 follows CloudWatch's data, out and home again. Each step takes minutes
at the most, since a figure counts for its minute, and silence as bad only after two."""

import time

import dns.exception
import pytest

from mldr.domain.recovery_point import Phase
from tests.e2e.cloud import ACTIVE, GLOBAL, QUICK, STANDBY, key, running, wait_for
from tests.e2e.inbox import Events
from tests.e2e.owner import QUESTIONS, Owner, answer, question

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

BY_HAND, BY_ITSELF = "dial", "gauge"
POLICY = f"""
version: 1
regions: [{ACTIVE}, {STANDBY}]
defaults:
  failover: {{mode: manual}}
  health: {{consecutive_failures: 2}}
models:
  - match: sagemaker/{BY_HAND}
    golden: {{uri: "s3://e2e-models/{BY_HAND}/golden.jsonl"}}
  - match: sagemaker/{BY_ITSELF}
    golden: {{uri: "s3://e2e-models/{BY_ITSELF}/golden.jsonl"}}
    failover: {{mode: automatic}}
"""


@pytest.fixture(scope="module")
def metered(tmp_path_factory):
    """Two regions whose checkers follow metrics alone, and two protected models that they have found healthy."""
    home = tmp_path_factory.mktemp("metered")
    policy = home / "policy.yaml"
    policy.write_text(POLICY)
    with running(home, policy, {**QUICK, "TakeoverSwitch": "metric"}) as cloud:
        owner = Owner(cloud)
        owner.move_in()
        for name in (BY_HAND, BY_ITSELF):
            publish(cloud, owner, name)
        yield cloud


@pytest.fixture(scope="module")
def told(metered):
    """What is said on the standby's bus."""
    return Events(metered)


@pytest.fixture(scope="module")
def lost(metered, told):
    """The home fails; when that was."""
    at = time.monotonic()
    metered.fail(ACTIVE)
    return at


def publish(cloud, owner, name):
    owner.publish(name)
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


def completed(cloud, told, name):
    (done,) = told.wait("Failover Completed", name, seconds=300)
    assert done["outcome"] == "completed", done["reason"]
    assert (done["epoch"], done["region"]) == (1, STANDBY)
    assert says(cloud, "_switch", name) == "on"


def test_no_checker_asks_a_gateway_for_the_switch(metered):
    checks = metered.aws("route53", GLOBAL).list_health_checks()["HealthChecks"]
    kinds = {one["HealthCheckConfig"]["Type"] for one in checks}
    assert kinds == {"CLOUDWATCH_METRIC", "CALCULATED"}


def test_the_switch_that_a_person_asks_for_moves_the_clients(metered, told, lost):
    """The figure is put with the flip, so nobody waits for the next minute; the home was seen to be silent by then."""
    metered.tell("Failover Requested", {"model": f"sagemaker/{BY_HAND}", "reason": "its region is down"})
    completed(metered, told, BY_HAND)
    wait_for("clients arrive", lambda: arrived(metered, BY_HAND, STANDBY), 60, metered.story)


def test_a_region_that_publishes_nothing_any_more_is_failed_over_by_itself(metered, told, lost):
    """Route 53 calls the home unhealthy for want of data, after minutes; the standby's own look agrees."""
    completed(metered, told, BY_ITSELF)
    wait_for("clients arrive", lambda: arrived(metered, BY_ITSELF, STANDBY), 60, metered.story)
    assert time.monotonic() - lost < 300
    assert says(metered, "_health", BY_ITSELF) == "unhealthy"


@pytest.mark.parametrize("name", [BY_HAND, BY_ITSELF])
def test_once_the_home_publishes_again_the_model_goes_home(metered, told, lost, name):
    """The home says that it took the model back, by a figure of its own: that one turns the switch off."""
    metered.heal(ACTIVE)
    wait_for("the home is seen to be silent no more", lambda: learned(metered, name), 180, metered.story)
    detail = {"model": f"sagemaker/{name}", "reason": "the region is well again", "failover_id": f"home-{name}"}
    metered.tell("Failback Requested", detail, region=ACTIVE)
    machine = metered.outputs(ACTIVE)["FailoverStateMachineArn"]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:home-{name}"
    assert wait_for("it is home", lambda: ended(metered, execution), 300, metered.story) == "SUCCEEDED"
    wait_for("clients arrive at home", lambda: arrived(metered, name, ACTIVE), 180, metered.story)
    wait_for("the switch is off", lambda: says(metered, "_switch", name) == "off", 180, metered.story)
    wait_for("the standby stood down", lambda: metered.catalog.takeover(key(name)) is None, 180, metered.story)
    assert metered.target(name) == ACTIVE


def learned(cloud, name):
    """Whether the healed home knows that the standby serves."""
    table = cloud.outputs(ACTIVE)["CatalogTableName"]
    held = type(cloud.catalog)(cloud.aws("dynamodb", ACTIVE), table=table).standing(key(name))
    return bool(held and held.epoch == 1)


def ended(cloud, execution):
    """How a state machine's execution ended; nothing while it runs or has not begun."""
    states = cloud.aws("stepfunctions", ACTIVE)
    try:
        status = states.describe_execution(executionArn=execution)["status"]
    except states.exceptions.ExecutionDoesNotExist:
        return None
    return status if status != "RUNNING" else None
