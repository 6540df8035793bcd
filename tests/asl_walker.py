"""Walks a state machine's own definition in this process, without waiting; refuses by name what it does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = Any
STEPS = 2000  # more than any execution here needs: a loop without an end is a defect
EXECUTION = {"Comment", "StartAt", "TimeoutSeconds", "States", "ProcessorConfig"}
COMMON = {"Type", "Comment", "Next", "End"}
RESULTS = {"ResultSelector", "ResultPath", "OutputPath", "Retry", "Catch"}
MAPS = {
    "ItemReader",
    "ItemSelector",
    "ItemProcessor",
    "MaxConcurrency",
    "MaxConcurrencyPath",
    "ToleratedFailurePercentage",
}
FIELDS = {
    "Task": RESULTS | {"Resource", "Parameters"},
    "Map": RESULTS | MAPS,
    "Choice": {"Choices", "Default"},
    "Wait": {"Seconds", "SecondsPath"},
    "Pass": {"Result", "ResultPath", "OutputPath"},
    "Succeed": set(),
    "Fail": {"Error", "ErrorPath", "Cause", "CausePath"},
}
RETRIER = {"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy"}
COMPARISONS: dict[str, Callable[[Json, Json], bool]] = {
    "BooleanEquals": lambda seen, wanted: seen is wanted,
    "StringEquals": lambda seen, wanted: isinstance(seen, str) and seen == wanted,
    "NumericLessThan": lambda seen, wanted: seen < wanted,
    "NumericGreaterThan": lambda seen, wanted: seen > wanted,
}


class NotKnown(Exception):
    """The definition uses something that this walker would have to guess."""


class TaskError(Exception):
    """A task failed: what Retry and Catch see."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(error, cause)
        self.error, self.cause = error, cause


@dataclass(frozen=True)
class Ended:
    """How an execution ended, with the data of its last state, and the states that it went through."""

    status: str
    data: Json = None
    error: str = ""
    cause: str = ""
    path: tuple[str, ...] = ()

    @property
    def last(self) -> str:
        """The state in which it ended."""
        return self.path[-1]


@dataclass
class Services:
    """What a state machine reaches: functions by ARN, objects by bucket and key, and time that passes.

    `before` is told of every try of a state: its name, and how often it was tried already.
    """

    invoke: Callable[[str, Json], Json]
    read: Callable[[str, str], bytes]
    pass_time: Callable[[float], None] = lambda _: None
    before: Callable[[str, int], None] = lambda _state, _attempt: None


