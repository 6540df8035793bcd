"""Turns what moto stores about a function into something that can be run: its code and layers on disk, its settings."""

import hashlib
import io
import json
import os
import shutil
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moto.awslambda.models import LambdaFunction, lambda_backends

from localcloud.lambda_worker import Deployed


class CodeStore:
    """Unpacked code, one folder per digest; unpacked once."""

    def __init__(self, root: Path, overrides: Mapping[str, str]) -> None:
        self._root = root
        self._overrides = overrides
        self._lock = threading.Lock()

    def deployed(self, function: LambdaFunction) -> Deployed:
        """The function as its worker needs it."""
        code = self._unpacked(function.code_sha_256, function.code_bytes)
        layers = self._layers(function)
        environment = {**{key: str(value) for key, value in function.environment_vars.items()}, **self._overrides}
        settings = [str(code), function.handler, function.timeout, function.memory_size, environment, layers]
        return Deployed(
            region=function.region,
            name=function.function_name,
            arn=function.function_arn,
            handler=str(function.handler),
            version="$LATEST",
            timeout=float(function.timeout or 3),
            memory=int(function.memory_size),
            reserved=_number(function.reserved_concurrency),
            task_root=code,
            python_path=(code, *(Path(layer) / "python" for layer in layers)),
            environment=environment,
            fingerprint=hashlib.sha256(json.dumps(settings).encode()).hexdigest(),
        )

    def _layers(self, function: LambdaFunction) -> list[str]:
        backend = lambda_backends[function.account_id][function.region]
        versions: list[Any] = [backend.layers_versions_by_arn(layer["Arn"]) for layer in function.layers]
        return [str(self._unpacked(version.code_sha_256, version.code_bytes)) for version in reversed(versions)]

    def _unpacked(self, digest: str, archive: bytes) -> Path:
        target = self._root / hashlib.sha256(digest.encode()).hexdigest()[:24]
        with self._lock:
            if not target.exists():
                draft = target.with_suffix(f".{os.getpid()}")
                shutil.rmtree(draft, ignore_errors=True)
                with zipfile.ZipFile(io.BytesIO(archive)) as packed:
                    packed.extractall(draft)
                draft.rename(target)
        return target


def _number(value: object) -> int | None:
    return None if value in (None, "") else int(str(value))
