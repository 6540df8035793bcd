"""A client of the model in a process of its own: asks by name, at a steady rate, and writes down what it got.

Reads one line of JSON from stdin (where to ask, and what), then sends requests until stdin closes, whatever becomes of
those before: a slow answer delays no other. Honours the TTL of DNS answers and knows nothing of regions.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

import dns.exception

from cli.demo.scene import HOST, MODEL, REQUESTS_PER_SECOND, TIMEOUT
from localcloud.edge.resolve import resolve
from mldr.domain.golden import GoldenInference, judge

WORKERS = int(REQUESTS_PER_SECOND * (TIMEOUT + 3.5))


class Client:
    """Sends requests and records each: when, how long, whether it was answered, by which region, and rightly."""

    def __init__(self, spec: dict[str, Any], record: TextIO) -> None:
        self._dns, self._port, self._token = str(spec["dns"]), int(spec["port"]), str(spec["token"])
        self._golden = [GoldenInference.model_validate(one) for one in spec["golden"]]
        self._record, self._lock = record, threading.Lock()

    def ask(self, number: int) -> None:
        """Send one request and write its record."""
        sample = number % len(self._golden)
        at, started = time.time(), time.monotonic()
        try:
            found = self._answer(self._golden[sample])
        except (OSError, http.client.HTTPException, dns.exception.DNSException) as error:
            found = {"ok": False, "error": type(error).__name__}
        line = json.dumps({"at": at, "seconds": time.monotonic() - started, "sample": sample, **found})
        with self._lock:
            self._record.write(line + "\n")

    def _answer(self, golden: GoldenInference) -> dict[str, Any]:
        address, _ = resolve(HOST, self._dns)
        connection = http.client.HTTPConnection(address, self._port, timeout=TIMEOUT)
        headers = {"Host": HOST, "Content-Type": golden.content_type, "Authorization": f"Bearer {self._token}"}
        try:
            connection.request("POST", f"/models/{MODEL.name}/invocations", golden.body(), headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            return {"ok": False, "error": f"HTTP {response.status}", "region": response.getheader("x-mldr-region")}
        return {
            "ok": True,
            "equal": judge((golden,), [body]).passed,
            "region": response.getheader("x-mldr-region"),
            "digit": json.loads(body).get("digit"),
        }


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
