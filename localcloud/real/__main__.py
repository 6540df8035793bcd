"""python -m localcloud.real radosgw | localstack | dynamodb-local | install [servers]: one server until Ctrl-C."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from typing import NoReturn

from localcloud.real.dynamodb_local import DynamoDbLocal
from localcloud.real.install import SERVERS, install
from localcloud.real.localstack_s3 import LocalStackS3
from localcloud.real.processes import NotHere, NotStarted
from localcloud.real.radosgw import Radosgw

KINDS: dict[str, type[Radosgw | LocalStackS3 | DynamoDbLocal]] = {
    "radosgw": Radosgw,
    "localstack": LocalStackS3,
    "dynamodb-local": DynamoDbLocal,
}


def main(words: list[str]) -> int:
    """Return the exit code: 0, 1 when something could not be had, 2 for words that mean nothing."""
    command, *names = words or [""]
    if command == "install" and set(names) <= set(SERVERS):
        return _install(names or list(SERVERS))
    if command not in KINDS or names:
        _say(__doc__ or "")
        return 2
    try:
        _serve(command)
    except NotStarted as problem:
        _say(str(problem))
        return 1
    return 0


def _install(names: list[str]) -> int:
    for name in names:
        try:
            install(name)
        except NotHere as absent:
            _say(f"{name} is left out: {absent}")
        except NotStarted as problem:
            _say(str(problem))
            return 1
    return 0


def _serve(name: str) -> None:
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, _interrupt)
    with suppress(KeyboardInterrupt), KINDS[name].started() as server:
        exports = {
            "AWS_ENDPOINT_URL": server.endpoint_url,
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_DEFAULT_REGION": server.region,
        }
        _say("\n".join(f"export {name}={value}" for name, value in exports.items()))
        signal.pause()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
