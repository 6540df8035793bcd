"""The client's process as the demo sees it: started, read while it runs, stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from mldr.domain.identity import Frozen, ModelKey


class Request(Frozen):
    """One request of the client."""

    model: str
    at: float  # seconds since 1970, when it was sent
    seconds: float
    ok: bool
    equal: bool = False
    region: str | None = None
    error: str = ""

    @property
    def good(self) -> bool:
        """Answered, and with the answer that the model gave before anything failed."""
        return self.ok and self.equal

    @property
    def ended(self) -> float:
        """When its outcome was known."""
        return self.at + self.seconds


class Traffic:
    """The running client and everything that it has recorded so far."""

    def __init__(self, spec: dict[str, Any], record: Path) -> None:
        self._path, self._offset, self._rest = record, 0, ""
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        record.unlink(missing_ok=True)
        with record.with_suffix(".log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli.demo.client"], stdin=subprocess.PIPE, stderr=log, env=dict(os.environ),
                start_new_session=True,
            )  # fmt: skip
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps({**spec, "record": str(record)}).encode() + b"\n")
            self._process.stdin.flush()

    @property
    def alive(self) -> bool:
        """Is the client still asking?"""
        return self._process.poll() is None

    def requests(self) -> list[Request]:
        """Return all requests whose outcome is known, in the order in which they were sent."""
        with self._lock:
            if self._path.exists():
                with self._path.open(encoding="utf-8") as lines:
                    lines.seek(self._offset)
                    text = self._rest + lines.read()
                    self._offset = lines.tell()
                *whole, self._rest = text.split("\n")
                self._requests += [Request.model_validate_json(line) for line in whole]
                self._requests.sort(key=lambda request: request.at)
            return list(self._requests)

    def stop(self) -> None:
        """End the client; requests under way are awaited."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def of_model(requests: list[Request], model: ModelKey) -> list[Request]:
    """Return those that asked one model."""
    return [request for request in requests if request.model == model.name]


def good_in_a_row(requests: list[Request], *regions: str) -> int:
    """Return how many of the newest requests were answered rightly, one after the other, by one of these regions."""
    count = 0
    for request in reversed(requests):
        if not request.good or request.region not in regions:
            break
        count += 1
    return count
