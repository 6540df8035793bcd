"""One execution environment of a function: a process of its own that fetches its events from a Runtime API server."""

import json
import os
import queue
import select
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import IO, Any, cast

from localcloud.fork_server import Order
from localcloud.principals import access_key
from localcloud.processes import ForkServers, Process, started

INIT_SECONDS = 60.0
INHERITED = ("PATH", "LANG", "LC_ALL", "MLDR_BOOTSTRAP", "SSL_CERT_FILE", "TMPDIR")


@dataclass(frozen=True)
class Invocation:
    """What came of one invocation: the answer, or the error document of the function."""

    payload: bytes
    error: bool
    log: str


@dataclass(frozen=True)
class Deployed:
    """A function as its template describes it, its code unpacked."""

    region: str
    name: str
    arn: str
    handler: str
    version: str
    timeout: float
    memory: int
    reserved: int | None
    task_root: Path
    python_path: tuple[Path, ...]
    environment: Mapping[str, str]
    fingerprint: str

    @property
    def layers(self) -> tuple[Path, ...]:
        """Where the modules of its layers are."""
        return self.python_path[1:]


@dataclass
class _Task:
    """An event on its way through the process."""

    payload: bytes
    deadline_ms: int
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    done: threading.Event = field(default_factory=threading.Event)
    answer: bytes = b""
    error: bool = False

    def finish(self, answer: bytes, *, error: bool) -> None:
        """Keep the first outcome and wake who waits for it."""
        if not self.done.is_set():
            self.answer, self.error = answer, error
            self.done.set()


def common_environment() -> dict[str, str]:
    """What is alike in the environment of every function."""
    return {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "TZ": ":UTC",
    }


