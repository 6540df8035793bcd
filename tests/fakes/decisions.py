"""What was decided and asked, in memory."""

from __future__ import annotations

import threading

from mldr.domain.approvals import Approval
from mldr.domain.health import Decided
from mldr.domain.identity import ModelKey
from mldr.errors import LostRace


class FakeDecisions:
    """`lines` has every line by model and beginning."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.lines: dict[str, dict[str, Decided]] = {}
        self._approvals: dict[str, Approval] = {}

    def log(self, model: ModelKey, decided: Decided) -> None:
        with self._lock:
            self.lines.setdefault(str(model), {})[decided.at.isoformat()] = decided

    def newest(self, model: ModelKey, limit: int) -> list[Decided]:
        found = sorted(self.lines.get(str(model), {}).values(), key=lambda line: line.at, reverse=True)
        return found[:limit]

    def approval(self, model: ModelKey) -> Approval | None:
        return self._approvals.get(str(model))

    def ask(self, model: ModelKey, approval: Approval) -> None:
        with self._lock:
            self._approvals[str(model)] = approval

    def settle(self, model: ModelKey, approval: Approval) -> None:
        with self._lock:
            held = self._approvals.get(str(model))
            if held is None or held.digest != approval.digest or not held.open:
                raise LostRace(f"{model}: the question is settled already, or another one was asked")
            self._approvals[str(model)] = approval
