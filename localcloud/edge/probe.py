"""One look of one health checker at one endpoint, and what it makes of the answer."""

import http.client
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

SEARCHED_BYTES = 5120
AGENT = "Amazon-Route53-Health-Check-Service (local)"


@dataclass(frozen=True)
class Timeouts:
    """How long an endpoint may take, in seconds."""

    connect: float = 4.0
    status: float = 2.0
    body: float = 2.0
    tcp: float = 10.0


@dataclass(frozen=True)
class Target:
    """What to ask: the address and port to connect to, and what makes the answer good."""

    type: str
    address: str
    port: int
    host: str
    path: str = "/"
    search: str | None = None


@dataclass(frozen=True)
class Result:
    """What one checker saw once; the report is worded as Route 53 words it."""

    healthy: bool
    report: str


Probe = Callable[[Target], Result]


def probe(target: Target, timeouts: Timeouts | None = None) -> Result:
    """Connect, ask and judge, as the type of the check demands."""
    limits = timeouts or Timeouts()
    limit = limits.tcp if target.type == "TCP" else limits.connect
    try:
        with socket.create_connection((target.address, target.port), limit) as sock:
            if target.type == "TCP":
                return Result(True, f"Success: TCP connection to {target.address} established.")
            return _ask(sock, target, limits)
    except (OSError, ValueError, http.client.HTTPException) as fault:
        reason = str(fault) or type(fault).__name__
        return Result(False, f"Failure: Resolved IP: {target.address}. {reason}.")


def _ask(sock: socket.socket, target: Target, limits: Timeouts) -> Result:
    connection = http.client.HTTPConnection(target.address, target.port)
    connection.sock = sock
    sock.settimeout(limits.status)
    connection.request("GET", target.path, headers={"Host": target.host, "User-Agent": AGENT, "Connection": "close"})
    response = connection.getresponse()
    seen = f"HTTP Status Code: {response.status}. Resolved IP: {target.address}."
    if not 200 <= response.status < 400:
        return Result(False, f"Failure: {seen} {response.reason}")
    if target.search is not None and target.search not in _body(sock, response, limits.body):
        return Result(False, f"Failure: {seen} The response body did not contain the search string.")
    return Result(True, f"Success: {seen} {response.reason}")


def _body(sock: socket.socket, response: http.client.HTTPResponse, limit: float) -> str:
    deadline = time.monotonic() + limit
    body = b""
    while len(body) < SEARCHED_BYTES and (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        chunk = response.read1(SEARCHED_BYTES - len(body))
        if not chunk:
            break
        body += chunk
    return body.decode(errors="replace")