def error_document(error_type: str, message: str) -> bytes:
    """An error in the form in which Lambda reports it."""
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, worker: "Worker") -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeApi)
        self.worker = worker

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A killed worker leaves its connection half open: nothing to report."""


class _RuntimeApi(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class names it
        """Requests of the Runtime API are not news."""

    def do_GET(self) -> None:
        task = self.server.worker.next_task()
        if task is None:
            self.close_connection = True
            return
        deployed = self.server.worker.deployed
        self._reply(
            200,
            task.payload,
            {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": task.request_id,
                "Lambda-Runtime-Deadline-Ms": str(task.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": deployed.arn,
            },
        )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        *_, scope, outcome = self.path.split("/")
        self._reply(202, b"", {})
        if scope == "init":
            self.server.worker.init_failed(body)
        else:
            self.server.worker.answered(scope, body, error=outcome == "error")

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class Worker:
    """A process that runs one function, one event at a time."""

    def __init__(self, deployed: Deployed, log_file: Path, forks: ForkServers | None = None) -> None:
        self.deployed = deployed
        self.idle_since = time.monotonic()
        self.stopped_because: str | None = None
        self._inbox: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._ready = threading.Event()
        self._init_error: bytes | None = None
        self._task: _Task | None = None
        self._lines: deque[str] = deque(maxlen=400)
        self._copying = threading.Lock()
        log_file.parent.mkdir(parents=True, exist_ok=True)
        self._log = log_file.open("a", buffering=1, encoding="utf-8")
        self._server = _Server(self)
        self._process = self._spawn(forks)
        self._output = cast("IO[bytes]", self._process.stdout)
        self._start(self._server.serve_forever)
        self._pump = self._start(self._copy_output)
        self._start(self._await_exit)

    @property
    def alive(self) -> bool:
        """Can the process take another event?"""
        return self._process.poll() is None and self._init_error is None and self.stopped_because is None

    def run(self, payload: bytes) -> Invocation:
        """Run the function on one event; its own time limit counts from the end of its start."""
        self._lines.clear()
        self._ready.wait(INIT_SECONDS)
        if self._init_error is not None or not self._ready.is_set():
            return self._failed_start()
        timeout = self.deployed.timeout
        task = self._task = _Task(payload, int((time.time() + timeout) * 1000))
        if self._process.poll() is not None:
            self._exited(task)
        self._inbox.put(task)
        if not task.done.wait(timeout):
            self._report("ERROR", f"Task timed out after {timeout:.2f} seconds", task.request_id)
            message = f"RequestId: {task.request_id} Error: Task timed out after {timeout:.2f} seconds"
            task.finish(error_document("Sandbox.Timedout", message), error=True)
            self.stop("timed out")
        self._await_output()
        self.idle_since = time.monotonic()
        return Invocation(task.answer, task.error, "\n".join(list(self._lines)))

    def stop(self, reason: str = "stopped") -> None:
        """Kill the process; an event that it holds ends with an error."""
        self.stopped_because = self.stopped_because or reason
        self._process.kill()

    def join(self) -> None:
        """Wait until the killed process is gone."""
        self._process.wait(10)

    def next_task(self) -> _Task | None:
        """The next event, for the process that asks; None when it is over."""
        self._ready.set()
        return self._inbox.get()

    def init_failed(self, error: bytes) -> None:
        """The module could not be imported."""
        self._init_error = error
        self._ready.set()

    def answered(self, request_id: str, answer: bytes, *, error: bool) -> None:
        """The function has returned or raised."""
        if self._task is not None and self._task.request_id == request_id:
            self._task.finish(answer, error=error)

    def _spawn(self, forks: ForkServers | None) -> Process:
        order = Order(self.deployed.handler, str(self.deployed.task_root), self._environment())
        return forks.start(order, self.deployed.layers) if forks else started(order)

    def _environment(self) -> dict[str, str]:
        deployed, port = self.deployed, self._server.server_address[1]
        return {
            **common_environment(),
            "AWS_ACCESS_KEY_ID": access_key("function", deployed.region, deployed.name),
            "AWS_DEFAULT_REGION": deployed.region,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(deployed.memory),
            "AWS_LAMBDA_FUNCTION_NAME": deployed.name,
            "AWS_LAMBDA_FUNCTION_VERSION": deployed.version,
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{deployed.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": uuid.uuid4().hex,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
            "AWS_REGION": deployed.region,
            "LAMBDA_TASK_ROOT": str(deployed.task_root),
            "PYTHONPATH": os.pathsep.join(map(str, deployed.python_path)),
            "_HANDLER": deployed.handler,
            **deployed.environment,
        }

    def _start(self, target: Any) -> threading.Thread:
        thread = threading.Thread(target=target, name=f"worker {self.deployed.name}", daemon=True)
        thread.start()
        return thread

    def _copy_output(self) -> None:
        rest, written = b"", self._written_to()
        while written.poll():
            with self._copying:
                read = os.read(self._output.fileno(), 1 << 16)
                *lines, rest = (rest + read).split(b"\n")
                for raw in lines if read or not rest else [rest]:
                    self._write(raw.decode(errors="replace"))
            if not read:
                return

    def _await_output(self) -> None:
        """Wait until what the function wrote before it answered is copied: the answer takes another way."""
        written = self._written_to()
        while self._pump.is_alive() and written.poll(0):
            time.sleep(0.001)
        with self._copying:
            pass

    def _written_to(self) -> select.poll:
        """A poll of the function's output; `select` itself knows no more than 1,024 files."""
        found = select.poll()
        found.register(self._output, select.POLLIN)
        return found

    def _write(self, line: str) -> None:
        self._lines.append(line)
        if not self._log.closed:
            self._log.write(line + "\n")

    def _report(self, level: str, message: str, request_id: str) -> None:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._write(json.dumps({
            "timestamp": stamp, "level": level, "message": message, "service": "lambda",
            "function": self.deployed.name, "region": self.deployed.region, "function_request_id": request_id,
        }))  # fmt: skip

    def _await_exit(self) -> None:
        self._process.wait()
        self._pump.join(1)
        if self._task is not None:
            self._exited(self._task)
        if not self._ready.is_set():
            self._init_error = error_document("Runtime.ExitError", f"Runtime exited {self._ending()}")
            self._ready.set()
        self._inbox.put(None)
        self._server.shutdown()
        self._server.server_close()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()

    def _exited(self, task: _Task) -> None:
        if not task.done.is_set():
            message = f"RequestId: {task.request_id} Error: Runtime exited {self._ending()}"
            self._report("ERROR", message, task.request_id)
            task.finish(error_document("Runtime.ExitError", message), error=True)

    def _ending(self) -> str:
        if self.stopped_because:
            return f"because it was {self.stopped_because}"
        return f"with error: exit status {self._process.poll()}"

    def _failed_start(self) -> Invocation:
        self.stop("failed to start")
        self._pump.join(1)
        late = error_document("Sandbox.Timedout", f"Init timed out after {INIT_SECONDS:.0f} seconds")
        return Invocation(self._init_error or late, True, "\n".join(list(self._lines)))
