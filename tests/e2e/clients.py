"""Clients of a model, who ask all through a story and keep what they saw."""

import threading
import time
from typing import NamedTuple

from tests.e2e.cloud import LocalCloud
from tests.e2e.owner import QUESTIONS, question


class Seen(NamedTuple):
    """One request: when it was sent, its status, the answer, and the region that gave it."""

    at: float
    status: int
    said: object
    region: str | None


class Clients:
    """Ask for predictions by the model's name, again and again, without remembering DNS."""

    def __init__(self, cloud: LocalCloud, model: str) -> None:
        self.seen: list[Seen] = []
        self._cloud, self._model, self._stop = cloud, model, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Clients":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            at, asked = time.time(), question(QUESTIONS[len(self.seen) % len(QUESTIONS)])
            self.seen.append(Seen(at, *self._cloud.ask(self._model, asked)))
            time.sleep(0.05)

    def since(self, at: float) -> list[Seen]:
        """What was asked from then on."""
        return [one for one in self.seen if one.at >= at]

    def newest(self, count: int = 20) -> set[str | None]:
        """Who gave the last answers, None for what failed."""
        return {one.region if one.status == 200 else None for one in self.seen[-count:]}
