"""`mldr failover --region` and `mldr failback --region`: the plan, what is asked, and how it ends."""

import json

import boto3
import pytest

from cli.regions import Place
from mldr.aws.evidence import VaultEvidence
from mldr.domain.capacity import Capacity
from mldr.domain.evacuation import region_key
from mldr.domain.evidence import GENESIS, Evidence, ModelOutcome, PhaseTime
from mldr.domain.identity import ModelKey
from mldr.domain.routing import CheckTimes, Front, plan_route
from tests.functional.cli_stage import ACTIVE, MODEL, NOON, STANDBY, keep, point, run, told, two_stacks

POLICY = f"""\
version: 1
regions: [{ACTIVE}, {STANDBY}]
models:
  - {{match: sagemaker/churn, criticality: revenue-critical}}
"""


@pytest.fixture(autouse=True)
def stage(monkeypatch, tmp_path):
    """Two regions with their buckets; the policy is uploaded."""
    with two_stacks(monkeypatch, tmp_path):
        place, s3 = standby(), boto3.client("s3", region_name=STANDBY)
        where = {"LocationConstraint": STANDBY}
        s3.create_bucket(Bucket=place.vault, CreateBucketConfiguration=where, ObjectLockEnabledForBucket=True)
        config = f"mldr-prod-config-{place.account}-{STANDBY}"
        s3.create_bucket(Bucket=config, CreateBucketConfiguration=where)
        s3.put_object(Bucket=config, Key="policy.yaml", Body=POLICY.encode())
        yield


def standby():
    return Place(STANDBY, "prod")


def route(model=MODEL):
    fronts = [Front(region=region, host=f"{region}.example", target=region) for region in (ACTIVE, STANDBY)]
    return plan_route(model, "example", active=fronts[0], standby=fronts[1],
                      times=CheckTimes(interval=10, threshold=3, ttl=30))  # fmt: skip


def known(*names):
    """Models with a sealed point that were onboarded."""
    for name in names:
        model = ModelKey(registry="sagemaker", name=name)
        keep(point().model_copy(update={"model": model}))
        standby().catalog.put_route(model, route(model), {})


def recovered(seconds, name="f-1"):
    """The evidence of an earlier recovery of the model."""
    evidence(MODEL, id=name, phases=(PhaseTime(name="restore", seconds=seconds),))


def evidence(model, **fields):
    given = {"sequence": 0, "previous": GENESIS, "kind": "failover", "outcome": "completed", "reason": "exercise",
             "region": STANDBY, "epoch": None, "recovery_point": None, "phases": (), "recorded_at": NOON}  # fmt: skip
    return VaultEvidence(standby().sealed, lambda: NOON).append(Evidence(model=model, **{**given, **fields}))


def test_the_plan_names_every_model_when_it_is_back_and_holds():
    known("churn", "pricing")
    recovered(240.0)
    ended = run("failover", "--region", ACTIVE, "--plan", "--json")
    assert ended.exit_code == 0, ended.output
    plan = json.loads(ended.stdout)
    assert (plan["region"], plan["target"], plan["holds"], plan["quotas_read_at"]) == (ACTIVE, STANDBY, True, None)
    [churn, pricing] = plan["planned"]
    assert (churn["model"], churn["criticality"]) == ("sagemaker/churn", "revenue-critical")
    assert (churn["expected_seconds"], churn["measured"], churn["deadline_seconds"]) == (240.0, 1, 900.0)
    assert (pricing["model"], pricing["measured"], pricing["wave"]) == ("sagemaker/pricing", 0, 1)
    assert told(STANDBY) == told(ACTIVE) == []


def test_a_table_for_people_says_what_is_assumed_and_how_old_the_quotas_are():
    known("churn")
    ended = run("failover", "--region", ACTIVE, "--plan")
    assert ended.exit_code == 0, ended.output
    assert "sagemaker/churn" in ended.stdout
    assert "1 of 1 durations are assumed; the quotas were never read" in ended.stdout
    assert "is expected to serve 1 model of" in ended.stdout


