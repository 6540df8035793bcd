"""Health checks that follow a CloudWatch alarm: Route 53 copies the alarm's settings and reads the metric's data.

As AWS documents it (Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints, API_AlarmIdentifier):
the state of the alarm is never asked, so SetAlarmState forces nothing; only metrics of standard resolution and plain
statistics are followed, no metric math, no M out of N. Where AWS would silently follow something else, this refuses.

Of the last periods, the running one among them, those with data count: all of them breach, then the check is unhealthy.
One period more than the alarm evaluates is looked at, so that a datapoint may be late; without any there is no data.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import MetricDatum, cloudwatch_backends
from moto.route53.models import HealthCheck

from localcloud.edge.addresses import ACCOUNT

BREACHES: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
STATISTICS: Mapping[str, Callable[[list[float]], float]] = {
    "Average": lambda values: sum(values) / len(values),
    "Minimum": min,
    "Maximum": max,
    "Sum": math.fsum,
    "SampleCount": lambda values: float(len(values)),
}
NO_DATA = ("Healthy", "Unhealthy", "LastKnownStatus")
SHORTEST = 60
EARLY = 1  # periods before those that the alarm evaluates


class Unfollowable(Exception):
    """Route 53 cannot follow this alarm."""


@dataclass(frozen=True)
class Rule:
    """An alarm's settings, as they were when the health check was made."""

    region: str
    name: str
    namespace: str
    metric: str
    dimensions: frozenset[tuple[str, str]]
    statistic: str
    period: int
    periods: int
    threshold: float
    comparison: str


Sample = tuple[float, float]
Read = Callable[[Rule], Iterable[Sample]]


def attach(check: HealthCheck, rule: Rule | None, no_data: str | None) -> None:
    """Keep with moto's check what moto does not: what it follows, and what it is without data."""
    vars(check).update(alarm=rule, no_data=no_data)


def followed(check: HealthCheck) -> tuple[Rule, str]:
    """What was attached."""
    kept = vars(check)
    return kept["alarm"], kept["no_data"]


def rule_of(region: str, name: str) -> Rule:
    """The settings of an alarm; Unfollowable when there is none, or none that Route 53 follows."""
    alarm = cloudwatch_backends[ACCOUNT][region].alarms.get(name)
    if alarm is None:
        raise Unfollowable(f"There is no alarm {name!r} in {region}.")
    _followable(alarm, f"The alarm {name!r} in {region}")
    return Rule(
        region=region,
        name=name,
        namespace=alarm.namespace,
        metric=alarm.metric_name,
        dimensions=frozenset((str(one.name), str(one.value)) for one in alarm.dimensions),
        statistic=alarm.statistic,
        period=int(alarm.period),
        periods=int(alarm.evaluation_periods),
        threshold=float(alarm.threshold),
        comparison=alarm.comparison_operator,
    )


def _followable(alarm: Any, named: str) -> None:
    of_n = alarm.datapoints_to_alarm
    reasons = {
        "is composite": bool(alarm.rule),
        "uses metric math": bool(alarm.metric_data_queries),
        "uses an extended statistic": bool(alarm.extended_statistic),
        f"has a period below {SHORTEST} seconds": not alarm.period or int(alarm.period) < SHORTEST,
        "needs M out of N datapoints": bool(of_n) and int(of_n) != int(alarm.evaluation_periods),
        f"uses the statistic {alarm.statistic}": alarm.statistic not in STATISTICS,
        f"compares by {alarm.comparison_operator}": alarm.comparison_operator not in BREACHES,
    }
    found = [reason for reason, holds in reasons.items() if holds]
    if found:
        raise Unfollowable(f"{named} {', '.join(found)}; Route 53 does not follow such an alarm.")


def stored_samples(rule: Rule) -> list[Sample]:
    """The (time, value) that CloudWatch holds of the rule's metric: exactly its dimensions."""
    return [
        (_seconds(datum.timestamp), float(datum.value))
        for datum in list(cloudwatch_backends[ACCOUNT][rule.region].metric_data)
        if isinstance(datum, MetricDatum)
        and datum.namespace == rule.namespace
        and datum.name == rule.metric
        and frozenset((one.name, str(one.value)) for one in datum.dimensions) == rule.dimensions
    ]


def _seconds(at: datetime) -> float:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def healthy(rule: Rule, samples: Iterable[Sample], now: float) -> bool | None:
    """What the data says at a time; None when there is none."""
    running = int(now // rule.period)
    first = running - rule.periods - EARLY + 1
    periods: dict[int, list[float]] = defaultdict(list)
    for at, value in samples:
        if first <= at // rule.period <= running:
            periods[int(at // rule.period)].append(value)
    latest = sorted(periods)[-rule.periods :]
    if not latest:
        return None
    values = [STATISTICS[rule.statistic](periods[number]) for number in latest]
    return not all(BREACHES[rule.comparison](value, rule.threshold) for value in values)
