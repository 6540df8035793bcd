"""A recovery point: its phases, the objects it pins, and the manifest that seals it."""

from __future__ import annotations

import datetime as dt
import hashlib
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, computed_field

from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.policy import ModelPolicy

# SHA-256 by streaming stands in where the source has no full-object checksum of its own.
Algorithm = Literal[
    "CRC64NVME", "CRC32", "CRC32C", "SHA1", "SHA256", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"
]

# A sealed point's reason until the conclusion clears it, so that what dies after the seal is found and finished.
UNANNOUNCED = "its registration, route and event are not finished"


class Phase(StrEnum):
    """Where a recovery point stands. Only SEALED may be restored from."""

    CAPTURING = "CAPTURING"  # what belongs to the version is being pinned
    COPYING = "COPYING"  # bytes are moving
    VERIFYING = "VERIFYING"  # bytes are compared with the pinned checksums
    SEALED = "SEALED"  # verified, locked, manifest written: usable
    FAILED = "FAILED"  # the reason says why; a later event or `mldr protect` resumes

    @property
    def restorable(self) -> bool:
        """Whether recovery may use a point in this phase."""
        return self is Phase.SEALED


class Checksum(Frozen):
    """A full-object checksum as S3 writes it: base64. `streamed` says that mldr read the bytes to compute it."""

    algorithm: Algorithm
    value: str
    streamed: bool = False


class SourceVersion(Frozen):
    """One version of one object in the active region; version `null` where the bucket keeps no versions."""

    bucket: str
    key: str
    version_id: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key} (version {self.version_id})"


class PinnedObject(Frozen):
    """An object of the source as it was when it was pinned, and its key in the vault."""

    source: SourceVersion
    key: str
    size: int = Field(ge=0)  # bytes
    etag: str
    checksum: Checksum
    content_type: str = "binary/octet-stream"
    metadata: dict[str, str] = {}


class SealedObject(Frozen):
    """An object in the vault, verified against its pinned source."""

    key: str
    version_id: str
    size: int  # bytes
    checksum: Checksum
    source: SourceVersion


class Rewrite(Frozen):
    """One reference of the registry's record and what stands for it in the standby region."""

    path: str  # e.g. InferenceSpecification.Containers[0].Image
    kind: Literal["s3-object", "s3-prefix", "image", "kms-key", "region", "lineage"]
    source: str
    target: str


class Retention(Frozen):
    """How long, and how strictly, S3 Object Lock keeps the sealed objects."""

    mode: Literal["GOVERNANCE", "COMPLIANCE"]
    until: dt.datetime


class Plan(Frozen):
    """Everything that was pinned for one recovery point: what the copy works from."""

    rewrites: tuple[Rewrite, ...]
    objects: tuple[PinnedObject, ...]
    golden_key: str | None

    @property
    def bytes(self) -> int:
        """Return the size of all objects, in bytes."""
        return sum(item.size for item in self.objects)


class Golden(Frozen):
    """Where the golden inferences are in the vault."""

    key: str
    version_id: str


class Origin(Frozen):
    """Where a version was promoted, and when."""

    region: str
    version: str
    arn: str
    promoted_at: dt.datetime


class Manifest(Frozen):
    """The sealed statement of what a recovery point holds. Written last, once, and locked."""

    schema_version: Literal[1] = 1
    recovery_point: str
    model: ModelKey
    origin: Origin
    standby_region: str
    sealed_at: dt.datetime
    retention: Retention
    policy: ModelPolicy
    policy_version: str
    registry_document: dict[str, Any]
    rewrites: tuple[Rewrite, ...]
    golden: Golden | None
    objects: tuple[SealedObject, ...]


class Record(Frozen):
    """What the catalog knows about a recovery point."""

    model: ModelKey
    recovery_point: str
    phase: Phase
    attempt: int
    origin: Origin
    started_at: dt.datetime
    reason: str = ""
    objects: int = 0
    bytes: int = 0
    sealed_at: dt.datetime | None = None
    manifest_version: str | None = None
    target_arn: str | None = None
    withdrawn: str | None = None
    warnings: tuple[str, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def restorable(self) -> bool:
        """Whether recovery would use this point: sealed, and its approval not taken back."""
        return self.phase.restorable and self.withdrawn is None


def newest_restorable(records: list[Record]) -> Record | None:
    """Return the restorable point of the version that was promoted last, or None.

    The promotion decides, not the sealing: an old version whose copy took longer must not win. Nor must an old version
    whose record was edited: that makes another point of the same version, but no promotion.
    """
    promoted: dict[str, dt.datetime] = {}
    for record in records:
        first = promoted.get(record.origin.arn, record.origin.promoted_at)
        promoted[record.origin.arn] = min(first, record.origin.promoted_at)
    usable = [record for record in records if record.restorable]
    return max(
        usable,
        key=lambda record: (promoted[record.origin.arn], record.origin.promoted_at, record.started_at),
        default=None,
    )


def prefix(model: ModelKey, recovery_point: str) -> str:
    """Return the vault prefix of everything that belongs to a recovery point."""
    return f"recovery-points/{model.registry}/{model.name}/{recovery_point}"


def manifest_key(model: ModelKey, recovery_point: str) -> str:
    """Return the vault key of the manifest."""
    return f"{prefix(model, recovery_point)}/manifest.json"


def work_key(model: ModelKey, recovery_point: str, name: str) -> str:
    """Return the vault key of a working file. Recovery never reads these; a lifecycle rule removes them."""
    return f"in-progress/{model.registry}/{model.name}/{recovery_point}/{name}"


def pins_digest(sources: list[tuple[SourceVersion, str]]) -> str:
    """Return a short digest of pinned versions: the same pins give the same vault keys, so that a copy can resume."""
    lines = sorted(f"{source.bucket}\n{source.key}\n{source.version_id}\n{etag}" for source, etag in sources)
    return hashlib.sha256("\n\n".join(lines).encode()).hexdigest()[:12]
