"""The demo's local cloud: a process of its own that never outlives the demo."""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cli.demo.scene import ACTIVE, PARAMETERS, POLICY, STANDBY
from cli.local_api import LocalApi
from cli.outcomes import Ended, Exit

PATIENCE = 120.0  # seconds until it is ready
PERSONAL = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_REGION", "MLDR_REGIONS", "MLDR_ENV")


class DemoCloud:
    """`mldr local up` on free ports."""

    def __init__(self, home: Path) -> None:
        self.state, self.log = home / "local", home / "local-cloud.log"
        self.port, self.dns_port, self.http_port = (_free_port() for _ in range(3))
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[str] | None = None

    @property
    def dns(self) -> str:
        """Where the name servers answer."""
        return f"127.0.0.1:{self.dns_port}"

    def launch(self) -> None:
        """Start it, without waiting for it."""
        sets = [argument for name, value in PARAMETERS.items() for argument in ("--set", f"{name}={value}")]
        ports = ["--port", str(self.port), "--dns-port", str(self.dns_port), "--http-port", str(self.http_port)]
        # The standby comes first: its watch begins a minute after it was deployed.
        places = ["--regions", f"{STANDBY},{ACTIVE}", "--policy", str(POLICY), "--state", str(self.state)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli", "local", "up", *ports, *places, *sets],
                stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, before any thread of ours exists
            )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def ready(self, say: Callable[[str], None]) -> None:
        """Wait until both regions are deployed, and make this process speak to it."""
        _speak_to(self._wait_ready(say))

    def _wait_ready(self, say: Callable[[str], None]) -> dict[str, str]:
        """Return the environment that it prints."""
        environment: dict[str, str] = {}
        deadline, last = time.monotonic() + PATIENCE, ""
        while "DNS_RESOLVER" not in environment:
            try:
                line = self._lines.get(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                raise self._not_ready("it takes too long") from None
            if line is None:
                raise self._not_ready(last or "it ended")
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").partition("=")
                environment[name] = value
            elif line != "ready":
                say(line)
                last = line
        return environment

    def _not_ready(self, why: str) -> Ended:
        return Ended(Exit.DOES_NOT_HOLD, f"the local cloud did not start: {why}", f"its log is {self.log}")

    def _read(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            for line in self._process.stdout:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    @property
    def api(self) -> LocalApi:
        """Its own doors."""
        return LocalApi(f"http://127.0.0.1:{self.port}")

    def stop(self) -> None:
        """Stop it and everything that it started."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port() -> int:
    """Return a port that is free for UDP and TCP on every loopback address that the local cloud uses."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("", 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind(("", port))
            except OSError:
                continue
            return port


def _die_with_parent() -> None:
    """Ask Linux to end the child when this process is killed; elsewhere it is ended by `stop` alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _speak_to(environment: dict[str, str]) -> None:
    """Make boto3 in this process, and in its children, speak to the local cloud and never to a person's AWS account."""
    for name in PERSONAL:
        os.environ.pop(name, None)
    os.environ.update(environment)
    os.environ.update(
        AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        NO_PROXY="127.0.0.1,localhost", no_proxy="127.0.0.1,localhost",
    )  # fmt: skip
