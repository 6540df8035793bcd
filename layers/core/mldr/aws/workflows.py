"""State machines of this region."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from mldr.ports.stack import Status
from mldr.sdk import code, translated

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

# The Fail states of statemachines/: an execution that ends in one has concluded, and told so.
CONCLUDED = {"EvacuationFailed", "FailoverFailed", "ProtectionFailed", "RestoreFailed", "ScrubFailed", "SnapshotFailed"}


def status_of(execution: Mapping[str, Any]) -> Status:
    """Return how an execution stands, by what DescribeExecution says of it."""
    if execution["status"] in ("RUNNING", "SUCCEEDED"):
        return Status(execution["status"])
    return Status.FAILED if execution.get("error") in CONCLUDED else Status.LOST


class StepFunctions:
    """Needs states:StartExecution on the state machine and states:DescribeExecution on its executions."""

    def __init__(self, states: SFNClient, *, state_machine_arn: str) -> None:
        self._states, self._arn = states, state_machine_arn

    def start(self, name: str, payload: dict[str, Any]) -> None:
        try:
            with translated(f"start {name}"):
                self._states.start_execution(
                    stateMachineArn=self._arn, name=name, input=json.dumps(payload, sort_keys=True)
                )
        except ClientError as error:
            if code(error) != "ExecutionAlreadyExists":
                raise

    def status(self, name: str) -> Status | None:
        found = self._described(name)
        return status_of(found) if found else None

    def given(self, name: str) -> dict[str, Any] | None:
        found = self._described(name)
        if found is None:
            return None
        payload: dict[str, Any] = json.loads(found["input"])
        return payload

    def _described(self, name: str) -> DescribeExecutionOutputTypeDef | None:
        execution = self._arn.replace(":stateMachine:", ":execution:") + f":{name}"
        try:
            with translated(f"describe {name}"):
                return self._states.describe_execution(executionArn=execution)
        except ClientError as error:
            if code(error) != "ExecutionDoesNotExist":
                raise
            return None
