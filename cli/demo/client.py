"""Clients of the models in a process of their own: ask by name, at a steady rate, and write down what they got.

Reads one line of JSON from stdin (where to ask, and what), then sends requests until stdin closes, whatever becomes of
those before: a slow answer delays no other. They take turns; each honours the TTL of the DNS answers that it got, and
none knows of regions.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import dns.exception

from cli.demo.scene import CLIENTS, REQUESTS_PER_SECOND, TIMEOUT
from localcloud.edge.resolve import Resolver
from mldr.domain.golden import GoldenInference, judge

WORKERS = int(REQUESTS_PER_SECOND * (TIMEOUT + 3.5))


class Subject(NamedTuple):
    """A model that is asked, by which name, and what."""

    name: str
    host: str
    golden: list[GoldenInference]


class Client:
    """Sends requests and records each: when, how long, whether it was answered, by which region, and rightly."""

    def __init__(self, spec: dict[str, Any], record: TextIO) -> None:
        self._port, self._token = int(spec["port"]), str(spec["token"])
        self._resolvers = [Resolver(str(spec["dns"])) for _ in range(CLIENTS)]
        self._subjects = [_subject(one) for one in spec["models"]]
        self._record, self._lock = record, threading.Lock()

    def ask(self, number: int) -> None:
        """Send one request and write its record; the models take turns."""
        turn, which = divmod(number, len(self._subjects))
        subject = self._subjects[which]
        golden = subject.golden[turn % len(subject.golden)]
        at, started = time.time(), time.monotonic()
        try:
            found = self._answer(subject, golden, self._resolvers[turn % CLIENTS])
        except (OSError, http.client.HTTPException, dns.exception.DNSException) as error:
            found = {"ok": False, "error": type(error).__name__}
        line = json.dumps({"model": subject.name, "at": at, "seconds": time.monotonic() - started, **found})
        with self._lock:
            self._record.write(line + "\n")

    def _answer(self, subject: Subject, golden: GoldenInference, resolver: Resolver) -> dict[str, Any]:
        address, _ = resolver.resolve(subject.host)
        connection = http.client.HTTPConnection(address, self._port, timeout=TIMEOUT)
        headers = {
            "Host": subject.host,
            "Content-Type": golden.content_type,
            "Authorization": f"Bearer {self._token}",
        }
        try:
            connection.request("POST", f"/models/{subject.name}/invocations", golden.body(), headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            return {"ok": False, "error": f"HTTP {response.status}", "region": response.getheader("x-mldr-region")}
        equal = judge((golden,), [body]).passed
        return {"ok": True, "equal": equal, "region": response.getheader("x-mldr-region")}


def _subject(spec: dict[str, Any]) -> Subject:
    golden = [GoldenInference.model_validate(one) for one in spec["golden"]]
    return Subject(str(spec["name"]), str(spec["host"]), golden)


def main() -> None:
    """Ask until the parent closes stdin."""
    spec = json.loads(sys.stdin.readline())
    over = threading.Event()
    threading.Thread(target=_end_with_parent, args=(over,), daemon=True).start()
    with Path(spec["record"]).open("w", buffering=1, encoding="utf-8") as record, ThreadPoolExecutor(WORKERS) as pool:
        client, number, due = Client(spec, record), 0, time.monotonic()
        while not over.is_set():
            pool.submit(client.ask, number)
            number, due = number + 1, due + 1 / REQUESTS_PER_SECOND
            over.wait(max(0.0, due - time.monotonic()))
        pool.shutdown(cancel_futures=True)


def _end_with_parent(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    main()
