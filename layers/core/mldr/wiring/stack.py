"""What the stack itself runs on: its clock, workflows, bus, pages, metrics and policy."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from mldr.wiring.clients import Clients

if TYPE_CHECKING:
    from mldr.ports.stack import Bus, Clock, Metrics, Pager, PolicyStore, Workflows


class Stack(Clients):
    """Adapters of what the stack itself runs on."""

    @cached_property
    def clock(self) -> Clock:
        from mldr.aws.clock import SystemClock

        return SystemClock()

    @cached_property
    def policies(self) -> PolicyStore:
        from mldr.aws.policy_store import S3PolicyStore

        return S3PolicyStore(self._client("s3"), location=self.env.policy_location)

    @cached_property
    def workflows(self) -> Workflows:
        from mldr.aws.workflows import StepFunctions

        return StepFunctions(self._client("stepfunctions"), state_machine_arn=self.env.state_machine_arn)

    @cached_property
    def evacuations(self) -> Workflows:
        from mldr.aws.workflows import StepFunctions

        return StepFunctions(self._client("stepfunctions"), state_machine_arn=self.env.evacuate_machine_arn)

    @cached_property
    def bus(self) -> Bus:
        from mldr.aws.bus import EventBus

        return EventBus(self._client("events"), name=self.env.bus_name)

    @cached_property
    def pager(self) -> Pager:
        from mldr.aws.pager import SnsPager

        return SnsPager(self._client("sns"), topic_arn=self.env.pages_topic_arn)

    @cached_property
    def metrics(self) -> Metrics:
        from mldr.aws.metrics import CloudWatchMetrics

        return CloudWatchMetrics(self._client("cloudwatch"), environment=self.env.environment_name)
