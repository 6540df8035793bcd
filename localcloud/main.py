"""`mldr local up`: the local cloud in the foreground, from start to Ctrl-C."""

import signal
import sys
import time
from collections.abc import Callable

from localcloud.cloud import Cloud, Options
from localcloud.deploy.errors import DeployError

__all__ = ["Options", "up"]
Say = Callable[[str], None]
NAP = 0.2  # seconds


class Stop:
    """A signal handler that remembers. No Event: its lock may be held by the very thread that handles the signal,
    and a wait without an end is not woken when the kernel gives the signal to another thread.
    """

    asked = False

    def __call__(self, *_: object) -> None:
        """Take note."""
        self.asked = True

    def wait(self) -> None:
        """Return once a signal has come."""
        while not self.asked:
            time.sleep(NAP)


def up(options: Options, say: Say | None = None) -> int:
    """Start, deploy, say `ready` and the environment to export, and wait for a signal; returns the exit code."""
    tell = say or _print
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        cloud = Cloud(options)
    except OSError as taken:
        return _cannot_listen(tell, taken)
    try:
        try:
            cloud.start()
        except OSError as taken:
            return _cannot_listen(tell, taken)
        return _run(cloud, stop, tell)
    finally:
        cloud.stop()


def _cannot_listen(tell: Say, taken: OSError) -> int:
    tell(f"cannot listen: {taken}; choose other ports with --port, --dns-port and --http-port")
    return 1


def _run(cloud: Cloud, stop: Stop, tell: Say) -> int:
    for region in cloud.options.everywhere:
        if stop.asked:
            return 0
        tell(f"deploying {cloud.options.template.name} to {region}")
        try:
            cloud.deploy(region)
        except DeployError as reason:
            tell(f"deployment failed: {reason}")
            return 1
    if cloud.options.witness:
        cloud.share_token()
    tell("ready")
    for name, value in cloud.environment().items():
        tell(f"export {name}={value}")
    stop.wait()
    tell("stopping")
    return 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
