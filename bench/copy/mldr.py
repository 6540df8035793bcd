"""mldr's own contestants: the product's steps in a process of its own, started anew for every copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.copy.contestants import Contestant
from bench.copy.workloads import MIB
from bench.engine import Engine
from bench.processes import Usage
from bench.server import Place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WARM = ", warm"


class Mldr(Contestant):
    """mldr: list, plan, copy, verify, lock, and seal a manifest. Its copies are never written over."""

    name = "mldr"
    first_by = again_by = "a snapshot of the bucket: list, plan, copy, verify, lock, seal"
    names_versions = True
    limits: ClassVar[dict[str, int] | None] = None

    def __init__(self, place: Place, folder: Path) -> None:
        self._engine = Engine(place, self.limits)

    def first(self, source: str, destination: str) -> Mapping[str, Usage]:
        """Take the first snapshot."""
        return self._taken(source, destination, None)

    def again(self, source: str, destination: str) -> Mapping[str, Usage]:
        """Take the next snapshot: everything is listed, only what has changed is copied."""
        return self._taken(source, destination, None)

    def told(self, changed: Sequence[str]) -> Callable[[str, str], Mapping[str, Usage]]:
        """Return how to take the next snapshot from the events that named what has changed: nothing is listed."""
        return lambda source, destination: self._taken(source, destination, changed)

    def _taken(self, source: str, destination: str, changed: Sequence[str] | None) -> Mapping[str, Usage]:
        whole, ready = self._engine.snapshot(f"s3://{source}/", destination, changed)
        return {self.name: whole, self.name + WARM: ready}

    def holds(self, s3: S3Client, destination: str) -> dict[str, tuple[int, str]]:
        """Return size and ETag of every line of the newest manifest, by the source's key."""
        lines = self._engine.lines(s3, destination)
        return {key: (entry.size, f'"{entry.etag}"') for key, entry in lines.items() if entry.copied}

    def locate(self, s3: S3Client, destination: str, key: str) -> dict[str, str] | None:
        """Return the vault key and version that the newest manifest names."""
        entry = self._engine.lines(s3, destination).get(key)
        return {"Key": entry.key, "VersionId": entry.version_id} if entry else None

    def remembers(self, s3: S3Client, destination: str, key: str) -> bool:
        """Return whether an earlier manifest, still locked, has the copy."""
        entry = self._engine.lines(s3, destination, 0).get(key)
        return bool(entry and s3.head_object(Bucket=destination, Key=entry.key, VersionId=entry.version_id))


class MldrInParts(Mldr):
    """mldr with the limit for one call lowered, so that the bytes move part by part as in a copy of more than 5 GB."""

    name = "mldr, in parts"
    repeats = False
    rounds = 2
    limits = {"single_copy": 64 * MIB, "part": 64 * MIB}

    def takes(self, size: int) -> bool:
        """Return whether an object is larger than one part."""
        return size > 64 * MIB
