"""The local cloud's clock: real time, which tests and operators can push forward."""

import threading
import time
from collections.abc import Callable


class Clock:
    """Seconds since the epoch; only ever moves forward."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        """The time that schedules, visibility timeouts and event ages go by."""
        return time.time() + self._offset

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call back right before and right after every push."""
        self._listeners.append(callback)

    def advance(self, seconds: float) -> None:
        """Push the clock forward."""
        if seconds < 0:
            raise ValueError("the clock only moves forward")
        self._tell()
        with self._lock:
            self._offset += seconds
        self._tell()

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()
