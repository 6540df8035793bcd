"""Schedules fire by a clock that tests push forward, and not in a failed region."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from localcloud.schedules import BadSchedule, next_time
from tests.functional.localcloud.small_cloud import HERE, SmallCloud, small_cloud, wait_until


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCloud]:
    with small_cloud(tmp_path_factory.mktemp("state")) as started:
        yield started


def test_a_rate_fires_when_the_clock_is_pushed_and_once_however_far(cloud: SmallCloud) -> None:
    url, queue = cloud.queue("minutely")
    rule = cloud.rule({"Arn": queue}, ScheduleExpression="rate(1 minute)")
    time.sleep(0.4)
    assert cloud.bodies(url) == []
    cloud.clock.advance(61)
    (fired,) = wait_until(lambda: cloud.bodies(url))
    assert (fired["source"], fired["detail-type"], fired["resources"]) == ("aws.events", "Scheduled Event", [rule])
    cloud.clock.advance(600)
    assert len(wait_until(lambda: cloud.bodies(url))) == 1
    time.sleep(0.4)
    assert cloud.bodies(url) == []


def test_input_is_given_to_the_target_and_disabled_rules_rest(cloud: SmallCloud) -> None:
    url, queue = cloud.queue("inputs")
    cloud.rule({"Arn": queue, "Input": json.dumps({"probe": True})}, ScheduleExpression="cron(0/5 * * * ? *)")
    cloud.rule({"Arn": queue}, ScheduleExpression="rate(1 minute)", State="DISABLED")
    cloud.clock.advance(301)
    assert wait_until(lambda: cloud.bodies(url)) == [{"probe": True}]


def test_nothing_fires_in_a_failed_region_and_nothing_is_made_up_for(cloud: SmallCloud) -> None:
    url, queue = cloud.queue("failed")
    cloud.rule({"Arn": queue}, ScheduleExpression="rate(1 hour)")
    time.sleep(0.4)
    cloud.outage.fail(HERE)
    cloud.clock.advance(3601)
    cloud.outage.heal(HERE)
    time.sleep(0.5)
    assert cloud.bodies(url) == []
    cloud.clock.advance(3601)
    assert len(wait_until(lambda: cloud.bodies(url))) == 1


@pytest.mark.parametrize("expression", ["rate(1 hours)", "rate(2 minute)", "rate(0 minutes)", "cron(61 * * * ? *)"])
def test_a_wrong_expression_is_refused_by_the_api(cloud: SmallCloud, expression: str) -> None:
    with pytest.raises(ClientError, match="ScheduleExpression is not valid"):
        cloud.client("events").put_rule(Name="wrong", ScheduleExpression=expression)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("rate(5 minutes)", "2026-01-01T00:00", "2026-01-01T00:05"),
        ("cron(0 12 * * ? *)", "2026-01-01T12:00", "2026-01-02T12:00"),
        ("cron(15 10 ? * MON-FRI *)", "2026-01-02T11:00", "2026-01-05T10:15"),
        ("cron(0/15 8-9 * * ? *)", "2026-01-01T09:50", "2026-01-02T08:00"),
        ("cron(0 0 L * ? *)", "2026-02-01T00:00", "2026-02-28T00:00"),
        ("cron(0 0 ? * 6#3 *)", "2026-01-01T00:00", "2026-01-16T00:00"),
        ("cron(0 0 ? * 6L *)", "2026-01-01T00:00", "2026-01-30T00:00"),
        ("cron(0 0 15W * ? *)", "2026-02-01T00:00", "2026-02-16T00:00"),
        ("cron(0 0 1 JAN ? 2027)", "2026-02-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_the_next_time_of_an_expression(expression: str, after: str, expected: str) -> None:
    start = datetime.fromisoformat(after).replace(tzinfo=UTC).timestamp()
    found = next_time(expression)(start)
    assert found is not None
    assert datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%dT%H:%M") == expected


@pytest.mark.parametrize("expression", ["cron(0 0 * * * *)", "cron(0 0 ? * ? *)", "cron(a 0 * * ? *)", "at(12:00)"])
def test_a_wrong_expression_has_no_next_time(expression: str) -> None:
    with pytest.raises(BadSchedule):
        next_time(expression)


def test_the_clock_only_moves_forward(cloud: SmallCloud) -> None:
    with pytest.raises(ValueError, match="forward"):
        cloud.clock.advance(-1)
