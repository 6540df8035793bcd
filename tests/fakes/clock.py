"""A clock that a test moves."""

from __future__ import annotations

import datetime as dt


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self, now: dt.datetime) -> None:
        self._now = now

    def now(self) -> dt.datetime:
        return self._now

    def move(self, **by: float) -> None:
        """Go on by so many hours, minutes or seconds."""
        self._now += dt.timedelta(**by)
