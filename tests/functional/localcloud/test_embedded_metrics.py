"""What a function measures reaches CloudWatch, through its log or through PutMetricData."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.cloudwatch.models import cloudwatch_backends

from localcloud.embedded_metrics import publish
from tests.functional.localcloud.small_cloud import ACCOUNT, HERE, SmallCloud, small_cloud

MEASURES = """
    from aws_lambda_powertools import Metrics

    metrics = Metrics(namespace="mldr", service="engine")

    @metrics.log_metrics
    def handler(event, context):
        print('{"_aws": "this is a line like any other"}')
        metrics.add_dimension(name="model", value="fraud")
        for value in event["values"]:
            metrics.add_metric(name="lag", unit="Seconds", value=value)
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCloud]:
    with small_cloud(tmp_path_factory.mktemp("state")) as started:
        yield started


def statistics(cloud: SmallCloud, name: str, **dimensions: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    points = cloud.client("cloudwatch").get_metric_statistics(
        Namespace="mldr", MetricName=name, Dimensions=named, Period=600, Statistics=["Sum", "SampleCount", "Maximum"],
        StartTime=now - timedelta(minutes=5), EndTime=now + timedelta(minutes=5),
    )["Datapoints"]  # fmt: skip
    return {kind: sum(point[kind] for point in points) for kind in ("Sum", "SampleCount")}


def test_metrics_in_a_functions_log_are_cloudwatchs(cloud: SmallCloud) -> None:
    cloud.function("measures", MEASURES)
    outcome = cloud.runtime.invoke(HERE, "measures", json.dumps({"values": [3, 4.5]}).encode())
    assert not outcome.error, outcome
    cloud.runtime.invoke(HERE, "measures", json.dumps({"values": [1]}).encode())
    assert statistics(cloud, "lag", service="engine", model="fraud") == {"Sum": 8.5, "SampleCount": 3}


def test_put_metric_data_is_read_back(cloud: SmallCloud) -> None:
    data = [{"MetricName": "sent", "Value": 2.0, "Unit": "Count", "Timestamp": datetime.now(UTC)}]
    cloud.client("cloudwatch").put_metric_data(Namespace="mldr", MetricData=data)
    assert statistics(cloud, "sent") == {"Sum": 2, "SampleCount": 1}


@pytest.mark.parametrize("line", ['{"_aws": {}}', '{"_aws": 3', '"_aws"'])
def test_a_broken_line_is_only_log(cloud: SmallCloud, line: str) -> None:
    backend = cloudwatch_backends[ACCOUNT][HERE]
    before = list(backend.metric_data)
    publish(backend, line)
    assert backend.metric_data == before
