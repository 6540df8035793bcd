"""The local cloud's own HTTP doors under /_local: what `mldr local calls|fail|heal|outputs|status` talks to."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from urllib.parse import parse_qs

from localcloud.calls import CallLog, as_json
from localcloud.clock import Clock
from localcloud.outage import Outage
from localcloud.permissions import Permissions

PREFIX = "/_local/"
AWS_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


class Observed(Protocol):
    """What the doors show and move."""

    calls: CallLog
    outage: Outage
    clock: Clock
    permissions: Permissions

    def outputs(self) -> dict[str, dict[str, str]]:
        """The stacks' outputs by region."""

    def status(self) -> dict[str, Any]:
        """What stands and what is failed."""

    def health_checks(self) -> dict[str, bool]:
        """Every Route 53 health check's verdict."""


class BadRequest(Exception):
    """The caller asked for something that is not there."""


class Admin:
    """A WSGI application; answers JSON."""

    def __init__(self, cloud: Observed) -> None:
        self._cloud = cloud

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        door, _, argument = str(environ["PATH_INFO"]).removeprefix(PREFIX).partition("/")
        query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        try:
            status, answer = "200 OK", self._answer(str(environ["REQUEST_METHOD"]), door, argument, query)
        except BadRequest as mistake:
            status, answer = "404 Not Found", {"error": str(mistake)}
        body = json.dumps(answer).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, method: str, door: str, argument: str, query: dict[str, str]) -> Any:
        cloud = self._cloud
        shown: dict[str, Callable[[], Any]] = {
            "calls": lambda: [as_json(call) for call in cloud.calls.since(_number(query.get("since", "0")))],
            "health-checks": cloud.health_checks,
            "outputs": cloud.outputs,
            "permissions": cloud.permissions.report,
            "status": cloud.status,
        }
        if method == "GET" and door in shown:
            return shown[door]()
        if method == "POST" and door in ("fail", "heal"):
            return self._switch(door, argument)
        if method == "POST" and door == "clock":
            cloud.clock.advance(_number(argument.removeprefix("advance/")))
            return {"now": cloud.clock.now()}
        raise BadRequest(f"{method} {PREFIX}{door}: no such door")

    def _switch(self, door: str, region: str) -> dict[str, Any]:
        if not AWS_REGION.fullmatch(region):
            raise BadRequest(f"{region!r} is not the name of a region")
        if door == "fail":
            self._cloud.outage.fail(region)
        else:
            self._cloud.outage.heal(region)
        return {"region": region, "failed": self._cloud.outage.failed(region)}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadRequest(f"{text!r} is not a number") from None
