"""Metrics that functions write into their logs: CloudWatch takes every line in the embedded metric format as data.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend

log = logging.getLogger(__name__)
MARK = '"_aws"'
Datum = dict[str, Any]


def publish(backend: CloudWatchBackend, text: str) -> None:
    """Give CloudWatch the metrics of a function's log; lines that are none, or broken ones, are only log."""
    for line in text.splitlines():
        if MARK not in line:
            continue
        try:
            for namespace, data in metrics(json.loads(line)):
                backend.put_metric_data(namespace, data)
        except (KeyError, TypeError, ValueError):
            log.warning("not in the embedded metric format: %s", line)


def metrics(line: Mapping[str, Any]) -> Iterator[tuple[str, list[Datum]]]:
    """The namespace and data of each directive: one datum for each metric under each of its sets of dimensions."""
    at = datetime.fromtimestamp(line["_aws"]["Timestamp"] / 1000, UTC).replace(tzinfo=None)
    for directive in line["_aws"]["CloudWatchMetrics"]:
        yield (
            directive["Namespace"],
            [
                _datum(line, metric, dimensions, at)
                for metric in directive["Metrics"]
                for dimensions in directive.get("Dimensions") or [[]]
            ],
        )


def _datum(line: Mapping[str, Any], metric: Mapping[str, str], dimensions: list[str], at: datetime) -> Datum:
    value = line[metric["Name"]]
    return {
        "MetricName": metric["Name"],
        "Unit": metric.get("Unit", "None"),
        "Timestamp": at,
        "Values": [float(one) for one in (value if isinstance(value, list) else [value])],
        "Dimensions": [{"Name": name, "Value": str(line[name])} for name in dimensions],
    }
