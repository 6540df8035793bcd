"""The HTTP front of each region: API Gateway's HTTP APIs on the region's own loopback address.

A failed region refuses connections: its listening socket is closed and open connections are cut; a healed one
listens again. Errors are those of an HTTP API: 403 for a host that is no API of this region, 404 for a request
without a route (also for a method that no route has), 413 above 10 MB, 500 when the function fails or answers
nonsense, 503 when it takes longer than 30 seconds. TLS is left out: clients speak plain HTTP to the same names.
"""

import contextlib
import json
import logging
import queue
import socket
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from moto.core.exceptions import JsonRESTError, ServiceException

from localcloud.edge import proxy_event
from localcloud.edge.addresses import front_addresses
from localcloud.edge.http_apis import Api, HttpApis, Route
from localcloud.edge.proxy_event import INTERNAL_ERROR, Request, Response, message
from localcloud.outage import Outage

log = logging.getLogger(__name__)
LARGEST_BODY = 10 * 1024 * 1024
INTEGRATION_SECONDS = 30.0


class Answered(Protocol):
    """What came of an invocation."""

    @property
    def payload(self) -> bytes:
        """The function's answer or the description of its error."""

    @property
    def error(self) -> bool:
        """Did the function fail?"""


class Functions(Protocol):
    """Runs the functions behind the routes."""

    def invoke(self, region: str, function: str, payload: bytes) -> Answered:
        """Run the function on one event."""


class HttpFront:
    """One listener per region that is up."""

    def __init__(
        self,
        regions: Sequence[str],
        apis: HttpApis,
        functions: Functions,
        outage: Outage,
        port: int = 8080,
        integration_seconds: float = INTEGRATION_SECONDS,
    ) -> None:
        self._addresses = front_addresses(regions)
        self._gateway = Gateway(apis, functions, integration_seconds)
        self._outage, self._port = outage, port
        self._listeners: dict[str, _Listener] = {}
        self._lock = threading.Lock()
        self._serving = False
        outage.subscribe(self._changed)

    @property
    def addresses(self) -> dict[str, str]:
        """The loopback address of every region, up or not."""
        return dict(self._addresses)

    def start(self) -> None:
        """Listen in every region that has not failed."""
        self._serving = True
        for region in self._addresses:
            if not self._outage.failed(region):
                self._open(region)

    def stop(self) -> None:
        """Stop listening and drop what is connected."""
        self._serving = False
        for region in self._addresses:
            self._close(region)

    def _changed(self, region: str, failed: bool) -> None:
        if self._serving and region in self._addresses:
            (self._close if failed else self._open)(region)

    def _open(self, region: str) -> None:
        with self._lock:
            if region not in self._listeners:
                self._listeners[region] = _Listener((self._addresses[region], self._port), region, self._gateway)

    def _close(self, region: str) -> None:
        with self._lock:
            listener = self._listeners.pop(region, None)
        if listener is not None:
            listener.close()


class Gateway:
    """From a request to a response, through the function that its route names."""

    def __init__(self, apis: HttpApis, functions: Functions, integration_seconds: float) -> None:
        self._apis, self._functions, self._seconds = apis, functions, integration_seconds

    def answer(self, region: str, request: Request) -> Response:
        """Route the request and invoke its function."""
        api = self._apis.at(region, request.host)
        if api is None:
            return message(403, "Forbidden")
        found = api.route(request.method, request.path)
        if found is None:
            return message(404, "Not Found")
        return self._within_time(api, *found, request)

    def _within_time(self, api: Api, route: Route, parameters: dict[str, str], request: Request) -> Response:
        payload = json.dumps(proxy_event.event(api, route, parameters, request)).encode()
        done: queue.SimpleQueue[Response] = queue.SimpleQueue()
        threading.Thread(
            target=lambda: done.put(self._invoke(api.region, route.function, payload)), name="integration", daemon=True
        ).start()
        try:
            return done.get(timeout=self._seconds)
        except queue.Empty:
            return message(503, "Service Unavailable")

    def _invoke(self, region: str, function: str, payload: bytes) -> Response:
        try:
            outcome = self._functions.invoke(region, function, payload)
        except (JsonRESTError, ServiceException) as refused:
            log.warning("%s in %s was not invoked: %s", function, region, refused)
            return INTERNAL_ERROR
        return INTERNAL_ERROR if outcome.error else proxy_event.response(outcome.payload)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], region: str, gateway: Gateway) -> None:
        super().__init__(address, _Handler)
        self.region, self.gateway = region, gateway
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.05,), name=f"front-{region}", daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that a failing region can cut it."""
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or a connection cut by an outage, is no error of ours."""
        log.debug("connection from %s ended", client_address)

    def close(self) -> None:
        """Refuse new connections and cut the open ones."""
        self.socket.close()
        self.shutdown()
        with self._guard:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60.0

    def __getattr__(self, name: str) -> Any:
        """Every method is an API's own business."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def handle_expect_100(self) -> bool:
        """Say "continue" at once: the buffered answer would leave the client waiting."""
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Stay quiet: the function's log says what happened."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY:
            self.close_connection = True
            self._send(message(413, "Request Entity Too Large"))
            return
        body = self.rfile.read(length)
        source = str(self.client_address[0])
        request = Request(self.command, self.path, list(self.headers.items()), body, source)
        self._send(self.server.gateway.answer(self.server.region, request))

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        bodiless = response.status in (204, 304)
        if not bodiless:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD" and not bodiless:
            self.wfile.write(response.body)
        self.wfile.flush()
