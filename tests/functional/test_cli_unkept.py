"""What a model does not get though its policy says it: told by `mldr status` and `mldr policy check --region`."""

import datetime as dt
import json

import pytest

from cli.regions import Place
from mldr.aws.serving_capture import VaultServingCaptures
from mldr.domain.health import HealthState
from mldr.domain.recovery_point import Retention
from mldr.domain.serving_state import ServingState
from mldr.domain.survivor import Survivor
from tests.functional.cli_stage import ACTIVE, MODEL, NOON, STANDBY, aws, keep, make_stack, point, put_policy, run
from tests.functional.test_cli_failback import ROUTE

FROM_ZERO = "models: [{match: sagemaker/churn, tier: warm-standby, serving: {floor: 0}}]"
HASTY = "defaults: {failover: {drain: 20s}}"
STRICT = "defaults: {health: {quorum: 3}}"
SAID = [(FROM_ZERO, "scales to zero"), (HASTY, "failover.drain is 20s"), (STRICT, "nothing is ever down")]
STATE = ServingState(
    model=MODEL, endpoint="churn", region=ACTIVE, standby_region=STANDBY, captured_at=NOON, reason="test", epoch=0,
    retention=Retention(mode="GOVERNANCE", until=NOON + dt.timedelta(days=35)), document={"Config": {}}, live=(),
    carried=(),
)  # fmt: skip


@pytest.fixture(autouse=True)
def stacks(monkeypatch):
    """Churn is sealed and onboarded in the standby, and its endpoint, which has no components, is captured."""
    monkeypatch.setenv("MLDR_REGIONS", STANDBY)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr(VaultServingCaptures, "newest", lambda self, model: STATE)
    with aws():
        make_stack(STANDBY)
        put_policy(STANDBY)
        keep(point())
        Place(STANDBY, "prod").catalog.put_route(MODEL, ROUTE, {})
        Place(STANDBY, "prod").catalog.put_health(MODEL, HealthState(vantages=2))
        yield


@pytest.fixture
def checked(tmp_path):
    def check(rules, *arguments):
        file = tmp_path / "policy.yaml"
        file.write_text(f"version: 1\nregions: [{ACTIVE}, {STANDBY}]\n{rules}\n")
        return run("policy", "check", str(file), *arguments)

    return check


@pytest.mark.parametrize(("rules", "said"), SAID)
def test_status_names_it(rules, said):
    put_policy(STANDBY, rules)
    ended = run("status", "churn", "--json")
    assert ended.exit_code == 0, ended.output
    [sentence] = json.loads(ended.stdout)["unkept"]
    assert said in sentence
    assert "not as promised" in run("status", "churn").stdout


def test_status_has_nothing_to_say_of_what_is_kept():
    assert json.loads(run("status", "churn", "--json").stdout)["unkept"] == []
    assert "not as promised" not in run("status", "churn").stdout


def test_status_still_shows_the_model_of_a_policy_that_cannot_be_read():
    put_policy(STANDBY, "defaults: {tier: hot}")
    ended = run("status", "churn", "--json")
    assert ended.exit_code == 0
    [sentence] = json.loads(ended.stdout)["unkept"]
    assert "cannot be read" in sentence


@pytest.mark.parametrize(("rules", "said"), SAID)
def test_a_file_is_compared_with_what_a_region_has(checked, rules, said):
    assert checked(rules).exit_code == 0
    ended = checked(rules, "--region", STANDBY)
    assert ended.exit_code == 1
    assert said in " ".join(ended.stderr.split())
    assert said in str(json.loads(checked(rules, "--region", STANDBY, "--json").stdout)["unkept"]["sagemaker/churn"])


def test_the_tags_that_a_point_was_sealed_with_count(checked):
    Place(STANDBY, "prod").catalog.annotate(MODEL, "v1-aaa", tier_tag="cold-standby")
    assert checked(FROM_ZERO, "--region", STANDBY).exit_code == 0


def test_a_file_that_every_model_gets_is_0(checked):
    assert checked("", "--region", STANDBY).exit_code == 0


def test_a_file_alone_is_told_what_a_quorum_of_three_needs(checked):
    ended = checked(STRICT)
    assert ended.exit_code == 0
    assert "needs a WitnessHost in each stack" in " ".join(ended.stdout.split())
    assert "WitnessHost" not in checked(HASTY).stdout


def test_a_witness_makes_a_quorum_of_three(checked):
    Place(STANDBY, "prod").catalog.put_health(MODEL, HealthState(vantages=3))
    assert checked(STRICT, "--region", STANDBY).exit_code == 0


def test_a_home_that_watches_only_the_region_beside_it_says_so_too(checked):
    Place(STANDBY, "prod").catalog.put_health(MODEL, HealthState())
    Place(STANDBY, "prod").survivors.put(MODEL, Survivor().next(health=HealthState(vantages=2)))
    assert "nothing is ever down" in " ".join(checked(STRICT, "--region", STANDBY).stderr.split())


def test_of_a_model_that_nobody_has_looked_at_yet_nothing_is_said(checked):
    Place(STANDBY, "prod").catalog.put_health(MODEL, HealthState())
    assert checked(STRICT, "--region", STANDBY).exit_code == 0


def test_a_region_without_a_stack_is_3(checked):
    assert checked("", "--region", ACTIVE).exit_code == 3
