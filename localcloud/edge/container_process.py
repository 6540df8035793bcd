"""One running model container seen from outside: started, asked whether it is well, sent requests, killed."""

import http.client
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("container.py")
INHERITED = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
MODEL_SECONDS = 60.0


class Unservable(Exception):
    """The model cannot be served; the text is the endpoint's FailureReason."""


class Unreachable(Exception):
    """The container has gone away or does not answer in time."""


@dataclass(frozen=True)
class Artifact:
    """What a container serves: an archive, a single object or a prefix, in its own region's bucket."""

    region: str
    url: str
    form: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What the container answered."""

    status: int
    kind: str
    body: bytes


class ContainerProcess:
    """A child process; dies with this one, because it reads a pipe that closes."""

    def __init__(self, artifact: Artifact, workplace: Path, environment: Mapping[str, str], variant: str) -> None:
        workplace.mkdir(parents=True, exist_ok=True)
        self._variant = variant
        self.log = workplace / "container.log"
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=inherited | threads | dict(artifact.environment) | dict(environment),
                cwd=workplace,
            )  # fmt: skip
        self._reports: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[http.client.HTTPConnection] = queue.SimpleQueue()
        self._port = 0
        threading.Thread(target=self._listen, name="container-reports", daemon=True).start()
        self._tell(asdict(artifact) | {"directory": str(workplace / "model")})

    @property
    def alive(self) -> bool:
        """Is the process still there?"""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_ready(self, seconds: float) -> None:
        """Return when /ping answers 200; raise with SageMaker's reason when it does not within the time."""
        try:
            self._port = int(self._reports.get(timeout=seconds).get("port", 0))
            report = self._reports.get(timeout=seconds)
        except queue.Empty:
            report = {}
        if "failed" in report:
            raise Unservable(report["failed"])
        if "loaded" not in report or self._ping() != 200:
            raise Unservable(
                f"The primary container for production variant {self._variant} did not pass the ping health check. "
                f"Please check CloudWatch logs for this endpoint (here: {self.log})."
            )

    def invoke(self, body: bytes, kind: str, accept: str) -> Answer:
        """One prediction."""
        headers = {"Content-Type": kind, "Accept": accept}
        try:
            with self._connection() as connection:
                connection.request("POST", "/invocations", body, headers)
                response = connection.getresponse()
                return Answer(response.status, response.getheader("Content-Type") or "", response.read())
        except TimeoutError as late:
            raise Unreachable(
                "Your invocation timed out while waiting for a response from container primary."
            ) from late
        except (OSError, http.client.HTTPException) as gone:
            raise Unreachable("The container does not answer.") from gone

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _ping(self) -> int:
        try:
            with self._connection() as connection:
                connection.request("GET", "/ping")
                response = connection.getresponse()
                response.read()
                return response.status
        except (OSError, http.client.HTTPException):
            return 0

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        try:
            connection = self._free.get_nowait()
        except queue.Empty:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=MODEL_SECONDS)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._free.put(connection)

    def _tell(self, spec: dict[str, Any]) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(spec).encode() + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        """Pass the child's reports on; an empty one when it ends before it has said that it is ready."""
        if self._process.stdout is not None:
            with self._process.stdout as reports:
                for line in reports:
                    self._reports.put(json.loads(line))
        self._reports.put({})
        self._reports.put({})
