"""What keeps endpoints from standing, and reminders to look again, in memory."""

from __future__ import annotations

import datetime as dt

from mldr.domain.identity import ModelKey
from mldr.domain.setbacks import Setback


class FakeSetbacks:
    """One row per model."""

    def __init__(self) -> None:
        self._rows: dict[str, Setback] = {}

    def of(self, model: ModelKey) -> Setback | None:
        return self._rows.get(str(model))

    def put(self, model: ModelKey, setback: Setback | None) -> None:
        self._rows.pop(str(model), None)
        if setback:
            self._rows[str(model)] = setback


class FakeReminders:
    """`sent` has (model, tries, pause) in order."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, dt.timedelta]] = []

    def remind(self, model: ModelKey, tries: int, pause: dt.timedelta) -> None:
        self.sent.append((str(model), tries, pause))
