"""Kept-alive HTTP connections to one S3 endpoint, with timeouts, TLS and proxies as the boto3 client has them.

urllib3's pool takes three times the CPU of the request itself, so connections are kept here, over http.client.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import ProxyConfiguration, create_urllib3_context, get_cert_path, mask_proxy_url
from botocore.utils import get_environ_proxies

LINE = 65536  # bytes of a header line at the most


class Transport:
    """How a boto3 client connects: read once, for all hosts."""

    def __init__(self, client: Any) -> None:
        config = client.meta.config
        self.connect_timeout, self.read_timeout = config.connect_timeout, config.read_timeout
        self._proxies, self._proxies_config = config.proxies, config.proxies_config
        self._client_cert = config.client_cert
        # Where a session or AWS_CA_BUNDLE named the certificates, only the client's own HTTP session knows.
        self._verify = client._endpoint.http_session._verify
        self._tls: ssl.SSLContext | None = None

    def proxy(self, origin: str) -> tuple[str, dict[str, str]]:
        """Return the proxy to ask for an origin and the headers it wants; '' for none."""
        proxies = self._proxies if self._proxies is not None else get_environ_proxies(origin)
        settings = ProxyConfiguration(proxies, self._proxies_config)
        url = settings.proxy_url_for(origin) or ""
        if url and urlsplit(url).scheme != "http":
            raise ProxyConnectionError(proxy_url=mask_proxy_url(url), error="only plain HTTP proxies are supported")
        return url, settings.proxy_headers_for(url) if url else {}

    def tls(self) -> ssl.SSLContext:
        """Return the context of all TLS connections; reading the certificates takes longer than a request."""
        if self._tls is None:
            context: ssl.SSLContext = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)  # type: ignore[arg-type]  # its stubs say bool
            if self._verify:
                context.check_hostname = True
                context.load_verify_locations(cafile=get_cert_path(self._verify))
            else:
                context.verify_mode = ssl.CERT_NONE
            if self._client_cert:
                pair = (self._client_cert,) if isinstance(self._client_cert, str) else self._client_cert
                context.load_cert_chain(*pair)
            self._tls = context
        return self._tls


class Answer(HTTPResponse):
    """An HTTP response whose header is read without the e-mail parser, which costs more than all the rest."""

    fields: dict[str, str]  # by lower-case name
    connection: Connection
    connections: Connections

    def content(self, size: int | None = None) -> bytes:
        """Return at most `size` bytes of the body; its end gives the connection back. Raises botocore's errors."""
        with self.connections.guarded(self.connection):
            content = self.read(size)
        if self.isclosed():
            self.connections.give(self)
        return content

    def begin(self) -> None:
        self.status = 100
        while self.status < 200:
            version, self.status, self.reason = self._read_status()  # type: ignore[attr-defined]
            self.fields = self._read_fields()
        self.chunked = self.fields.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        length = self.fields.get("content-length")
        self.length = 0 if self._bodiless() else int(length) if length and not self.chunked else None
        kept = self.fields.get("connection", "keep-alive" if version == "HTTP/1.1" else "close").lower() != "close"
        self.will_close = not kept or (self.length is None and not self.chunked)

    def _bodiless(self) -> bool:
        return self.status in (204, 304) or self._method == "HEAD"  # type: ignore[attr-defined]

    def _read_fields(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        while (line := self.fp.readline(LINE)) not in (b"\r\n", b"\n"):
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise HTTPException("the response's header is cut off or malformed")
            name = name.lower()
            fields[name] = f"{fields[name]}, {value.strip()}" if name in fields else value.strip()
        return fields


class Connection:
    """One socket."""

    def __init__(self, http: HTTPConnection, read_timeout: float | None) -> None:
        http.connect()
        self._http, self._socket = http, http.sock
        self._socket.settimeout(read_timeout)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._events = select.poll()
        self._events.register(self._socket, select.POLLIN)

    def alive(self) -> bool:
        """Return whether the server kept it: between requests, anything to read means the end."""
        return not self._events.poll(0)

    def ask(self, message: bytes, method: str) -> Answer:
        """Send a request and read the answer's header."""
        self._socket.sendall(message)
        answer = Answer(self._socket, method=method)
        answer.begin()
        return answer

    def close(self) -> None:
        self._http.close()


class Connections:
    """The connections of one origin (`https://host:port`). Thread safe."""

    def __init__(self, origin: str, transport: Transport) -> None:
        parts = urlsplit(origin)
        self.origin, self._transport = origin, transport
        self._secure, self._host = parts.scheme == "https", parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._proxy, self._proxy_headers = transport.proxy(origin)
        plain_proxy = bool(self._proxy) and not self._secure
        self.prefix = origin if plain_proxy else ""  # before the path: a plain proxy wants to see the whole URL
        self.lines = "".join(f"{name}: {value}\r\n" for name, value in self._proxy_headers.items()) * plain_proxy
        self._idle: deque[Connection] = deque()

    def ask(self, message: bytes, method: str) -> Answer:
        """Send a request and return the answer, its body unread. Raises botocore's connection errors."""
        connection = self._take()
        with self.guarded(connection):
            answer = connection.ask(message, method)
        answer.connection, answer.connections = connection, self
        return answer

    def _take(self) -> Connection:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.alive():
                return connection
            connection.close()
        return self._open()

    def give(self, answer: Answer) -> None:
        """Take back the connection of an answer that was read to its end."""
        if answer.will_close:
            answer.connection.close()
        else:
            self._idle.append(answer.connection)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    def _open(self) -> Connection:
        http = self._http()
        try:
            return Connection(http, self._transport.read_timeout)
        except BaseException as error:
            http.close()
            raise self._unconnected(error) from error

    def _http(self) -> HTTPConnection:
        timeout = self._transport.connect_timeout
        proxy = urlsplit(self._proxy)
        host, port = (proxy.hostname or "", proxy.port or 80) if self._proxy else (self._host, self._port)
        if not self._secure:
            return HTTPConnection(host, port, timeout=timeout)
        http = HTTPSConnection(host, port, timeout=timeout, context=self._transport.tls())
        if self._proxy:
            http.set_tunnel(self._host, self._port, headers=self._proxy_headers)
        return http

    def _unconnected(self, error: BaseException) -> BaseException:
        if isinstance(error, TimeoutError):
            return ConnectTimeoutError(endpoint_url=self.origin, error=error)
        if isinstance(error, ssl.SSLError):
            return SSLError(endpoint_url=self.origin, error=error)
        if isinstance(error, OSError | HTTPException):
            if self._proxy:
                return ProxyConnectionError(proxy_url=mask_proxy_url(self._proxy), error=error)
            return EndpointConnectionError(endpoint_url=self.origin, error=error)
        return error

    @contextmanager
    def guarded(self, connection: Connection) -> Iterator[None]:
        """Close the connection when what is done with it fails, and raise what botocore would raise."""
        try:
            yield
        except TimeoutError as error:
            connection.close()
            raise ReadTimeoutError(endpoint_url=self.origin, error=error) from error
        except (OSError, HTTPException, ValueError) as error:
            connection.close()
            raise ConnectionClosedError(endpoint_url=self.origin, error=error) from error
        except BaseException:
            connection.close()
            raise
