"""Runs a definition of statemachines/ in this process: states, retries and catches, with the doors called directly."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.world import FakeWorld

DEFINITIONS = Path(__file__).parents[2] / "statemachines"
MAP_FAILED = "States.ExceedToleratedFailureThreshold"


class Failed(Exception):
    """A state failed with an error that Catch may name."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(error, cause)
        self.error, self.cause = error, cause


@dataclass
class Ended:
    """How an execution ended, and the states that it went through."""

    status: str
    data: Any
    path: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def last(self) -> str:
        """The state in which it ended."""
        return self.path[-1]


@dataclass
class Machine:
    """One definition. `before` is called with (state, attempt) before every try of a task; `calls` names the doors."""

    name: str
    world: FakeWorld
    context: Any
    before: Callable[[str, int], None] = lambda state, attempt: None
    calls: list[str] = field(default_factory=list)

    def run(self, payload: dict[str, Any]) -> Ended:
        """Run from the start to an end."""
        return self._run(json.loads((DEFINITIONS / f"{self.name}.asl.json").read_text()), payload)

    def _run(self, definition: dict[str, Any], data: Any) -> Ended:
        ended = Ended(status="RUNNING", data=json.loads(json.dumps(data)))
        name: str | None = definition["StartAt"]
        while name:
            ended.path.append(name)
            name = self._step(name, definition["States"][name], ended)
        ended.status = "FAILED" if ended.status == "FAILED" else "SUCCEEDED"
        return ended

    def _step(self, name: str, state: dict[str, Any], ended: Ended) -> str | None:
        match state["Type"]:
            case "Succeed":
                return None
            case "Fail":
                ended.status, ended.error = "FAILED", state["Error"]
                return None
            case "Choice":
                return _choose(state, ended.data)
            case "Wait":
                self.world.clock.move(seconds=_at(ended.data, state["SecondsPath"]))
                return str(state["Next"])
        try:
            result = self._retried(name, state, ended.data)
        except Failed as failure:
            return self._caught(state, failure, ended)
        ended.data = _placed(ended.data, state.get("ResultPath", "$"), result)
        ended.data = _at(ended.data, state.get("OutputPath", "$"))
        return state.get("Next")

    def _retried(self, name: str, state: dict[str, Any], data: Any) -> Any:
        attempt = 0
        while True:
            self.before(name, attempt)
            try:
                return self._map(state, data) if state["Type"] == "Map" else self._task(state, data)
            except Failed as failure:
                rules = [rule for rule in state.get("Retry", []) if failure.error in rule["ErrorEquals"]]
                if not rules or attempt >= rules[0]["MaxAttempts"]:
                    raise
                attempt += 1

    def _task(self, state: dict[str, Any], data: Any) -> Any:
        given = _filled(state["Parameters"], data)
        door = _folder(given["FunctionName"])
        self.calls.append(door)
        app = importlib.import_module(f"functions.{door}.app")
        try:
            answer = app.handler(given["Payload"], self.context)
        except Exception as error:
            cause = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
            raise Failed(type(error).__name__, json.dumps(cause)) from error
        result = {"Payload": json.loads(json.dumps(answer))}
        return _filled(state["ResultSelector"], result) if "ResultSelector" in state else result

    def _map(self, state: dict[str, Any], data: Any) -> list[Any]:
        place = _filled(state["ItemReader"]["Parameters"], data)
        items = json.loads(self.world.vault.read(place["Key"]) or b"")
        results = []
        for item in items:
            given = _filled(state["ItemSelector"], data, item)
            results.append(self._one(state["ItemProcessor"], given))
        if any(one.error for one in results):
            raise Failed(MAP_FAILED, "The specified tolerated failure threshold was exceeded")
        return [one.data for one in results]

    def _one(self, processor: dict[str, Any], given: Any) -> Ended:
        try:
            return self._run(processor, given)
        except Failed as failure:
            return Ended(status="FAILED", data=None, error=failure.error)

    def _caught(self, state: dict[str, Any], failure: Failed, ended: Ended) -> str:
        for rule in state.get("Catch", []):
            if failure.error in rule["ErrorEquals"] or "States.ALL" in rule["ErrorEquals"]:
                output = {"Error": failure.error, "Cause": failure.cause}
                ended.data = _placed(ended.data, rule.get("ResultPath", "$"), output)
                return str(rule["Next"])
        raise failure


def _folder(arn: str) -> str:
    """`${TakeInventoryFunctionArn}` is deployed from functions/take_inventory."""
    name = arn.removeprefix("${").removesuffix("FunctionArn}")
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _at(data: Any, path: str) -> Any:
    for name in path.split(".")[1:]:
        data = data[name]
    return data


def _filled(template: Any, data: Any, item: Any = None) -> Any:
    if not isinstance(template, dict):
        return template
    filled = {}
    for name, value in template.items():
        if not name.endswith(".$"):
            filled[name] = _filled(value, data, item)
        elif value.startswith("$$.Map.Item.Value"):
            filled[name[:-2]] = _at(item, value.removeprefix("$$.Map.Item.Value").join(["$", ""]))
        else:
            filled[name[:-2]] = _at(data, value)
    return filled


def _placed(data: Any, path: str | None, result: Any) -> Any:
    if path is None:
        return data
    return result if path == "$" else {**data, path.removeprefix("$."): result}


def _choose(state: dict[str, Any], data: Any) -> str:
    for rule in state["Choices"]:
        value = _at(data, rule["Variable"])
        wanted = {
            "BooleanEquals": lambda rule=rule, value=value: value is rule["BooleanEquals"],
            "StringEquals": lambda rule=rule, value=value: value == rule["StringEquals"],
            "NumericLessThanPath": lambda rule=rule, value=value: value < _at(data, rule["NumericLessThanPath"]),
        }
        if all(test() for name, test in wanted.items() if name in rule):
            return str(rule["Next"])
    return str(state["Default"])
