"""Starts inside a function's process: runs awslambdaric, or a loop of the same contract where that cannot run.

awslambdaric has no build for macOS; the loop that stands in there is tested on Linux only, never yet on macOS.
"""

import importlib
import json
import os
import runpy
import sys
import threading
import time
import traceback
from collections.abc import Callable
from http.client import HTTPConnection, HTTPMessage
from types import TracebackType
from typing import Any

API = "/2018-06-01/runtime"
Handler = Callable[[Any, Any], Any]


def die_with_parent() -> None:
    """End this process when the other end of its standard input is gone, however the parent died."""
    os.read(0, 1)
    os._exit(0)


def use_own_loop() -> bool:
    """Is this a place where awslambdaric cannot run, or was the loop asked for?"""
    return os.environ.get("MLDR_BOOTSTRAP") == "own" or not sys.platform.startswith("linux")


class Context:
    """What a handler is told about its invocation."""

    def __init__(self, headers: HTTPMessage) -> None:
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.client_context = None
        self.identity = None
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is stopped."""
        return max(self._deadline - int(time.time() * 1000), 0)


class Api:
    """The Runtime API of this environment."""

    def __init__(self, address: str) -> None:
        self._connection = HTTPConnection(address)

    def next(self) -> tuple[HTTPMessage, bytes]:
        """Block until there is an event."""
        self._connection.request("GET", f"{API}/invocation/next")
        response = self._connection.getresponse()
        return response.headers, response.read()

    def post(self, path: str, body: dict[str, Any] | str) -> None:
        """Answer with a result (text) or an error (a document)."""
        text = body if isinstance(body, str) else json.dumps(body)
        self._connection.request("POST", f"{API}/{path}", text.encode(), {"Content-Type": "application/json"})
        self._connection.getresponse().read()


def fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> dict[str, Any]:
    """An error as Lambda reports it: the type is the bare name of the class."""
    return {"errorType": kind.__name__, "errorMessage": str(error), "stackTrace": traceback.format_tb(trace)}


def load(handler: str) -> Handler:
    """Import the function's handler."""
    module, _, name = handler.rpartition(".")
    found: Handler = getattr(importlib.import_module(module.replace("/", ".")), name)
    return found


def serve(handler: str, api: Api) -> None:
    """Answer events until the process is stopped."""
    try:
        handle = load(handler)
    except Exception as error:  # noqa: BLE001 whatever the module raised is the answer
        kind = "Runtime.ImportModuleError" if isinstance(error, ImportError) else type(error).__name__
        api.post("init/error", {**fault(type(error), error, error.__traceback__), "errorType": kind})
        sys.exit(1)
    while True:
        answer(handle, api, *api.next())


def answer(handle: Handler, api: Api, headers: HTTPMessage, body: bytes) -> None:
    """Run the handler on one event and post what came of it."""
    invocation = f"invocation/{headers['Lambda-Runtime-Aws-Request-Id']}"
    try:
        result = json.dumps(handle(json.loads(body), Context(headers)))
    except Exception as error:  # noqa: BLE001 whatever the handler raised is the answer
        traceback.print_exc()
        api.post(f"{invocation}/error", fault(type(error), error, error.__traceback__))
    else:
        api.post(f"{invocation}/response", result)


def main() -> None:
    """Run the handler that the command line names."""
    threading.Thread(target=die_with_parent, daemon=True).start()
    if use_own_loop():
        serve(sys.argv[1], Api(os.environ["AWS_LAMBDA_RUNTIME_API"]))
    else:
        runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
