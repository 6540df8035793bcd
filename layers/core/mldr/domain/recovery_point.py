"""A recovery point: its phases, the objects it pins, and the manifest that seals it."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import computed_field

from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.manifests import ShardRef
from mldr.domain.policy import CRITICALITY_TAG, TIER_TAG, ModelPolicy

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


class Rewrite(Frozen):
    """One reference of the registry's record and what stands for it in the standby region."""

    path: str  # e.g. InferenceSpecification.Containers[0].Image
    kind: Literal["s3-object", "s3-prefix", "image", "kms-key", "region", "named", "lineage"]
    source: str
    target: str


class Retention(Frozen):
    """How long, and how strictly, S3 Object Lock keeps the sealed objects."""

    mode: Literal["GOVERNANCE", "COMPLIANCE"]
    until: dt.datetime


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


class DatasetSnapshot(Frozen):
    """The snapshot of a dataset that was the newest when a recovery point was sealed."""

    name: str
    snapshot: str


class Manifest(Frozen):
    """The sealed statement of what a recovery point holds. Written last, once, and locked.

    Its lines, one for each object, are in the shards.
    """

    schema_version: Literal[2] = 2
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
    shards: tuple[ShardRef, ...]  # in the order of names
    objects: int
    bytes: int
    shared: int  # objects whose copy belongs to an older point: copied into the layout before they are served
    layout: str  # the vault prefix under which the objects stand by name
    datasets: tuple[DatasetSnapshot, ...] = ()


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
    damaged: str | None = None
    warnings: tuple[str, ...] = ()
    tier_tag: str | None = None  # as the model's group was tagged when its version was last described
    criticality_tag: str | None = None

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags of the model's group that lie over the policy."""
        found = {TIER_TAG: self.tier_tag, CRITICALITY_TAG: self.criticality_tag}
        return {name: value for name, value in found.items() if value}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def restorable(self) -> bool:
        """Whether recovery would use this point: sealed, its approval not taken back, its bytes not found damaged."""
        return self.phase.restorable and self.withdrawn is None and self.damaged is None

    @property
    def condition(self) -> str:
        """Return why recovery would not use this point, else its phase."""
        return self.damaged or self.withdrawn or self.phase


def newest_restorable(records: list[Record]) -> Record | None:
    """Return the restorable point of the version that was promoted last, or None.

    The promotion decides, not the sealing: an old version whose copy took longer must not win.
    """
    return _newest(records, [record for record in records if record.restorable])


def newest_damaged(records: list[Record]) -> Record | None:
    """Return the damaged point that recovery would choose if it were sound, None where the newest one is.

    What was made of it before has its own copy of the weights, and is the version that the other region serves.
    """
    newest = _newest(records, [one for one in records if one.phase.restorable and one.withdrawn is None])
    return newest if newest and newest.damaged else None


class Points(Frozen):
    """What one reading of a model's points says: which recovery would choose, and the newest while it is damaged."""

    sound: Record | None
    damaged: Record | None

    @classmethod
    def of(cls, records: list[Record]) -> Self:
        """Return what these records say. A second reading may say something else: it is passed on, not repeated."""
        return cls(sound=newest_restorable(records), damaged=newest_damaged(records))

    @property
    def ruling(self) -> Record | None:
        """Return the point whose tags rule what stands and what is captured for it."""
        return self.damaged or self.sound


def _newest(records: list[Record], usable: list[Record]) -> Record | None:
    promoted = promotions(records)
    return max(
        usable,
        key=lambda record: (promoted[record.origin.arn], record.origin.promoted_at, record.started_at),
        default=None,
    )


def promoted_since(records: list[Record], recovery_point: str) -> Record | None:
    """Return a point of a version that was promoted after the one of this point, None while that is the newest.

    It counts also while it is being made, or could not be: it is what the other region serves by then.
    """
    promoted = promotions(records)
    claimed = next((promoted[one.origin.arn] for one in records if one.recovery_point == recovery_point), None)
    later = [one for one in records if claimed and not one.withdrawn and promoted[one.origin.arn] > claimed]
    return max(later, key=lambda one: promoted[one.origin.arn], default=None)


def promotions(records: list[Record]) -> dict[str, dt.datetime]:
    """Return when each version was promoted, by ARN: a record that was edited later is no other promotion."""
    promoted: dict[str, dt.datetime] = {}
    for record in records:
        first = promoted.get(record.origin.arn, record.origin.promoted_at)
        promoted[record.origin.arn] = min(first, record.origin.promoted_at)
    return promoted


def prefix(model: ModelKey, recovery_point: str) -> str:
    """Return the vault prefix of everything that belongs to a recovery point."""
    return f"recovery-points/{model.registry}/{model.name}/{recovery_point}"


def manifest_key(model: ModelKey, recovery_point: str) -> str:
    """Return the vault key of the manifest."""
    return f"{prefix(model, recovery_point)}/manifest.json"
