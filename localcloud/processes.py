"""How a function's process comes to be: forked from one that has its layers in memory, or as a program of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Protocol

from localcloud.fork_server import BOOTSTRAP, Order

SERVER = Path(__file__).with_name("fork_server.py")
# pidfd_open and SOCK_SEQPACKET; and forking with macOS's frameworks in memory is not safe.
CAN_FORK = sys.platform == "linux"


class Process(Protocol):
    """What a worker asks of its process."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once there is one."""

    def kill(self) -> None:
        """End it at once."""


class Forked:
    """A process that is not our child: the fork server reaps it and says how it ended."""

    def __init__(self, stdin: int, stdout: int, status: int) -> None:
        """ConnectionError when the server ended before it forked."""
        self.stdin: IO[bytes] | None = os.fdopen(stdin, "wb")
        self.stdout: IO[bytes] | None = os.fdopen(stdout, "rb")
        self._status = os.fdopen(status, "rb")
        self._pid = int(self._status.readline() or 0)
        if not self._pid:
            raise ConnectionError("the fork server has ended")
        self._code: int | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._await_end, name="forked process", daemon=True).start()

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """The exit status; TimeoutExpired when it still runs."""
        if not self._ended.wait(timeout) or self._code is None:
            raise subprocess.TimeoutExpired(f"process {self._pid}", timeout or 0)
        return self._code

    def kill(self) -> None:
        """End it at once."""
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def _await_end(self) -> None:
        said = self._status.readline()
        self._status.close()
        if not said:
            # The server is gone: nobody could tell how this one ends.
            self.kill()
        self._code = int(said) if said else -signal.SIGKILL
        self._ended.set()


class ForkServer:
    """The process that has some layers in memory."""

    def __init__(self, layers: Sequence[Path], environment: Mapping[str, str]) -> None:
        """It reads the environment while it imports; functions whose own differs there are started on their own."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-P", str(SERVER), str(theirs.fileno()), *map(str, layers)]
            self._process = subprocess.Popen(
                command, env=dict(environment), stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
                start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Can it fork?"""
        return self._process.poll() is None

    def start(self, order: Order) -> Process:
        """A new process; OSError when the server is gone."""
        (stdin, ours), (heard, stdout), (said, status) = os.pipe(), os.pipe(), os.pipe()
        try:
            socket.send_fds(self._control, [json.dumps(asdict(order)).encode()], [stdin, stdout, status])
        except OSError:
            for fd in (ours, heard, said):
                os.close(fd)
            raise
        finally:
            for fd in (stdin, stdout, status):
                os.close(fd)
        return Forked(ours, heard, said)

    def stop(self) -> None:
        """End it; what it has forked lives on."""
        self._control.close()
        self._process.kill()
        self._process.wait()


def started(order: Order) -> Process:
    """A process of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", str(BOOTSTRAP), order.handler], cwd=order.directory, env=order.environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


class ForkServers:
    """One fork server for every set of layers, started when the first function with them is."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._servers: dict[tuple[Path, ...], ForkServer] = {}
        self._lock = threading.Lock()

    def start(self, order: Order, layers: tuple[Path, ...]) -> Process:
        """A process for a function with these layers."""
        if not CAN_FORK or not any((layer / "mldr").is_dir() for layer in layers):
            return started(order)
        try:
            return self._server(layers).start(order)
        except OSError:
            return started(order)

    def stop(self) -> None:
        """End the servers; end their processes first."""
        with self._lock:
            while self._servers:
                self._servers.popitem()[1].stop()

    def _server(self, layers: tuple[Path, ...]) -> ForkServer:
        with self._lock:
            if layers not in self._servers or not self._servers[layers].alive:
                self._servers[layers] = ForkServer(layers, self._environment)
            return self._servers[layers]