def test_a_region_that_serves_nothing_any_more_leaves_nothing_to_be_moved():
    ended = run("failover", "--region", ACTIVE, "--plan")
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.startswith(f"✓ nothing is to be moved to {STANDBY}")
    assert json.loads(run("failover", "--region", ACTIVE, "--plan", "--json").stdout)["planned"] == []


def test_a_plan_that_misses_a_recovery_time_exits_with_1():
    known("churn")
    recovered(901.0)
    ended = run("failover", "--region", ACTIVE, "--plan")
    assert ended.exit_code == 1
    assert "1 s too late" in ended.stdout
    assert "1 late and 0 refused of 1 model " in ended.stderr


def test_a_plan_without_capacity_exits_with_1_and_names_the_quota():
    known("churn", "pricing")
    standby().catalog.put_capacity(Capacity(limits={"ml.m5.large": 1}, used={}, side_by_side=3, read_at=NOON))
    ended = run("failover", "--region", ACTIVE, "--plan", "--json")
    assert ended.exit_code == 1
    plan = json.loads(ended.stdout)
    assert plan["side_by_side"] == 3
    [refused] = plan["refused"]
    assert (refused["model"], refused["tried"]) == ("sagemaker/pricing", True)
    assert "ml.m5.large for endpoint usage" in refused["reason"]


def test_a_region_is_asked_for_on_the_bus_of_the_other_one():
    known("churn")
    ended = run("failover", "--region", ACTIVE, "--reason", "it is gone", "--json")
    assert ended.exit_code == 0, ended.output
    [event] = told(STANDBY)
    assert (event["detail-type"], event["detail"]["region"]) == ("Failover Requested", ACTIVE)
    assert event["detail"]["failover_id"] == json.loads(ended.stdout)["failover_id"]
    assert told(ACTIVE) == []


def test_the_same_id_is_asked_for_again():
    run("failover", "--region", ACTIVE, "--reason", "it is gone", "--id", "region-1")
    assert told(STANDBY)[0]["detail"]["failover_id"] == "region-1"


def test_a_failback_is_asked_of_the_home():
    ended = run("failback", "--region", STANDBY, "--reason", "well again")
    assert ended.exit_code == 0, ended.output
    [event] = told(STANDBY)
    assert (event["detail-type"], event["detail"]["region"]) == ("Failback Requested", STANDBY)
    assert "kind" not in event["detail"]


def test_waiting_for_what_never_starts_ends_and_says_where_to_look():
    ended = run("failover", "--region", ACTIVE, "--reason", "it is gone", "--wait", "--timeout", "1")
    assert ended.exit_code == 1
    assert "has not completed in time; 0 of 0 models have ended" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["failover"], "name a model, or a region"),
        (["failover", "--region", ACTIVE], "a reason is missing"),
        (["failover", "--region", "mars-1", "--plan"], "is not an AWS region"),
        (["failover", "churn", "--plan", "--reason", "x"], "are of a whole region"),
        (["failback", "churn", "--id", "x"], "is of a whole region"),
    ],
)
def test_what_makes_no_sense_is_bad_input(arguments, says):
    ended = run(*arguments)
    assert ended.exit_code == 2
    assert says in ended.stderr
    assert told(STANDBY) == []


def test_a_region_without_a_known_peer_is_bad_input(monkeypatch):
    monkeypatch.setenv("MLDR_REGIONS", ACTIVE)
    ended = run("failover", "--region", ACTIVE, "--plan")
    assert ended.exit_code == 2
    assert f"set MLDR_REGIONS={ACTIVE},PEER" in ended.stderr


def test_the_end_names_every_model_that_did_not_move():
    from cli.evacuation import Asked, _finish
    from cli.outcomes import Ended
    from mldr.domain.failover import Kind

    bad = ModelOutcome(model=MODEL, outcome="failed", reason="EndpointFailed: no capacity")
    evidence(region_key(ACTIVE), id="region-1", outcome="failed", reason="1 of 1 models did not move", models=(bad,))
    with pytest.raises(Ended, match="1 of 1 models did not move"):
        _finish(Asked(ACTIVE, Kind.FAILOVER, standby(), "region-1"), as_json=True)
