"""The inside of a model container: SageMaker's scikit-learn serving contract in a process of its own.

Reads one line of JSON from stdin (what to load), downloads the artifact from S3 itself, loads `code/inference.py` and
answers GET /ping and POST /invocations. Says on stdout where it listens, then that it is ready, or why not. Ends when
stdin closes, so that it never outlives the process that started it. The model's own script must bring `model_fn`;
`input_fn`, `predict_fn` and `output_fn` (or `transform_fn`) have the container's defaults for JSON, CSV and NPY.
"""

import importlib.util
import io
import json
import os
import sys
import tarfile
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
TEXT_TYPES = (JSON, CSV)


class CannotLoad(Exception):
    """The artifact cannot be served; the text is SageMaker's FailureReason."""


class Unsupported(Exception):
    """A content type that the container's defaults do not know; carries the HTTP status."""

    def __init__(self, status: int, what: str, kind: str) -> None:
        super().__init__(f"{what} {kind} is not supported")
        self.status = status


def fetch(spec: dict[str, Any], into: Path) -> None:
    """Download the artifact and unpack it."""
    import boto3
    from botocore.exceptions import ClientError

    s3 = boto3.client("s3", region_name=spec["region"])
    bucket, key = urlsplit(spec["url"]).netloc, urlsplit(spec["url"]).path.lstrip("/")
    try:
        if spec["form"] == "prefix":
            fetch_prefix(s3, bucket, key, into)
        elif spec["form"] == "object":
            s3.download_file(bucket, key, str(into / Path(key).name))
        else:
            archive = into.with_suffix(".tar.gz")
            s3.download_file(bucket, key, str(archive))
            unpack(archive, into)
    except ClientError as refused:
        raise CannotLoad(
            f'Failed to download model data for container "container_1" from URL: "{spec["url"]}". Please ensure that '
            "there is an object located at the URL and that the role passed to CreateModel has permissions to download "
            f"the object. ({refused})"
        ) from refused
    except (tarfile.TarError, EOFError, OSError) as broken:
        raise CannotLoad(
            f'Failed to extract model data archive for container "container_1" from URL "{spec["url"]}". Please ensure '
            f"that the object located at the URL is a valid tar.gz archive. ({broken})"
        ) from broken


