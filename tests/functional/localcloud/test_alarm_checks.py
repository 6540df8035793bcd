"""Health checks that follow an alarm: the metric's data decides, never the alarm's state."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.route53.models import route53_backends

from localcloud.edge.addresses import ACCOUNT
from localcloud.edge.alarm_checks import Rule, Sample, healthy
from localcloud.edge.health_checks import HealthCheckers
from localcloud.moto_repairs.route53 import Route53Repairs

REGION = "ap-southeast-3"
ALARM: dict[str, Any] = {
    "AlarmName": "switch", "Namespace": "mldr", "MetricName": "TakeoverSwitch", "Statistic": "Maximum", "Period": 60,
    "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "Dimensions": [{"Name": "Model", "Value": "churn"}],
}  # fmt: skip
RULE = Rule(
    region=REGION, name="switch", namespace="mldr", metric="TakeoverSwitch", dimensions=frozenset(),
    statistic="Maximum", period=60, periods=2, threshold=1.0, comparison="GreaterThanOrEqualToThreshold",
)  # fmt: skip


class World:
    """CloudWatch, Route 53 and its checkers at a time that the test sets."""

    def __init__(self) -> None:
        self.repairs = Route53Repairs(lambda _check: [])
        self.repairs.start()
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        self.route53: Any = boto3.client("route53", "us-east-1", **keys)  # type: ignore[call-overload]
        self.cloudwatch: Any = boto3.client("cloudwatch", REGION, **keys)  # type: ignore[call-overload]
        self.samples: list[Sample] = []
        self.now = 600.0
        self.checkers = HealthCheckers(
            {}.get, [], 0, lambda: route53_backends[ACCOUNT]["aws"].health_checks, pace=100.0,
            samples=lambda _rule: self.samples, now=lambda: self.now,
        )  # fmt: skip

    def check(self, no_data: str = "LastKnownStatus", alarm: dict[str, Any] | None = None, **config: Any) -> str:
        """An alarm and a check that follows it."""
        self.cloudwatch.put_metric_alarm(**(ALARM if alarm is None else {**ALARM, **alarm}))
        return self.follow(no_data, **config)

    def follow(self, no_data: str, reference: str = "r", **config: Any) -> str:
        """A check that follows the alarm."""
        asked = {
            "Type": "CLOUDWATCH_METRIC", "AlarmIdentifier": {"Region": REGION, "Name": "switch"},
            "InsufficientDataHealthStatus": no_data, **config,
        }  # fmt: skip
        made = self.route53.create_health_check(CallerReference=reference, HealthCheckConfig=asked)
        return str(made["HealthCheck"]["Id"])

    def put(self, value: float) -> None:
        """A datapoint of now."""
        self.samples.append((self.now, value))


@pytest.fixture
def world() -> Iterator[World]:
    """moto in this process, repaired."""
    with mock_aws():
        made = World()
        yield made
        made.repairs.stop()


def test_the_data_decides_and_the_state_of_the_alarm_does_not(world: World) -> None:
    check = world.check()
    world.put(0)
    world.cloudwatch.set_alarm_state(AlarmName="switch", StateValue="ALARM", StateReason="by hand")
    assert world.checkers.healthy(check)
    world.put(1)
    world.cloudwatch.set_alarm_state(AlarmName="switch", StateValue="OK", StateReason="by hand")
    assert not world.checkers.healthy(check)


@pytest.mark.parametrize(
    ("no_data", "new", "after"),
    [("Healthy", True, True), ("Unhealthy", False, False), ("LastKnownStatus", True, False)],
)
def test_without_data_a_check_is_what_it_was_made_to_be(world: World, no_data: str, new: bool, after: bool) -> None:
    check = world.check(no_data)
    assert world.checkers.healthy(check) is new
    world.put(1)
    assert not world.checkers.healthy(check)
    world.now += 600
    assert world.checkers.healthy(check) is after


def test_a_new_inverted_one_is_unhealthy_until_there_is_data(world: World) -> None:
    check = world.check(Inverted=True)
    assert not world.checkers.healthy(check)
    world.put(1)
    assert world.checkers.healthy(check)


def test_what_was_known_last_does_not_depend_on_who_asked(world: World) -> None:
    check = world.check()
    world.put(1)
    world.checkers._follow()
    world.now += 600
    assert not world.checkers.healthy(check)


def test_a_later_change_of_the_alarm_changes_nothing(world: World) -> None:
    """Route 53 copies the settings when the check is made."""
    check = world.check()
    world.cloudwatch.put_metric_alarm(**{**ALARM, "Threshold": 100.0})
    world.put(1)
    assert not world.checkers.healthy(check)


def test_it_is_described_and_made_once(world: World) -> None:
    check = world.check()
    assert world.follow("LastKnownStatus") == check
    config = world.route53.get_health_check(HealthCheckId=check)["HealthCheck"]["HealthCheckConfig"]
    assert (config["Type"], config["AlarmIdentifier"], config["InsufficientDataHealthStatus"]) == (
        "CLOUDWATCH_METRIC", {"Region": REGION, "Name": "switch"}, "LastKnownStatus",
    )  # fmt: skip
    with pytest.raises(ClientError, match="HealthCheckAlreadyExists"):
        world.follow("Healthy")


@pytest.mark.parametrize(
    ("alarm", "says"),
    [
        ({"Period": 10}, "period below 60"),
        ({"EvaluationPeriods": 3, "DatapointsToAlarm": 2}, "M out of N"),
        ({"Statistic": None, "ExtendedStatistic": "p99"}, "extended statistic"),
        (
            {
                **dict.fromkeys(("Namespace", "MetricName", "Statistic", "Period", "Dimensions")),
                "Metrics": [
                    {
                        "Id": "a",
                        "MetricStat": {
                            "Metric": {"Namespace": "mldr", "MetricName": "TakeoverSwitch"}, "Period": 60,
                            "Stat": "Maximum",
                        },
                    }
                ],
            },
            "metric math",
        ),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "compares by"),
    ],
)  # fmt: skip
def test_what_route_53_does_not_follow_is_refused_by_name(world: World, alarm: dict[str, Any], says: str) -> None:
    settings = {name: value for name, value in {**ALARM, **alarm}.items() if value is not None}
    world.cloudwatch.put_metric_alarm(**settings)
    with pytest.raises(ClientError, match=says):
        world.follow("LastKnownStatus")


def test_an_alarm_that_is_not_there_and_a_check_without_one_are_refused(world: World) -> None:
    with pytest.raises(ClientError, match="no alarm 'switch'"):
        world.follow("LastKnownStatus")
    with pytest.raises(ClientError, match="needs an AlarmIdentifier"):
        world.route53.create_health_check(CallerReference="x", HealthCheckConfig={"Type": "CLOUDWATCH_METRIC"})
    with pytest.raises(ClientError, match="InsufficientDataHealthStatus"):
        world.check("Maybe")


def test_a_check_of_a_metric_is_not_changed(world: World) -> None:
    with pytest.raises(ClientError, match="make another one"):
        world.route53.update_health_check(HealthCheckId=world.check(), Disabled=True)


def test_only_the_metric_with_exactly_its_dimensions_is_followed(world: World) -> None:
    world.checkers = HealthCheckers({}.get, [], 0, lambda: route53_backends[ACCOUNT]["aws"].health_checks)
    check = world.check()
    other = [{"Name": "Model", "Value": "churn"}, {"Name": "Environment", "Value": "prod"}]
    for dimensions in (other, [{"Name": "Model", "Value": "plain"}]):
        datum = {"MetricName": "TakeoverSwitch", "Dimensions": dimensions, "Value": 1.0}
        world.cloudwatch.put_metric_data(Namespace="mldr", MetricData=[datum])
    assert world.checkers.healthy(check)
    datum = {"MetricName": "TakeoverSwitch", "Dimensions": ALARM["Dimensions"], "Value": 1.0}
    world.cloudwatch.put_metric_data(Namespace="mldr", MetricData=[datum])
    assert not world.checkers.healthy(check)


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        ([], None),
        ([(60, 1)], None),
        ([(540, 1), (600, 1)], False),
        ([(540, 0), (600, 1)], True),
        ([(540, 1), (600, 0)], True),
        ([(480, 0), (540, 1), (600, 1)], False),
        ([(600, 0), (601, 1), (540, 1)], False),
        ([(480, 1)], False),
        ([(660, 1)], None),
    ],
    ids=["none", "old", "all", "one", "recovered", "latest two", "the maximum of a period", "late", "of the future"],
)
def test_the_latest_periods_with_data_count(samples: list[Sample], verdict: bool | None) -> None:
    assert healthy(RULE, samples, 630) is verdict
