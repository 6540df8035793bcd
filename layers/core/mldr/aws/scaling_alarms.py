"""The CloudWatch alarms that trigger step scaling: nobody but their owner makes and deletes them, so mldr does.

docs.aws.amazon.com/autoscaling/application/userguide/step-scaling-policy-overview.html: a policy that is made anew has
another ARN, and an alarm of it acts only where it names that ARN.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient

ALARMS = "Alarms"  # of a policy, in a captured document: what PutMetricAlarm takes, besides its name
ACTIONS = ("AlarmActions", "OKActions", "InsufficientDataActions")
_OF_ITS_REGION = {"AlarmName", "AlarmDescription", "Tags", *ACTIONS}
_PREFIX = "mldr-scaling-"
_AT_ONCE = 50  # of DescribeAlarms' answers on one page, and no more than DeleteAlarms takes


def alarms_of(
    cloudwatch: Callable[[], CloudWatchClient], policies: Iterable[Any], taken: Callable[[Any], dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Return the alarms of each step scaling policy, by its ARN; `taken` leaves of one what PutMetricAlarm takes."""
    named = {
        one["PolicyARN"]: sorted(alarm["AlarmName"] for alarm in one.get(ALARMS, ()))
        for one in policies
        if one["PolicyType"] == "StepScaling"
    }
    names = sorted({name for some in named.values() for name in some})
    found: dict[str, Any] = {}
    for first in range(0, len(names), _AT_ONCE):
        answer = cloudwatch().describe_alarms(AlarmNames=names[first : first + _AT_ONCE], AlarmTypes=["MetricAlarm"])
        found |= {one["AlarmName"]: one for one in answer["MetricAlarms"]}
    return {arn: [_settings(found[name], arn, taken) for name in some if name in found] for arn, some in named.items()}


def _settings(alarm: Any, policy: str, taken: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Whom else it tells is an affair of its region: of its actions only those are kept that ask for this policy."""
    kept = {name: value for name, value in taken(alarm).items() if name not in _OF_ITS_REGION}
    asks = [name for name in ACTIONS if any(one.startswith(policy) for one in alarm.get(name, ()))]
    return {**kept, **{name: [] for name in asks or ACTIONS[:1]}}


def put_policy(
    autoscaling: ApplicationAutoScalingClient,
    cloudwatch: Callable[[], CloudWatchClient],
    endpoint: str,
    policy: dict[str, Any],
) -> None:
    """Put a scaling policy and the alarms that trigger it; each call replaces what has the same name."""
    asked: Any = {name: value for name, value in policy.items() if name != ALARMS}
    arn = autoscaling.put_scaling_policy(**asked)["PolicyARN"]
    for index, alarm in enumerate(policy.get(ALARMS, ())):
        acts = {name: [arn] for name in ACTIONS if name in alarm}
        told = f"{policy['PolicyName']} of {policy['ResourceId']}, as it was captured; deleted with the endpoint"
        wanted: Any = {**alarm, **acts, "AlarmName": _name(endpoint, policy, index), "AlarmDescription": told}
        cloudwatch().put_metric_alarm(**wanted)


def delete_alarms(cloudwatch: CloudWatchClient, endpoint: str) -> None:
    """Delete the alarms that were put for an endpoint: those of a policy that is gone trigger nothing, and cost on."""
    names = list(_put_for(cloudwatch, endpoint))
    for first in range(0, len(names), _AT_ONCE):
        cloudwatch.delete_alarms(AlarmNames=names[first : first + _AT_ONCE])


def _put_for(cloudwatch: CloudWatchClient, endpoint: str) -> Iterator[str]:
    begin = f"{_PREFIX}{endpoint}-"
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=begin, AlarmTypes=["MetricAlarm"])
    for page in pages:
        # Another endpoint's name may begin with this one's and a hyphen.
        yield from (one["AlarmName"] for one in page["MetricAlarms"] if "-" not in one["AlarmName"][len(begin) :])


def _name(endpoint: str, policy: dict[str, Any], index: int) -> str:
    said = "|".join((policy["ResourceId"], policy["PolicyName"], str(index)))
    return f"{_PREFIX}{endpoint}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"
