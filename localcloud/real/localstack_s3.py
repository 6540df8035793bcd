"""LocalStack's S3, unchanged, in a Python 3.13 of its own: the second opinion on checksums and conditional copies."""

from __future__ import annotations

import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcloud.real.access import REGION, Access
from localcloud.real.places import LOCALSTACK_PYTHON
from localcloud.real.processes import NotStarted, Processes, free_port, working_directory

# LocalStack reads the account from the access key.
ROOT = Access("123456789012", "mldrlocalsecret")
KEY_ID = f"arn:aws:kms:{REGION}:123456789012:key/mldr-local"
READY_SCRIPT = Path(__file__).with_name("localstack_empty.py")
SETTINGS = {
    "SERVICES": "s3",
    "EAGER_SERVICE_LOADING": "1",
    "DISABLE_EVENTS": "1",
    "DNS_ADDRESS": "0",
    "LS_LOG": "warning",
    "SKIP_SSL_CERT_DOWNLOAD": "1",
    "OVERRIDE_IN_DOCKER": "0",
}


@dataclass(frozen=True)
class LocalStackS3:
    """A running server. It checks no signature and no policy; its buckets and objects go with it."""

    endpoint_url: str
    access_key: str
    secret_key: str
    key_id: str
    region: str = REGION

    @classmethod
    @contextmanager
    def started(cls, directory: Path | None = None) -> Iterator[LocalStackS3]:
        """Yield a server that keeps its data in a directory (default: a temporary one); NotStarted if it fails."""
        if not LOCALSTACK_PYTHON.exists():
            raise NotStarted("LocalStack is not installed: python -m localcloud.real install localstack")
        with working_directory(directory) as root, Processes(root / "log") as processes:
            port = free_port()
            server = cls(f"http://127.0.0.1:{port}", ROOT.access_key, ROOT.secret_key, KEY_ID)
            command = [str(LOCALSTACK_PYTHON), "-m", "localstack.runtime.main"]
            processes.start("localstack", command, _environment(root, port))
            processes.wait_until("LocalStack's S3 is ready", server._ready, 120)
            yield server

    def fresh_access(self) -> Access:
        """Return keys that see no bucket yet. LocalStack has one namespace: every other bucket is forgotten."""
        request = urllib.request.Request(f"{self.endpoint_url}/_mldr/empty", method="POST")  # noqa: S310 - loopback
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - the same
        return ROOT

    def collect_garbage(self) -> None:
        """LocalStack frees what is deleted at once."""

    def _ready(self) -> bool:
        try:
            address = f"{self.endpoint_url}/_localstack/init/ready"
            with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310 - loopback
                return bool(json.load(answer)["completed"])
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def _environment(root: Path, port: int) -> dict[str, str]:
    """The settings, and our script where LocalStack looks for what to run when it is ready."""
    scripts = root / "files/etc/localstack/init/ready.d"
    scripts.mkdir(parents=True, exist_ok=True)
    shutil.copy(READY_SCRIPT, scripts)
    (root / "tmp").mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    places = {"FILESYSTEM_ROOT": str(root / "files"), "TMPDIR": str(root / "tmp")}
    return {**kept, **SETTINGS, **places, "GATEWAY_LISTEN": f"127.0.0.1:{port}"}
