"""Which regions are failed, and which requests a failed region takes down with it."""

import threading
from collections.abc import Callable, Iterable

GLOBAL_CONTROL_PLANES = "us-east-1"
Listener = Callable[[str, bool], None]


class Outage:
    """The set of failed regions; thread safe; tells its subscribers about every change."""

    def __init__(self) -> None:
        self._failed: set[str] = set()
        self._listeners: list[Listener] = []
        self._lock = threading.RLock()

    def fail(self, region: str) -> None:
        """Take the region down; nothing happens when it is down already."""
        self._set(region, failed=True)

    def heal(self, region: str) -> None:
        """Bring the region back with the state that it had."""
        self._set(region, failed=False)

    def failed(self, region: str) -> bool:
        """Is the region down now?"""
        with self._lock:
            return region in self._failed

    def regions(self) -> frozenset[str]:
        """Every region that is down now."""
        with self._lock:
            return frozenset(self._failed)

    def subscribe(self, callback: Listener) -> None:
        """Call back with (region, failed) after each change, in the order of the changes."""
        with self._lock:
            self._listeners.append(callback)

    def down_among(self, regions: Iterable[str]) -> str | None:
        """The first of these regions that is down."""
        failed = self.regions()
        return next((region for region in regions if region in failed), None)

    def _set(self, region: str, *, failed: bool) -> None:
        with self._lock:
            if (region in self._failed) is failed:
                return
            self._failed.symmetric_difference_update({region})
            for listener in list(self._listeners):
                listener(region, failed)
