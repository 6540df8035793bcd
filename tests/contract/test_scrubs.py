"""Scrubs and Metrics: what checks found, and figures for alarms, on memory and on AWS."""

import datetime as dt

import pytest

from mldr.aws.metrics import PER_CALL, CloudWatchMetrics
from mldr.aws.scrubs import DynamoScrubs
from mldr.domain.identity import ModelKey
from mldr.domain.lag import Measured, figures
from mldr.domain.scrub import Tally
from tests.fakes.metrics import FakeMetrics
from tests.fakes.scrubs import FakeScrubs

SERVICE = "dynamodb"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CHURN = ModelKey(registry="sagemaker", name="churn")
TALLY = Tally(
    owner="model/sagemaker/churn", run="r1", sample=12.5, checked_at=NOW, manifests=2, objects=7, bytes=2**45, bad=1,
    repaired=2, unread=3, unchecked=4, damaged=("v1-a",), reason="ünï cödé",
)  # fmt: skip


def table(cloud):
    """The catalog's table."""
    cloud.client("dynamodb").create_table(
        TableName="catalog",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return DynamoScrubs(cloud.client("dynamodb"), table="catalog")


@pytest.fixture
def scrubs(backend):
    return table(backend) if backend else FakeScrubs()


def test_what_was_never_checked_is_not_known(scrubs):
    assert scrubs.last("model/sagemaker/churn") is None


def test_the_last_check_of_each_owner_is_remembered_whole(scrubs):
    other = TALLY.model_copy(update={"owner": "dataset/images"})
    scrubs.note(TALLY)
    scrubs.note(other)
    assert (scrubs.last(TALLY.owner), scrubs.last(other.owner)) == (TALLY, other)
    later = TALLY.model_copy(update={"run": "r2", "bad": 0})
    scrubs.note(later)
    assert scrubs.last(TALLY.owner) == later


class CloudWatch:
    """Figures that CloudWatch keeps."""

    def __init__(self, moto):
        self.cloudwatch = moto.client("cloudwatch")
        self.metrics = CloudWatchMetrics(self.cloudwatch, environment="test")


MADE = figures([(CHURN, dt.timedelta(minutes=30), dt.timedelta(minutes=15))])


def test_figures_are_remembered_in_order():
    metrics = FakeMetrics()
    metrics.publish(MADE)
    assert metrics.published == MADE


def test_figures_arrive_with_their_environment_and_model(moto):
    place = CloudWatch(moto)
    place.metrics.publish(MADE)
    told = place.cloudwatch.list_metrics(Namespace="mldr")["Metrics"]
    seen = {one["MetricName"]: {dim["Name"]: dim["Value"] for dim in one["Dimensions"]} for one in told}
    both = {"Environment": "test", "Model": "sagemaker/churn"}
    assert seen == {"RpoLag": both, "RpoLagRatio": both, "WorstRpoLagRatio": {"Environment": "test"}}
    now = dt.datetime.now(dt.UTC)
    [point] = place.cloudwatch.get_metric_statistics(
        Namespace="mldr", MetricName="RpoLag", Statistics=["Maximum"], Period=60, StartTime=now - dt.timedelta(hours=1),
        EndTime=now + dt.timedelta(hours=1), Dimensions=[{"Name": name, "Value": both[name]} for name in both],
    )["Datapoints"]  # fmt: skip
    assert (point["Maximum"], point["Unit"]) == (1800.0, "Seconds")


def test_more_figures_than_one_call_takes_go_in_several(moto, monkeypatch):
    place, calls = CloudWatch(moto), []
    put = place.cloudwatch.put_metric_data

    def counted(**given):
        calls.append(len(given["MetricData"]))
        return put(**given)

    monkeypatch.setattr(place.cloudwatch, "put_metric_data", counted)
    place.metrics.publish([Measured(name="RpoLag", value=0, unit="Seconds", model=CHURN)] * (PER_CALL + 1))
    assert calls == [PER_CALL, 1]
