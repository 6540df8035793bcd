"""The alarms of a step scaling policy, which moto never names: those of its region whose actions name the policy.

See autoscaling/application/APIReference/API_ScalingPolicy, Alarms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.applicationautoscaling import responses
from moto.cloudwatch.models import cloudwatch_backends

from localcloud.patches import Patches

if TYPE_CHECKING:
    from moto.applicationautoscaling.models import FakeApplicationAutoscalingPolicy


class ScalingAlarmRepairs:
    """Names them wherever Application Auto Scaling describes a policy."""

    def __init__(self) -> None:
        self._patches = Patches()

    def start(self) -> None:
        """Install the repair."""
        named = vars(responses)["_build_alarms"]

        def alarms(policy: FakeApplicationAutoscalingPolicy) -> list[dict[str, str]]:
            return _of_steps(policy) if policy.policy_type == "StepScaling" else named(policy)

        self._patches.replace(responses, "_build_alarms", alarms)

    def stop(self) -> None:
        """Restore moto."""
        self._patches.undo()


def _of_steps(policy: FakeApplicationAutoscalingPolicy) -> list[dict[str, str]]:
    return [
        {"AlarmARN": alarm.alarm_arn, "AlarmName": alarm.name}
        for alarm in cloudwatch_backends[policy.account_id][policy.region_name].alarms.values()
        if policy.policy_arn in (*alarm.alarm_actions, *alarm.ok_actions, *alarm.insufficient_data_actions)
    ]
