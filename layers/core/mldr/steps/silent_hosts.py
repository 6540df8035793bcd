"""Who keeps a look waiting to its end: once several looks of a round did, the others are not made to wait as well."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable

from mldr.domain.health import Observation, Sight
from mldr.ports.stack import Clock

SLOW = dt.timedelta(seconds=3)  # a gateway that lives answers sooner, if only with an error
ENOUGH = 3


class SilentHosts:
    """Of one round. When a region is gone none of its gateways answers, and a thousand looks of four seconds each,
    however many at once, would outlast the function that decides.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._waited: dict[str, int] = {}  # looks in a row that waited for nothing, by who was asked
        self._last: dict[str, Observation] = {}

    def look(self, asked: str, ask: Callable[[], Observation]) -> Observation:
        """Return what is seen, or what the looks before saw who all waited for nothing."""
        with self._lock:
            last = self._last.get(asked)
            if last and self._waited.get(asked, 0) >= ENOUGH:
                said = f"{last.detail}; {ENOUGH} looks of this round waited for {asked} in vain, this one does not"
                return last.model_copy(update={"detail": said})
        began = self._clock.now()
        seen = ask()
        waited = seen.sight is not Sight.HEALTHY and self._clock.now() - began >= SLOW
        with self._lock:
            self._waited[asked] = self._waited.get(asked, 0) + 1 if waited else 0
            self._last[asked] = seen
        return seen
