"""State machine executions in memory: started, never run by themselves."""

from __future__ import annotations

from typing import Any


class FakeWorkflows:
    """`started` has every execution by name, `active` the names that still run."""

    def __init__(self) -> None:
        self.started: dict[str, dict[str, Any]] = {}
        self.active: set[str] = set()

    def start(self, name: str, payload: dict[str, Any]) -> None:
        if name not in self.started:
            self.started[name] = payload
            self.active.add(name)

    def running(self, name: str) -> bool:
        return name in self.active