@dataclass
class Walker:
    """One execution."""

    definition: Json
    services: Services
    context: Json = field(default_factory=dict)
    visited: list[str] = field(default_factory=list)

    def run(self, payload: Json) -> Ended:
        """Walk from StartAt to the end."""
        _refuse("the state machine", self.definition, EXECUTION)
        name, data = self.definition["StartAt"], payload
        while True:
            self.visited.append(name)
            if len(self.visited) > STEPS:
                raise NotKnown(f"{name} is still walked after {STEPS} states")
            state = self.definition["States"][name]
            _refuse(name, state, COMMON | FIELDS.get(state["Type"], set()))
            if state["Type"] == "Succeed":
                return self._ended("SUCCEEDED", data)
            if state["Type"] == "Fail":
                return self._ended("FAILED", data, _said(state, "Error", data), _said(state, "Cause", data))
            try:
                data, name = self._enter(name, state, data)
            except TaskError as failed:
                return self._ended("FAILED", data, failed.error, failed.cause)
            if not name:
                return self._ended("SUCCEEDED", data)

    def _ended(self, status: str, data: Json, error: str = "", cause: str = "") -> Ended:
        return Ended(status, data, error, cause, tuple(self.visited))

    def _enter(self, name: str, state: Json, data: Json) -> tuple[Json, str]:
        after = "" if state.get("End") else state.get("Next", "")
        match state["Type"]:
            case "Choice":
                return data, self._choose(name, state, data)
            case "Wait":
                self.services.pass_time(
                    _get(state["SecondsPath"], data) if "SecondsPath" in state else state["Seconds"]
                )
                return data, after
            case "Pass":
                return self._placed(state, data, state.get("Result", data)), after
            case "Task":
                return self._attempt(name, state, data, lambda: self._task(name, state, data), after)
            case "Map":
                return self._attempt(name, state, data, lambda: self._map(name, state, data), after)
        raise NotKnown(f"{name}: type {state['Type']}")

    def _attempt(self, name: str, state: Json, data: Json, act: Callable[[], Json], after: str) -> tuple[Json, str]:
        tries = [0] * len(state.get("Retry", []))
        while True:
            self.services.before(name, sum(tries))
            try:
                return self._placed(state, data, act()), after
            except TaskError as failed:
                if self._retry(state.get("Retry", []), tries, failed.error):
                    continue
                for catcher in state.get("Catch", []):
                    if _matches(catcher["ErrorEquals"], failed.error):
                        told = {"Error": failed.error, "Cause": failed.cause}
                        return _put(catcher.get("ResultPath", "$"), data, told), catcher["Next"]
                raise

    def _retry(self, retriers: list[Json], tries: list[int], error: str) -> bool:
        for index, retrier in enumerate(retriers):
            _refuse("Retry", retrier, RETRIER)
            if _matches(retrier["ErrorEquals"], error):
                tries[index] += 1
                if tries[index] > retrier.get("MaxAttempts", 3):
                    return False
                self.services.pass_time(retrier.get("IntervalSeconds", 1))
                return True
        return False

    def _task(self, name: str, state: Json, data: Json) -> Json:
        if state["Resource"] != "arn:aws:states:::lambda:invoke":
            raise NotKnown(f"{name}: resource {state['Resource']}")
        given = self._filled(state["Parameters"], data)
        _refuse(name, given, {"FunctionName", "Payload"})
        payload = json.loads(json.dumps(given["Payload"]))
        return {"StatusCode": 200, "Payload": self.services.invoke(given["FunctionName"], payload)}

    def _map(self, name: str, state: Json, data: Json) -> Json:
        results = []
        for index, item in enumerate(self._items(name, state["ItemReader"], data)):
            context = {"Map": {"Item": {"Index": index, "Value": item}}}
            child = Walker(state["ItemProcessor"], self.services, context)
            ended = child.run(self._filled(state["ItemSelector"], data, context))
            if ended.status != "SUCCEEDED" and state.get("ToleratedFailurePercentage") == 100:
                continue
            if ended.status != "SUCCEEDED":
                raise TaskError(
                    "States.ExceedToleratedFailureThreshold", "The specified tolerated failure was exceeded"
                )
            results.append(ended.data)
        return results

    def _items(self, name: str, reader: Json, data: Json) -> list[Json]:
        if reader["Resource"] != "arn:aws:states:::s3:getObject" or reader["ReaderConfig"] != {"InputType": "JSON"}:
            raise NotKnown(f"{name}: ItemReader {reader}")
        where = self._filled(reader["Parameters"], data)
        found = json.loads(self.services.read(where["Bucket"], where["Key"]))
        if not isinstance(found, list):
            raise TaskError("States.ItemReaderFailed", f"{where} holds no JSON array")
        return found

    def _choose(self, name: str, state: Json, data: Json) -> str:
        for rule in state["Choices"]:
            operator = next(iter(set(rule) - {"Variable", "Next"}))
            if operator == "IsPresent":
                if _is_present(rule["Variable"], data) is rule[operator]:
                    return str(rule["Next"])
                continue
            wanted = _get(rule[operator], data) if operator.endswith("Path") else rule[operator]
            compare = COMPARISONS.get(operator.removesuffix("Path"))
            if compare is None or set(rule) != {"Variable", "Next", operator}:
                raise NotKnown(f"{name}: {rule}")
            if compare(_get(rule["Variable"], data), wanted):
                return str(rule["Next"])
        if "Default" not in state:
            raise TaskError("States.NoChoiceMatched", name)
        return str(state["Default"])

    def _placed(self, state: Json, data: Json, result: Json) -> Json:
        selected = self._filled(state["ResultSelector"], result) if "ResultSelector" in state else result
        return _get(state.get("OutputPath", "$"), _put(state.get("ResultPath", "$"), data, selected))

    def _filled(self, template: Json, data: Json, context: Json | None = None) -> Json:
        if isinstance(template, list):
            return [self._filled(item, data, context) for item in template]
        if not isinstance(template, dict):
            return template
        seen = {**self.context, **(context or {})}
        return {
            name.removesuffix(".$"): (
                _get(value, data, seen) if name.endswith(".$") else self._filled(value, data, context)
            )
            for name, value in template.items()
        }


def _get(path: str, data: Json, context: Json | None = None) -> Json:
    start, *names = path.split(".")
    if start not in ("$", "$$") or any(not name.isidentifier() for name in names):
        raise NotKnown(f"path {path}")
    found = data if start == "$" else context
    for name in names:
        if not isinstance(found, dict) or name not in found:
            raise TaskError("States.ParameterPathFailure", f"{path} is not in the input")
        found = found[name]
    return found


def _is_present(path: str, data: Json) -> bool:
    try:
        _get(path, data)
    except TaskError:
        return False
    return True


def _put(path: str | None, data: Json, result: Json) -> Json:
    if path is None:
        return data
    if path == "$":
        return result
    start, *names = path.split(".")
    if start != "$" or len(names) != 1:
        raise NotKnown(f"ResultPath {path}")
    return {**data, names[0]: result}


def _matches(names: list[str], error: str) -> bool:
    if "States.ALL" in names or error in names:
        return True
    return "States.TaskFailed" in names and error != "States.Timeout"


def _said(state: Json, name: str, data: Json) -> str:
    return str(_get(state[f"{name}Path"], data) if f"{name}Path" in state else state.get(name, ""))


def _refuse(where: str, given: Json, known: set[str]) -> None:
    strange = sorted(set(given) - known)
    if strange:
        raise NotKnown(f"{where}: {', '.join(strange)}")
