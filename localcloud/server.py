"""The endpoint: moto's application for all regions behind one port, with connections that stay open."""

import io
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, cast

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.datastructures import Headers
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.test import run_wsgi_app

log = logging.getLogger(__name__)
Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Any], Iterable[bytes]]


def moto_application() -> WsgiApp:
    """moto's WSGI application; one state for every region."""
    return cast(WsgiApp, DomainDispatcherApplication(create_backend_app))


class Handler(MotoRequestHandler):
    """Reads each request whole, so that the connection can carry the next one."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def make_environ(self) -> Environ:
        """The WSGI environment with the body in memory, where the middleware may look at it."""
        environ = super().make_environ()
        stream = environ["wsgi.input"]
        chunked = environ.get("wsgi.input_terminated", False)
        body = stream.read() if chunked else stream.read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return environ

    def run_wsgi(self) -> None:
        """Answer with a Content-Length and leave the connection open."""
        try:
            answer, status, headers = run_wsgi_app(self.server.app, self.make_environ(), buffered=True)
            body = b"".join(answer)
        except Exception:
            # A fault of the local cloud itself must not cut a connection that other requests wait for.
            log.exception("%s %s", self.command, self.path)
            body, status, headers = b"the local cloud failed", "500 -", Headers()
        self.send_response(int(status.split(" ", 1)[0]))
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        if "content-length" not in headers and not status.startswith(("204", "304")):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def handle_expect_100(self) -> bool:
        """Say `100 Continue` at once: clients wait a second for it."""
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Stay quiet: the call log knows more."""


class Server:
    """The listening socket and the thread behind it."""

    def __init__(self, app: WsgiApp, port: int) -> None:
        self._wsgi = ThreadedWSGIServer("127.0.0.1", port, app, handler=Handler)
        self._thread = threading.Thread(target=self._wsgi.serve_forever, args=(0.05,), name="endpoint", daemon=True)
        self.port = int(self._wsgi.server_port)

    @property
    def url(self) -> str:
        """What AWS_ENDPOINT_URL must be."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; open connections end with their current request."""
        self._wsgi.shutdown()
        self._wsgi.server_close()
