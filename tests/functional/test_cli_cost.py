"""`mldr cost` and what `mldr status` says of endpoints that stand ready."""

import datetime as dt
import json
from pathlib import Path

import boto3
import pytest
import yaml

from cli.monthly import PRICES
from cli.regions import Place
from localcloud.moto_repairs.sagemaker_serving import SageMakerServingRepairs
from mldr.aws.serving import SageMakerServing
from mldr.domain.costs import Prices, Used, cost, served_by, standing_in
from mldr.domain.model_rules import Tier
from mldr.domain.recovery_point import Retention
from mldr.domain.serving_state import Live, ServingState
from tests.contract.test_standing_endpoints import NAME, PLAN
from tests.functional.cli_stage import ACTIVE, MODEL, STANDBY, keep, point, run, two_stacks

POLICY = f"""\
version: 1
regions: [{ACTIVE}, {STANDBY}]
models:
  - match: sagemaker/churn
    tier: warm-standby
    serving: {{instance_type: TYPE, instance_count: 4, floor: 2}}
"""
TABLE = Prices.model_validate(yaml.safe_load(PRICES.read_text()))


@pytest.fixture(autouse=True)
def stage(monkeypatch, tmp_path):
    with two_stacks(monkeypatch, tmp_path):
        yield


def policy(instance_type="ml.c5.xlarge"):
    """The policy of the standby, for churn on this instance type."""
    bucket = f"mldr-prod-config-{Place(STANDBY, 'prod').account}-{STANDBY}"
    s3 = boto3.client("s3", region_name=STANDBY)
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": STANDBY})
    s3.put_object(Bucket=bucket, Key="policy.yaml", Body=POLICY.replace("TYPE", instance_type).encode())


def test_every_tier_is_computed_from_the_table_and_what_is_used():
    keep(point(bytes=10 * 2**30))
    policy()
    ended = run("cost", "churn", "--json")
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.stdout)
    monthly = {one["tier"]: one["dollars"] for one in found["tiers"]}
    rest = round(10 * 0.023, 2) + 7.50
    one = 0.204 * 730
    assert monthly["cold-standby"] == pytest.approx(rest)
    assert monthly["warm-standby"] == pytest.approx(rest + 2 * one, abs=0.01)
    assert monthly["active-active"] == pytest.approx(rest + 4 * one + 2.50, abs=0.01), "one health check more"
    assert (found["tier"], found["prices"]["read"]) == ("warm-standby", "2026-11")


def test_an_instance_type_without_a_price_is_unknown_and_never_guessed():
    keep(point())
    policy("ml.p9.48xlarge")
    ended = run("cost", "churn", "--tier", "warm-standby")
    assert ended.exit_code == 1
    assert "ml.p9.48xlarge: no price in the table, add it" in ended.stdout
    assert "unknown, $ 7.50 without it" in ended.stdout
    assert run("cost", "churn", "--tier", "cold-standby").exit_code == 0


def test_a_table_with_mistakes_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("read: 2026\n")
    ended = run("cost", "churn", "--prices", str(path))
    assert ended.exit_code == 2
    assert "mine.yaml" in ended.output


def state_of(*live, **document):
    return ServingState(
        model=MODEL,
        endpoint="churn",
        region=ACTIVE,
        standby_region=STANDBY,
        captured_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        reason="test",
        epoch=0,
        retention=Retention(mode="GOVERNANCE", until=dt.datetime(2026, 3, 1, tzinfo=dt.UTC)),
        document={"Config": {"ProductionVariants": [{"VariantName": "a", "InstanceType": "ml.m5.xlarge"}]}, **document},
        live=live,
        carried=(),
    )


