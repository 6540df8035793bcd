"""Executions as an operator follows them: one that dies goes on as another, and only the newest says how it ends."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from cli.output import err, seconds
from mldr.aws.workflows import status_of
from mldr.domain.executions import attempt
from mldr.ports.stack import Status
from mldr.sdk import code

# Seconds after a death within which another execution is started: its schedule looks every minute.
GOES_ON_WITHIN = 150.0
PHASES = {
    "GateMove": "asking the other region, and looking whether all that it serves is protected here",
    "WaitForProtection": "waiting until it is",
    "ClaimEpoch": "claiming the epoch",
    "FindEndpoint": "looking whether the model's own endpoint serves that version",
    "MaterialiseServing": "laying out the files of the recovery point under its own names",
    "RestoreServing": "restoring the endpoint",
    "WarmServing": "warming it",
    "VerifyServing": "comparing its answers with the golden ones",
    "WaitForAnswer": "waiting for the answers of an asynchronous endpoint, to compare them",
    "FlipSwitch": "flipping the takeover switch",
    "ConfirmTakeover": "waiting for clients outside to see it",
    "Conclude": "writing the evidence",
    "RecordFailure": "writing the evidence",
}


class Watched:
    """What was seen of the executions that do one thing, and what of it was said."""

    def __init__(self, states: Any, arn: str, *, quiet: bool) -> None:
        self._states, self._first, self._quiet = states, arn, quiet
        self._number, self._died_at = 1, 0.0
        self.newest: dict[str, Any] | None = None
        self.status: Status | None = None

    def look(self) -> None:
        """Look at the newest execution; say when one has died, and when another one goes on."""
        before, last = self._number, self.status
        self._number, self.newest = newest_execution(self._states, self._first, self._number)
        self.status = status_of(self.newest) if self.newest else None
        if self._number > before:
            self.say(f"[yellow]its execution died[/]; it was started again as {self.name}, and does nothing twice")
        if self.status is Status.LOST and (last is not Status.LOST or self._number > before):
            self._died_at = time.monotonic()
            patience = seconds(GOES_ON_WITHIN)
            self.say(f"[yellow]its execution died[/]; waiting up to {patience} for one that goes on with it")

    def over(self, concluded: Callable[[], bool]) -> bool:
        """Return whether nothing goes on any more: it has ended, by its own word or `concluded`, or stays dead."""
        if self.status is not Status.LOST:
            return self.status in (Status.SUCCEEDED, Status.FAILED)
        return concluded() or time.monotonic() - self._died_at > GOES_ON_WITHIN

    @property
    def arn(self) -> str:
        """The newest execution."""
        return attempt(self._first, self._number)

    @property
    def name(self) -> str:
        """Its name."""
        return self.arn.rpartition(":")[2]

    def say(self, text: str) -> None:
        """Tell the operator, unless only JSON is wanted."""
        if not self._quiet:
            err.print(f"[cyan]{dt.datetime.now():%H:%M:%S}[/] {text}")  # noqa: DTZ005 - the operator's own clock


def newest_execution(states: Any, arn: str, number: int = 1) -> tuple[int, dict[str, Any] | None]:
    """Return the newest execution that was started for an ARN, and which in order it is; None while there is none.

    Looks from this number on: only one that was lost is followed by another one.
    """
    found = describe_execution(states, attempt(arn, number))
    for following in count(number + 1):
        if found is None or status_of(found) is not Status.LOST:
            break
        again = describe_execution(states, attempt(arn, following))
        if again is None:
            break
        number, found = following, again
    return number, found


def describe_execution(states: Any, arn: str) -> dict[str, Any] | None:
    """Return the execution; None while it has not started."""
    try:
        found: dict[str, Any] = states.describe_execution(executionArn=arn)
    except ClientError as error:
        if code(error) != "ExecutionDoesNotExist":
            raise
        return None
    return found


def entered(states: Any, arn: str) -> list[str]:
    """Return the phases in the order in which they were entered, each once; none while it has not started."""
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    try:
        history = [event for page in pages for event in page["events"]]
    except ClientError as error:
        if code(error) != "ExecutionDoesNotExist":
            raise
        return []
    names = [event.get("stateEnteredEventDetails", {}).get("name") for event in history]
    return list(dict.fromkeys(name for name in names if name in PHASES))
