"""Runs a definition of statemachines/ over a fake world: the shared walker, with the doors called directly."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.asl_walker import Ended, Services, TaskError, Walker
from tests.fakes.world import FakeWorld

DEFINITIONS = Path(__file__).parents[2] / "statemachines"


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
        definition = json.loads((DEFINITIONS / f"{self.name}.asl.json").read_text())
        services = Services(self._invoke, self._read, self._pass_time, self.before)
        return Walker(definition, services).run(json.loads(json.dumps(payload)))

    def _invoke(self, arn: str, payload: Any) -> Any:
        door = _folder(arn)
        self.calls.append(door)
        try:
            return json.loads(
                json.dumps(importlib.import_module(f"functions.{door}.app").handler(payload, self.context))
            )
        except Exception as error:
            cause = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
            raise TaskError(type(error).__name__, json.dumps(cause)) from error

    def _read(self, bucket: str, key: str) -> bytes:
        return self.world.vault.read(key) or b""

    def _pass_time(self, seconds: float) -> None:
        self.world.clock.move(seconds=seconds)


def _folder(arn: str) -> str:
    """`${TakeInventoryFunctionArn}` is deployed from functions/take_inventory."""
    name = arn.removeprefix("${").removesuffix("FunctionArn}")
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
