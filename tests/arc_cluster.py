"""A cluster of ARC routing controls: five HTTP endpoints with the data plane's UpdateRoutingControlStates, one state.

As the service's model says it (route53-recovery-cluster 2019-12-02): JSON 1.0 with an X-Amz-Target, all entries or
none, signed for the endpoint's own region. `forbidden` is a safety rule that does not let the states change.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2")
UPDATE = "ToggleCustomerAPI.UpdateRoutingControlStates"


class Endpoint(ThreadingHTTPServer):
    """One regional endpoint. `trouble` is None, "closed", "hangs" or an error's name."""

    daemon_threads = True

    def __init__(self, cluster: Cluster, region: str) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.cluster, self.region = cluster, region
        self.trouble: str | None = None
        self.stopped = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        """Listen no more: connections are refused."""
        self.stopped.set()
        self.shutdown()
        self.server_close()


class Request(BaseHTTPRequestHandler):
    """One call."""

    server: Endpoint

    def do_POST(self) -> None:
        """Answer as the data plane does."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        endpoint = self.server
        endpoint.cluster.asked.append(endpoint.region)
        if endpoint.trouble == "hangs":
            endpoint.stopped.wait(30)
            return
        signed = f"/{endpoint.region}/route53-recovery-cluster/aws4_request" in self.headers["Authorization"]
        error = endpoint.trouble or ("" if signed else "AccessDeniedException")
        if self.headers["X-Amz-Target"] != UPDATE:
            error = "UnknownOperationException"
        self._answer(error or endpoint.cluster.update(asked))

    def _answer(self, error: str) -> None:
        body = json.dumps({"__type": error, "message": f"{error} of the fake"} if error else {}).encode()
        status = 200 if not error else 503 if error == "EndpointTemporarilyUnavailableException" else 400
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Stay quiet."""


class Cluster:
    """`states` has each control by ARN; `asked` the regions whose endpoints were called, `calls` what was changed."""

    def __init__(self, *arns: str) -> None:
        self.states = dict.fromkeys(arns, False)
        self.asked: list[str] = []
        self.calls: list[dict[str, Any]] = []
        self.forbidden = False
        self._lock = threading.Lock()
        self.endpoints = [Endpoint(self, region) for region in REGIONS]

    def update(self, asked: dict[str, Any]) -> str:
        """Change all states or none; return the error's name."""
        entries = {
            entry["RoutingControlArn"]: entry["RoutingControlState"] == "On"
            for entry in asked["UpdateRoutingControlStateEntries"]
        }
        with self._lock:
            self.calls.append(asked)
            if not entries.keys() <= self.states.keys():
                return "ResourceNotFoundException"
            if self.forbidden:
                return "ConflictException"
            self.states |= entries
        return ""

    @property
    def parameter(self) -> str:
        """The endpoints as the stack's parameter has them."""
        return ",".join(f"{one.region}={one.url}" for one in self.endpoints)

    def close(self) -> None:
        """End all endpoints."""
        for endpoint in self.endpoints:
            if not endpoint.stopped.is_set():
                endpoint.close()
