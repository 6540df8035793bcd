"""`mldr local up`: the local cloud in the foreground, from start to Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Callable

from localcloud.cloud import Cloud, Options
from localcloud.deploy.errors import DeployError

__all__ = ["Options", "up"]
Say = Callable[[str], None]


def up(options: Options, say: Say | None = None) -> int:
    """Start, deploy, say `ready` and the environment to export, and wait for a signal; returns the exit code."""
    tell = say or _print
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        cloud = Cloud(options)
    except OSError as taken:
        tell(f"cannot listen: {taken}")
        return 1
    try:
        return _run(cloud, stopped, tell)
    finally:
        cloud.stop()


def _run(cloud: Cloud, stopped: threading.Event, tell: Say) -> int:
    cloud.start()
    for region in cloud.options.regions:
        if stopped.is_set():
            return 0
        tell(f"deploying {cloud.options.template.name} to {region}")
        try:
            cloud.deploy(region)
        except DeployError as reason:
            tell(f"deployment failed: {reason}")
            return 1
    tell("ready")
    for name, value in cloud.environment().items():
        tell(f"export {name}={value}")
    stopped.wait()
    tell("stopping")
    return 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
