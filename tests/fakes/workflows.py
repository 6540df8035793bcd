"""State machine executions in memory: started, never run by themselves."""

from __future__ import annotations

from typing import Any

from mldr.ports.stack import Status


class FakeWorkflows:
    """`started` has every execution by name, `active` the names that still run, `ended` how others did."""

    def __init__(self) -> None:
        self.started: dict[str, dict[str, Any]] = {}
        self.active: set[str] = set()
        self.ended: dict[str, Status] = {}

    def start(self, name: str, payload: dict[str, Any]) -> None:
        if name not in self.started:
            self.started[name] = payload
            self.active.add(name)

    def status(self, name: str) -> Status | None:
        if name not in self.started:
            return None
        return Status.RUNNING if name in self.active else self.ended.get(name, Status.SUCCEEDED)

    def given(self, name: str) -> dict[str, Any] | None:
        return self.started.get(name)
