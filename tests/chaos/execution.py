"""One execution of *failover*, walked state by state as time passes: the shared walker's rules, one step at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.asl_walker import Services, TaskError, Walker, _get, _matches, _put
from tests.functional.state_machine import _folder

DEFINITION = json.loads((Path(__file__).parents[2] / "statemachines" / "failover.asl.json").read_text())
COARSE = 10  # hundreds of looks two seconds apart are walked as a tenth of them, ten times as far apart
AT_ONCE = 0.0


class Execution:
    """`step` does one state, or one try of a task, and returns after how many seconds the next is due; None at the end.

    `invoke` calls a door by its folder's name, and raises TaskError for what Step Functions would see.
    """

    def __init__(
        self, name: str, payload: dict[str, Any], invoke: Callable[[str, Any], Any], definition: Any = None
    ) -> None:
        self._states = (definition or DEFINITION)["States"]
        self.name, self.state, self.data = name, (definition or DEFINITION)["StartAt"], payload
        self.status, self.reason = "RUNNING", ""
        self.told = True  # it ended in a state that ends it, and not by an error that nothing caught
        self._invoke = invoke
        self._walker = Walker(definition or DEFINITION, Services(self._call, lambda _bucket, _key: b"", self._wait))
        self._tries: list[int] = []
        self._waited = AT_ONCE

    def step(self) -> float | None:
        """Do what comes next."""
        state = self._states[self.state]
        self._waited = AT_ONCE
        if state["Type"] == "Task":
            return self._attempt(state)
        if state["Type"] == "Succeed":
            return self._end("SUCCEEDED", "")
        if state["Type"] == "Fail":
            return self._end("FAILED", str(_get(state["CausePath"], self.data) if "CausePath" in state else ""))
        self.data, after = self._walker._enter(self.state, state, self.data)
        return self._go(after)

    def lose(self) -> None:
        """Nothing of it is heard any more."""
        self.status = "LOST"

    def _call(self, arn: str, payload: Any) -> Any:
        return self._invoke(_folder(arn), payload)

    def _wait(self, seconds: float) -> None:
        self._waited = seconds

    def _go(self, after: str) -> float | None:
        self._tries = []
        if not after:
            return self._end("SUCCEEDED", "")
        self.state = after
        return self._waited

    def _end(self, status: str, reason: str) -> None:
        self.status, self.reason = status, reason

    def _attempt(self, state: dict[str, Any]) -> float | None:
        try:
            result = self._walker._task(self.state, state, self.data)
            data = self._walker._placed(state, self.data, result)
        except TaskError as failed:
            return self._failed(state, failed)
        if self.status != "RUNNING":
            return None  # it was lost while the function worked
        self.data = data
        return self._go("" if state.get("End") else state["Next"])

    def _failed(self, state: dict[str, Any], failed: TaskError) -> float | None:
        retriers = state.get("Retry", [])
        self._tries = self._tries or [0] * len(retriers)
        for index, retrier in enumerate(retriers):
            if not _matches(retrier["ErrorEquals"], failed.error):
                continue
            coarse = COARSE if retrier["MaxAttempts"] > 50 else 1
            if self._tries[index] >= retrier["MaxAttempts"] // coarse:
                break
            self._tries[index] += 1
            grown = retrier.get("BackoffRate", 2.0) ** (self._tries[index] - 1)
            most = retrier.get("MaxDelaySeconds", 1e9)
            return min(retrier.get("IntervalSeconds", 1) * coarse * grown, most)
        return self._caught(state, failed)

    def _caught(self, state: dict[str, Any], failed: TaskError) -> float | None:
        for catcher in state.get("Catch", []):
            if _matches(catcher["ErrorEquals"], failed.error):
                told = {"Error": failed.error, "Cause": failed.cause}
                self.data = _put(catcher.get("ResultPath", "$"), self.data, told)
                return self._go(catcher["Next"])
        self.told = False
        return self._end("FAILED", failed.error)
