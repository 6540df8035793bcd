"""Our figures in CloudWatch, put by a call: what does not arrive is an error, not a log line that nobody misses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from mldr.domain.identity import ModelKey
from mldr.domain.lag import Measured
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import DimensionTypeDef, MetricDatumTypeDef

NAMESPACE = "mldr"
# docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
PER_CALL = 1000


def dimensions(environment: str, model: ModelKey | None) -> list[DimensionTypeDef]:
    """Return under which dimensions a figure stands: an alarm finds it by exactly these."""
    named = {"Environment": environment} | ({"Model": str(model)} if model else {})
    return [{"Name": name, "Value": value} for name, value in named.items()]


class CloudWatchMetrics:
    """Needs cloudwatch:PutMetricData in the namespace `mldr`."""

    def __init__(self, cloudwatch: CloudWatchClient, *, environment: str) -> None:
        self._cloudwatch, self._environment = cloudwatch, environment

    def publish(self, figures: Sequence[Measured]) -> None:
        data = iter([self._datum(figure) for figure in figures])
        with translated("publish figures"):
            while batch := list(islice(data, PER_CALL)):
                self._cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=batch)

    def _datum(self, figure: Measured) -> MetricDatumTypeDef:
        return {
            "MetricName": figure.name,
            "Dimensions": dimensions(self._environment, figure.model),
            "Value": figure.value,
            "Unit": figure.unit,  # type: ignore[typeddict-item] # our two are among CloudWatch's
        }