def test_the_captured_instances_count_and_not_the_policys():
    state = state_of(Live(variant="a", weight=1.0, instances=7))
    served = served_by(state, instance_type="ml.c5.xlarge", count=1)
    assert served == (Used(variant="a", instance_type="ml.m5.xlarge", count=7),)
    assert standing_in(Tier.COLD_STANDBY, served, 1) == ()
    assert [one.count for one in standing_in(Tier.WARM_STANDBY, served, 3)] == [3]
    assert [one.count for one in standing_in(Tier.ACTIVE_ACTIVE, served, 3)] == [7]
    assert cost(Tier.ACTIVE_ACTIVE, served, 0, TABLE).dollars == pytest.approx(7 * 0.23 * 730 + 10.0, abs=0.01)


def test_a_floor_of_zero_is_free_only_where_inference_components_come_from_zero():
    served = (Used(variant="a", instance_type="ml.m5.xlarge", count=3),)
    assert [one.count for one in standing_in(Tier.WARM_STANDBY, served, 0, from_zero=True)] == [0]
    assert [one.count for one in standing_in(Tier.WARM_STANDBY, served, 2, from_zero=True)] == [2]
    assert [one.count for one in standing_in(Tier.WARM_STANDBY, served, 0)] == [1]
    none = cost(Tier.WARM_STANDBY, standing_in(Tier.WARM_STANDBY, served, 0, from_zero=True), 0, TABLE)
    assert (none.lines[0].dollars, none.dollars) == (0.0, 7.5)


def test_a_serverless_variant_is_unknown_and_so_is_the_sum():
    serverless = {"MemorySizeInMB": 2048, "ProvisionedConcurrency": 5}
    state = state_of(Live(variant="a", weight=1.0, instances=None, serverless=serverless))
    standing = standing_in(Tier.WARM_STANDBY, served_by(state, instance_type="ml.c5.xlarge", count=1), 1)
    found = cost(Tier.WARM_STANDBY, standing, 0, TABLE)
    assert (found.lines[0].dollars, found.dollars, found.known) == (None, None, 7.5)
    assert found.lines[0].how.startswith("serverless")


def test_a_policy_that_changes_a_tier_says_what_that_costs_before_and_after(tmp_path):
    keep(point())
    policy()
    file = tmp_path / "policy.yaml"

    def costs(text):
        file.write_text(text)
        ended = run("policy", "check", str(file), "--region", STANDBY, "--json")
        assert ended.exit_code == 0, ended.output
        return json.loads(ended.stdout)["costs"]

    text = POLICY.replace("TYPE", "ml.c5.xlarge")
    assert costs(text) == {}
    cold = {"sagemaker/churn": "warm-standby $ 305.34 -> cold-standby $ 7.50"}
    assert costs(text.replace("warm", "cold")) == cold
    assert (
        "sagemaker/churn a month: warm-standby $ 305.34"
        in run("policy", "check", str(file), "--region", STANDBY).stdout
    )
    assert costs(text.replace("ml.c5.xlarge", "ml.p9.48xlarge")) == {
        "sagemaker/churn": "warm-standby $ 305.34 -> warm-standby unknown, $ 7.50 without it"
    }


def test_a_policy_where_none_is_in_force_has_nothing_to_compare_with(tmp_path):
    keep(point())
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.replace("TYPE", "ml.c5.xlarge"))
    ended = run("policy", "check", str(file), "--region", STANDBY, "--json")
    assert (ended.exit_code, json.loads(ended.stdout)["costs"]) == (0, {})


def test_the_table_says_where_and_when_its_prices_were_read():
    said = Path(PRICES).read_text()
    assert TABLE.source
    assert TABLE.read
    assert "never guessed" in said


def test_status_shows_what_stands_ready(request):
    keep(point())
    clients = [
        lambda name=name: boto3.client(name, region_name=STANDBY)
        for name in ("sagemaker", "sagemaker-runtime", "application-autoscaling", "cloudwatch")
    ]
    serving = SageMakerServingRepairs()
    serving.start()
    request.addfinalizer(serving.stop)
    SageMakerServing(*clients).restore(PLAN)
    ended = run("status", "churn", "--json")
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.stdout)
    assert [(one["name"], one["status"]) for one in found["standing"]] == [(NAME, "InService")]
    assert f"{NAME} InService" in run("status", "churn").stdout