def fetch_prefix(s3: Any, bucket: str, prefix: str, into: Path) -> None:
    """Download every object under the prefix."""
    found = False
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for listed in page.get("Contents", ()):
            name = listed["Key"][len(prefix) :].lstrip("/")
            if name and not name.endswith("/"):
                target = inside(into, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                s3.download_file(bucket, listed["Key"], str(target))
                found = True
    if not found:
        raise CannotLoad(f'Could not find model data at "s3://{bucket}/{prefix}".')


def unpack(archive: Path, into: Path) -> None:
    """Extract files and directories only, and nothing outside the model's directory."""
    with tarfile.open(archive, "r:gz") as packed:
        for member in packed:
            target = inside(into, member.name)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            source = packed.extractfile(member) if member.isfile() else None
            if source is None:
                raise tarfile.TarError(f"{member.name} is neither a file nor a directory")
            target.parent.mkdir(parents=True, exist_ok=True)
            with source, target.open("wb") as out:
                while chunk := source.read(1 << 20):
                    out.write(chunk)
    archive.unlink()


def inside(root: Path, name: str) -> Path:
    """The path below root; refuses one that leaves it."""
    target = (root / name).resolve()
    if not target.is_relative_to(root.resolve()):
        raise tarfile.TarError(f"{name} lies outside the model")
    return target


class Model:
    """A loaded model and the functions of its script, the container's defaults filling the gaps."""

    def __init__(self, directory: Path, script: ModuleType) -> None:
        if not hasattr(script, "model_fn"):
            raise CannotLoad("Please provide a model_fn implementation.")
        self._script = script
        self._model = script.model_fn(str(directory))

    def answer(self, body: bytes, kind: str, accept: str) -> tuple[bytes, str]:
        """From the request's body to the response's body and its content type."""
        content: bytes | str = body.decode() if kind in TEXT_TYPES else body
        if hasattr(self._script, "transform_fn"):
            return encoded(self._script.transform_fn(self._model, content, kind, accept), accept)
        data = getattr(self._script, "input_fn", default_input)(content, kind)
        predict = getattr(self._script, "predict_fn", None)
        prediction = predict(data, self._model) if predict else self._model.predict(data)
        return encoded(getattr(self._script, "output_fn", default_output)(prediction, accept), accept)


def load(directory: Path, environment: dict[str, str]) -> Model:
    """Import the model's script and let it load the model."""
    code = directory / "code"
    script = code / environment.get("SAGEMAKER_PROGRAM", "inference.py")
    if not script.is_file():
        raise CannotLoad(f"The archive holds no code/{script.name}; a scikit-learn container needs its model_fn.")
    sys.path.insert(0, str(code))
    spec = importlib.util.spec_from_file_location(script.stem, script)
    if spec is None or spec.loader is None:
        raise CannotLoad(f"code/{script.name} is no Python module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)
    return Model(directory, module)


def default_input(content: bytes | str, kind: str) -> Any:
    """The container's own decoding."""
    import numpy as np

    if kind == JSON:
        return np.array(json.loads(content)).astype(np.float32)
    if kind == CSV and isinstance(content, str):
        return np.genfromtxt(io.StringIO(content), dtype=np.float32, delimiter=",")
    if kind == NPY and isinstance(content, bytes):
        return np.load(io.BytesIO(content), allow_pickle=False)
    raise Unsupported(415, "Content type", kind)


def default_output(prediction: Any, accept: str) -> tuple[bytes, str]:
    """The container's own encoding."""
    import numpy as np

    array = np.asarray(prediction)
    if accept in (JSON, "*/*"):
        return json.dumps(array.tolist()).encode(), JSON
    out = io.BytesIO()
    if accept == CSV:
        np.savetxt(out, array, delimiter=",", fmt="%s")
    elif accept == NPY:
        np.save(out, array, allow_pickle=False)
    else:
        raise Unsupported(406, "Accept", accept)
    return out.getvalue(), accept


def encoded(answer: Any, accept: str) -> tuple[bytes, str]:
    """What a script may return: a body, or a body with its content type."""
    body, kind = answer if isinstance(answer, tuple) else (answer, JSON if accept == "*/*" else accept)
    return (body.encode() if isinstance(body, str) else bytes(body)), kind


class Server(ThreadingHTTPServer):
    """Answers 503 until the model is loaded."""

    daemon_threads = True
    request_queue_size = 64
    model: Model | None = None


class Handler(BaseHTTPRequestHandler):
    """The two paths of the contract."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        """Health."""
        known = self.path == "/ping"
        self._send(404 if not known else 200 if self.server.model else 503, b"\n", JSON)

    def do_POST(self) -> None:
        """Predictions."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/invocations" or self.server.model is None:
            self._send(503 if self.path == "/invocations" else 404, b"", JSON)
            return
        kind, accept = self.headers.get("Content-Type") or JSON, self.headers.get("Accept") or "*/*"
        try:
            answer, answered = self.server.model.answer(body, kind.partition(";")[0].strip(), accept)
        except Unsupported as refused:
            self._send(refused.status, str(refused).encode(), "text/plain")
        except Exception as fault:  # noqa: BLE001 - the model's script may raise anything; the client is told
            traceback.print_exc()
            self._send(500, f"{type(fault).__name__}: {fault}".encode(), "text/plain")
        else:
            self._send(200, answer, answered)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Stay quiet."""

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def main() -> None:
    """Serve one model until stdin closes."""
    report = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    spec = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=end_with_parent, daemon=True).start()
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    report.write(json.dumps({"port": server.server_address[1]}) + "\n")
    directory = Path(spec["directory"])
    directory.mkdir(parents=True, exist_ok=True)
    try:
        fetch(spec, directory)
        server.model = load(directory, spec["environment"])
        report.write(json.dumps({"loaded": True}) + "\n")
    except CannotLoad as refused:
        report.write(json.dumps({"failed": str(refused)}) + "\n")
    except Exception:  # noqa: BLE001 - the model's script may raise anything; /ping never answers 200 then
        traceback.print_exc()
        report.write(json.dumps({"unloaded": True}) + "\n")
    threading.Event().wait()


def end_with_parent() -> None:
    """stdin is a pipe that the parent holds; when it closes, the parent is gone or wants us to go."""
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
