"""Server processes that never outlive the one that started them, on ports that are free now."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

STOP_WITHIN = 5.0


class NotStarted(Exception):
    """A server did not come up; the text says which one, why, and what to do."""


class NotHere(NotStarted):
    """This machine cannot have the server at all: who asked for it may go on without it."""


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def working_directory(wanted: Path | None) -> Iterator[Path]:
    """Yield `wanted`, or a temporary directory that is removed at the end."""
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted.resolve()
        return
    # /tmp may be in memory, where bluestore cannot bypass the page cache.
    made = Path(tempfile.mkdtemp(prefix="mldr-real-", dir="/var/tmp"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


class Processes:
    """The processes of one server; leaving the block stops them, the last one first."""

    def __init__(self, log_directory: Path) -> None:
        self._logs = log_directory
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Processes:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        while self._running:
            _stop(self._running.pop()[1])

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start a process in a session of its own: Ctrl-C reaches it only through us."""
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                _dying_with_us(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        self._running.append((name, process))

    def wait_until(self, what: str, ready: Callable[[], bool], seconds: float) -> None:
        """Return once `ready` says so; NotStarted when a process ends first or the time is over."""
        until = time.monotonic() + seconds
        while not ready():
            for name, process in self._running:
                if process.poll() is not None:
                    raise NotStarted(f"{name} ended with {process.returncode} before {what}: {self._last_words(name)}")
            if time.monotonic() > until:
                words = "; ".join(f"{name}: {self._last_words(name)}" for name, _ in self._running)
                raise NotStarted(f"not within {seconds:.0f} s: {what} ({words})")
            time.sleep(0.1)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.out"

    def _last_words(self, name: str) -> str:
        return " / ".join(self._log(name).read_text(errors="replace").splitlines()[-8:]) or "it said nothing"


def answers(port: int) -> bool:
    """Return whether somebody accepts connections on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _dying_with_us(command: Sequence[str]) -> list[str]:
    """On Linux the process ends when the thread that started it ends, even by SIGKILL."""
    guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    return [*guard, *command]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
