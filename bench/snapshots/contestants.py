"""One small class for each program that takes snapshots: what it is told, first and again."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol

from bench import tools
from bench.processes import Usage, run
from bench.server import Place

JOBS = "32"


class Contestant(Protocol):
    """A program that keeps snapshots of a dataset in a bucket."""

    name: ClassVar[str]
    reads: ClassVar[str]  # where the dataset has to be for it
    command: ClassVar[str]

    def prepare(self, data: Path, bucket: str) -> Path:
        """Make the repository; return where the data has to be from now on."""

    def snapshot(self) -> Usage:
        """Take a snapshot, the first one or the next."""

    def verify(self) -> Usage:
        """Check what is kept, as far as the program does."""


class Restic:
    """restic: packs and encrypts what it reads from a folder."""

    name = "restic"
    reads = "local files"
    command = "restic backup; verified by restic check --read-data"

    def __init__(self, place: Place, folder: Path) -> None:
        self._program = tools.find("restic")
        self._place, self._folder = place, folder
        self._data, self._env = folder, dict[str, str]()

    def prepare(self, data: Path, bucket: str) -> Path:
        """Make an empty repository."""
        self._data = data
        self._env = self._place.environment | {
            "RESTIC_REPOSITORY": f"s3:{self._place.endpoint}/{bucket}",
            "RESTIC_PASSWORD": "bench",
            "RESTIC_CACHE_DIR": str(self._folder / "restic-cache"),
        }
        self._run("init")
        return data

    def snapshot(self) -> Usage:
        """Back up the folder."""
        return self._run("backup", str(self._data))

    def verify(self) -> Usage:
        """Read everything and compare."""
        return self._run("check", "--read-data")

    def _run(self, *words: str) -> Usage:
        return run([self._program, *words, "-o", f"s3.connections={JOBS}", "--quiet"], env=self._env)


class Dvc:
    """dvc: one object for each content, under its MD5."""

    name = "dvc"
    reads = "local files"
    command = f"dvc add, dvc push -j {JOBS}; dvc status --cloud looks at names only"

    def __init__(self, place: Place, folder: Path) -> None:
        self._program = tools.find("dvc")
        self._place, self._folder = place, folder / "dvc"
        self._env = place.environment | {
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(folder / "dvc-site"),
            "HOME": str(folder),
        }

    def prepare(self, data: Path, bucket: str) -> Path:
        """Make a project around the data whose remote is the bucket."""
        self._folder.mkdir()
        data.rename(self._folder / "data")
        self._run("init", "--no-scm")
        self._run("remote", "add", "--default", "bench", f"s3://{bucket}")
        self._run("remote", "modify", "bench", "endpointurl", self._place.endpoint)
        return self._folder / "data"

    def snapshot(self) -> Usage:
        """Add the folder and push what is new."""
        added, pushed = self._run("add", "data"), self._run("push", "--jobs", JOBS)
        return Usage(added.seconds + pushed.seconds, added.cpu + pushed.cpu, max(added.peak_mib, pushed.peak_mib))

    def verify(self) -> Usage:
        """Look whether the remote has every name; it does not read the bytes."""
        return self._run("status", "--cloud")

    def _run(self, *words: str) -> Usage:
        return run([self._program, *words, "--quiet"], env=self._env, cwd=self._folder)
