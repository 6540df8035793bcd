"""Starts functions' processes by forking one that has their layer in memory: milliseconds in place of a second of CPU.

A process that would not be the same had it been started on its own is started on its own: when its code or its layers
have a module of a name that is in memory already, or its environment differs in something that was read meanwhile.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
LONGEST_ORDER = 1 << 17  # bytes; a Unix socket takes so much at once
_MESSAGES = ("evacuation", "failover", "health", "protection", "scrub", "serving", "snapshots", "transfers")
_PORTS = ("catalog", "datasets", "health", "outside", "registry", "serving", "sources", "stack", "vault")
PRELOADED = (
    "mldr.wiring",
    *(f"mldr.events.{name}" for name in _MESSAGES),
    *(f"mldr.ports.{name}" for name in _PORTS),
    "aws_lambda_powertools.utilities.batch",
    "aws_lambda_powertools.utilities.data_classes",
    "aws_lambda_powertools.utilities.typing",
)


@dataclass(frozen=True)
class Order:
    """One process to become."""

    handler: str
    directory: str
    environment: dict[str, str]

    @property
    def path(self) -> list[str]:
        """Where modules are looked for first."""
        return self.environment["PYTHONPATH"].split(os.pathsep)


class _Watched(os._Environ[str]):
    """os.environ that notes which names are read."""

    names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return str(super().__getitem__(name))


def preload(modules: Iterable[str]) -> dict[str, str | None]:
    """Import them; what they read of the environment, and found there."""
    before, plain = dict(os.environ), type(os.environ)
    os.environ.__class__ = _Watched
    try:
        for name in modules:
            with suppress(ImportError):
                importlib.import_module(name)
    finally:
        os.environ.__class__ = plain
    return {name: before.get(name) for name in _Watched.names}


def serve(control: socket.socket) -> Order | None:
    """Fork on every order until the other end is gone: an order in the child that is to become it, None at the end."""
    waiting = selectors.DefaultSelector()
    waiting.register(control, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.data:
                waiting.unregister(key.fd)
                _report_end(key.fd, *key.data)
                continue
            message, fds, _, _ = socket.recv_fds(control, LONGEST_ORDER, 3)
            if not message:
                return None
            *streams, status = fds
            pid = os.fork()
            if not pid:
                _take_over(streams)
                return Order(**json.loads(message))
            for fd in streams:
                os.close(fd)
            os.write(status, b"%d\n" % pid)
            waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))


def _report_end(pidfd: int, pid: int, status: int) -> None:
    _, ended = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended))
    os.close(status)
    os.close(pidfd)


def _take_over(streams: list[int]) -> None:
    """Standard input and output are the order's; everything else that is open belongs to the server."""
    os.setsid()
    given, said = streams
    for number, fd in enumerate((given, said, said)):
        os.dup2(fd, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def differs(order: Order, read: Mapping[str, str | None]) -> bool:
    """Would a process of its own be another one?"""
    environment = order.environment
    if any(name.startswith("PYTHON") and name != "PYTHONPATH" for name in environment):
        return True
    if any(environment.get(name) != value for name, value in read.items()):
        return True
    return any(_shadowed(Path(folder)) for folder in order.path)


def _shadowed(folder: Path) -> bool:
    """Has the folder a module in whose place another one is in memory?"""
    for found in folder.iterdir() if folder.is_dir() else ():
        name = found.name.partition(".")[0]
        held: Any = sys.modules.get(name)
        if held is not None and name != "__main__" and not str(getattr(held, "__file__", "")).startswith(f"{folder}/"):
            return True
    return False


def become(order: Order, read: Mapping[str, str | None]) -> None:
    """Run the order's handler in this process, which is then nobody's copy any more."""
    os.chdir(order.directory)
    if differs(order, read):
        command = [sys.executable, "-P", str(BOOTSTRAP), order.handler]
        os.execve(sys.executable, command, order.environment)  # noqa: S606 our own interpreter, and no shell
    os.environ.clear()
    os.environ.update(order.environment)
    time.tzset()
    sys.path[:0] = [folder for folder in order.path if folder not in sys.path]
    sys.argv[:] = [str(BOOTSTRAP), order.handler]
    runpy.run_path(str(BOOTSTRAP), run_name="__main__")


def main() -> None:
    """Serve on the socket that the command line names, with the layers that follow."""
    control = socket.socket(fileno=int(sys.argv[1]))
    sys.path[:0] = sys.argv[2:]
    read = preload(PRELOADED)
    # What is never looked at again is never written to, so its pages stay shared.
    gc.collect()
    gc.freeze()
    order = serve(control)
    if order is not None:
        become(order, read)


if __name__ == "__main__":
    main()
