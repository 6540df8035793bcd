"""An HTTP server that answers from a script and remembers what it was asked, byte for byte."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

COPIED = (
    '<?xml version="1.0" encoding="UTF-8"?><CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;9b2cf535&quot;</ETag>"
    "<ChecksumCRC64NVME>rosUhgp5mIg=</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType></CopyObjectResult>"
)
REASONS = {200: "OK", 206: "Partial Content", 301: "Moved Permanently", 404: "Not Found", 503: "Slow Down"}


class Asked(NamedTuple):
    """One request; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def answer(status: int = 200, body: str = COPIED, **headers: str) -> bytes:
    """A whole answer."""
    content = body.encode()
    fields = {"content_length": str(len(content)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"HTTP/1.1 {status} {REASONS.get(status, 'Some')}", *lines, "", ""]).encode() + content


def error(status: int, code: str) -> bytes:
    """An answer as S3 refuses."""
    return answer(status, f"<Error><Code>{code}</Code><Message>so it is</Message><RequestId>R</RequestId></Error>")


class ScriptedServer:
    """Answers each request with what `script` returns for it; b"" cuts the connection."""

    def __init__(self, script: Callable[[Asked], bytes], tls: ssl.SSLContext | None = None) -> None:
        self._script, self._tls = script, tls
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.asked: list[Asked] = []
        self.connections = self.in_flight = self.most_in_flight = 0
        self.port = self._listening.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Cut every connection, as a server does with idle ones."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.add(connection)
            with connection, connection.makefile("rb") as reader:
                while (asked := _read(reader)) and (said := self._said(asked)):
                    connection.sendall(said)
                    if b"connection: close" in said:
                        break
        except (OSError, ValueError):
            plain.close()

    def _said(self, asked: Asked) -> bytes:
        with self._lock:
            self.asked.append(asked)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return self._script(asked)
        finally:
            with self._lock:
                self.in_flight -= 1


def _read(reader: object) -> Asked | None:
    line = reader.readline()  # type: ignore[attr-defined]
    if not line:
        return None
    method, target, _ = line.decode("ascii").split(" ")
    headers = {}
    while (line := reader.readline()) != b"\r\n":  # type: ignore[attr-defined]
        name, _, value = line.decode("ascii").rstrip("\r\n").partition(":")
        headers[name.lower()] = value.removeprefix(" ")
    return Asked(method, target, headers, reader.read(int(headers.get("content-length", 0))))  # type: ignore[attr-defined]
