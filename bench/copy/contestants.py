"""One small class for each program that copies a bucket into another one: what it is told, first and again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench import tools
from bench.copy.workloads import contents
from bench.processes import Usage, run
from bench.server import Place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONCURRENT = 32


class Contestant:
    """A program that copies everything from one bucket into another one. What it took comes back by row."""

    name: ClassVar[str]
    first_by: ClassVar[str]  # the command behind each row, for the record
    again_by: ClassVar[str]
    versioned: ClassVar[bool] = True  # whether it copies into a bucket like the vault: versions kept, locks possible
    repeats: ClassVar[bool] = True  # whether it copies again
    rounds: ClassVar[int] = 5  # how many it takes part in
    names_versions: ClassVar[bool] = False  # whether it writes down which versions belong to which copy

    def first(self, source: str, destination: str) -> Mapping[str, Usage]:
        """Fill an empty destination."""
        return {self.name: self._copy(source, destination)}

    def again(self, source: str, destination: str) -> Mapping[str, Usage]:
        """Bring a destination, filled before, up to date."""
        return {self.name: self._copy(source, destination)}

    def takes(self, size: int) -> bool:
        """Return whether it takes part with objects of this size, in bytes."""
        return size > 0

    def holds(self, s3: S3Client, destination: str) -> dict[str, tuple[int, str]]:
        """Return size and ETag of what it has copied, by the source's key."""
        return contents(s3, destination)

    def locate(self, s3: S3Client, destination: str, key: str) -> dict[str, str] | None:
        """Return where its copy of a source key is, as arguments of a request; None where it says that it has none."""
        return {"Key": key}

    def remembers(self, s3: S3Client, destination: str, key: str) -> bool:
        """Return whether it still has the copy of a key that is gone from the source."""
        return key in self.holds(s3, destination)

    def _copy(self, source: str, destination: str) -> Usage:
        raise AssertionError(f"{self.name} does not say how it copies from {source} to {destination}")


class S5cmd(Contestant):
    """s5cmd: `cp` is its fastest way into an empty bucket, `sync` the one that skips what is there."""

    name = "s5cmd"
    first_by = "s5cmd cp"
    again_by = "s5cmd sync"

    def __init__(self, place: Place, folder: Path) -> None:
        self._program = tools.find("s5cmd")
        self._env = place.environment
        self._options = ["--endpoint-url", place.endpoint, "--log", "error"]

    def first(self, source: str, destination: str) -> Mapping[str, Usage]:
        """Copy with `cp`."""
        return {self.name: self._run("cp", source, destination)}

    def again(self, source: str, destination: str) -> Mapping[str, Usage]:
        """Copy with `sync`."""
        return {self.name: self._run("sync", source, destination)}

    def _run(self, verb: str, source: str, destination: str) -> Usage:
        return run([self._program, *self._options, verb, f"s3://{source}/*", f"s3://{destination}/"], env=self._env)


class S5cmdPlain(S5cmd):
    """s5cmd into a bucket that keeps no versions: less work for the server, and no protection."""

    name = "s5cmd, bucket without versions"
    versioned = False
    repeats = False
    rounds = 2


class Rclone(Contestant):
    """rclone, with the options that make it fast between buckets of one server."""

    name = "rclone"
    first_by = again_by = f"rclone sync --transfers {CONCURRENT} --checkers {CONCURRENT} --fast-list --checksum -M"

    def __init__(self, place: Place, folder: Path) -> None:
        self._program = tools.find("rclone")
        self._env = {
            "RCLONE_CONFIG": str(folder / "rclone.conf"),
            "RCLONE_CONFIG_S_TYPE": "s3",
            "RCLONE_CONFIG_S_PROVIDER": "Ceph",
            "RCLONE_CONFIG_S_ENDPOINT": place.endpoint,
            "RCLONE_CONFIG_S_REGION": place.region,
            "RCLONE_CONFIG_S_ACCESS_KEY_ID": place.access_key,
            "RCLONE_CONFIG_S_SECRET_ACCESS_KEY": place.secret_key,
        }
        (folder / "rclone.conf").touch()

    def _copy(self, source: str, destination: str) -> Usage:
        return run([self._program, *self.first_by.split()[1:], f"s:{source}", f"s:{destination}"], env=self._env)


class AwsSync(Contestant):
    """The AWS CLI's sync, with more requests at once than its ten."""

    name = "aws s3 sync"
    rounds = 2  # it is never among the fastest, and takes as long as two others
    first_by = again_by = f"aws s3 sync, max_concurrent_requests = {CONCURRENT}"

    def __init__(self, place: Place, folder: Path) -> None:
        self._program = tools.find("aws")
        config = folder / "aws.config"
        config.write_text(f"[default]\ns3 =\n  max_concurrent_requests = {CONCURRENT}\n  addressing_style = path\n")
        self._env = place.environment | {"AWS_CONFIG_FILE": str(config)}

    def _copy(self, source: str, destination: str) -> Usage:
        words = ["s3", "sync", f"s3://{source}", f"s3://{destination}", "--only-show-errors"]
        return run([self._program, *words], env=self._env)


PEERS = (S5cmd, Rclone, AwsSync)
