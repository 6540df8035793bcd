"""The local cloud's own HTTP doors, from outside."""

from __future__ import annotations

import http.client
import json
import os
from typing import Any
from urllib.parse import urlsplit

from cli.outcomes import bad_input, unreachable

DEFAULT = "http://127.0.0.1:4566"
PREFIX = "/_local"


class LocalApi:
    """Speaks to a running `mldr local up`."""

    def __init__(self, url: str | None = None) -> None:
        self.url = url or os.environ.get("AWS_ENDPOINT_URL") or DEFAULT

    def get(self, door: str) -> Any:
        """Read a door."""
        return self._ask("GET", door)

    def post(self, door: str) -> Any:
        """Push a door."""
        return self._ask("POST", door)

    def _ask(self, method: str, door: str) -> Any:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=30)
        try:
            connection.request(method, f"{PREFIX}/{door}")
            response = connection.getresponse()
            status, body = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._absent(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        return self._answer(status, body)

    def _answer(self, status: int, body: bytes) -> Any:
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise self._absent(f"it answered {status} without JSON") from error
        if status == 404:
            raise bad_input(str(answer.get("error", "no such door")), "see `mldr local --help`")
        if status != 200:
            raise self._absent(f"it answered {status}")
        return answer

    def _absent(self, why: str) -> Exception:
        advice = "start it with `mldr local up`, or set AWS_ENDPOINT_URL to where it listens"
        return unreachable(f"no local cloud answers at {self.url}: {why}", advice)
