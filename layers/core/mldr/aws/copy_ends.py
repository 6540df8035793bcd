"""Both ends of a copy: the pinned source and the vault, described, read, locked, and their refusals named."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from mldr.aws.s3_wire import Head, S3Wire, VersionPage
from mldr.domain.digests import Digest
from mldr.domain.manifests import Entry
from mldr.domain.recovery_point import Retention
from mldr.domain.verification import Shown
from mldr.errors import ArtifactChanged, MissingArtifact, MldrError, NotAllowed, RegionUnreachable, VaultRefused
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 1024 * 1024  # bytes of one object in memory: many are read at once
NO_VERSION = "null"
# How S3 says that something is not there; HEAD has only the status.
ABSENT = ("NoSuchKey", "NoSuchVersion", "_404", "_405", "MethodNotAllowed")


class Pin(NamedTuple):
    """A source as a copy names it; no version where the bucket keeps none."""

    bucket: str
    key: str
    version_id: str | None


class CopyEnds:
    """One vault and the sources that are copied to it. An object of the vault itself may be a source, too."""

    def __init__(self, vault: S3Client, sources: S3Client, *, bucket: str, key_arn: str) -> None:
        self.bucket, self.vault = bucket, S3Wire(vault)
        self._sources = S3Wire(sources) if sources is not vault else self.vault
        self.encryption: dict[str, Any] = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_arn, "BucketKeyEnabled": True} if key_arn else {}
        )

    def describe_source(self, entry: Entry) -> Head:
        """Return the description of the pinned version. Raises ArtifactChanged when it has another ETag."""
        with self.about(entry):
            head = self._wire(entry).head_object(
                entry.bucket, entry.source_key, ChecksumMode="ENABLED", **_version(entry.source_version)
            )
        if entry.etag not in ("", head.etag):
            raise _changed(entry)
        return head

    def describe_copy(self, entry: Entry, version_id: str = "") -> Head | None:
        """Return the description of what is at the entry's key in the vault, or None."""
        absent = MissingArtifact(entry.key)
        try:
            with translated(f"describe {entry.key} in the vault", **dict.fromkeys(ABSENT, absent)):
                return self.vault.head_object(self.bucket, entry.key, ChecksumMode="ENABLED", **_version(version_id))
        except MissingArtifact:
            return None

    def page(self, prefix: str, key_marker: str, version_marker: str) -> VersionPage:
        """Return a page of the vault's versions under a prefix."""
        with translated(f"list the versions of {prefix} in the vault"):
            return self.vault.list_object_versions(
                self.bucket, prefix, key_marker=key_marker, version_marker=version_marker
            )

    def read_source(self, entry: Entry, algorithm: str, first: int = 0, last: int | None = None) -> str:
        """Return a checksum of the source's bytes, or of a range of them."""
        match = {"IfMatch": entry.etag} if entry.source_version == NO_VERSION and entry.etag else {}
        place = (entry.bucket, entry.source_key, entry.source_version)
        with self.about(entry):
            last = entry.size - 1 if last is None else last
            return _digest(algorithm, self._chunks(self._wire(entry), place, first, last, **match))

    def read_copy(self, entry: Entry, version_id: str, algorithm: str) -> str:
        """Return a checksum of a copy's bytes."""
        with translated(f"read {entry.key} in the vault"):
            place = (self.bucket, entry.key, version_id)
            return _digest(algorithm, self._chunks(self.vault, place, 0, entry.size - 1))

    @staticmethod
    def _chunks(wire: S3Wire, place: tuple[str, str, str], first: int, last: int, **options: Any) -> Iterator[bytes]:
        if last < first:
            return
        bucket, key, version = place
        left = last - first + 1
        with wire.get_object(bucket, key, Range=f"bytes={first}-{last}", **_version(version), **options) as stream:
            for chunk in stream.chunks(CHUNK):
                left -= len(chunk)
                yield chunk
        if left:
            raise RegionUnreachable(f"read s3://{bucket}/{key}: {left} bytes did not come; it is tried again")

    def lock(self, entry: Entry, version_id: str, retention: Retention) -> None:
        """Lock a copy until a time; one that is locked for longer stays so, and COMPLIANCE stays COMPLIANCE."""
        try:
            self._put_lock(entry, version_id, retention)
        except VaultRefused:
            held = held_lock(self.describe_copy(entry, version_id))
            if held is None or (held.until < retention.until and held.mode == retention.mode):
                raise
            if held.until < retention.until:
                self._put_lock(entry, version_id, Retention(mode="COMPLIANCE", until=retention.until))

    def _put_lock(self, entry: Entry, version_id: str, retention: Retention) -> None:
        refused = VaultRefused(
            f"the vault refused to lock {entry.key} (version {version_id}); grant s3:PutObjectRetention and "
            "s3:GetObjectRetention, and look whether the bucket has Object Lock"
        )
        codes = dict.fromkeys(("AccessDenied", "_403", "InvalidRequest", *ABSENT), refused)
        with translated(f"lock {entry.key}", **codes):
            self.vault.put_object_retention(self.bucket, entry.key, version_id, retention.mode, retention.until)

    @contextmanager
    def about(self, entry: Entry, **leaves: MldrError) -> Iterator[None]:
        """Name what S3 refuses about a source, with what to do; `leaves` has more error codes."""
        try:
            yield
        except (ClientError, BotoCoreError):  # the texts are made when they are needed: copies are many
            with translated(f"copy {entry.source} to the vault", **(_refusals(entry, self.bucket) | leaves)):
                raise

    def _wire(self, entry: Entry) -> S3Wire:
        return self.vault if entry.bucket == self.bucket else self._sources


def pin(entry: Entry) -> Pin:
    """Return the source of a copy."""
    version = entry.source_version
    return Pin(entry.bucket, entry.source_key, None if version == NO_VERSION else version)


def unchanged(entry: Entry) -> dict[str, str]:
    """Return the condition that the source still has the pinned ETag; a version in the vault is pinned without one."""
    return {"CopySourceIfMatch": entry.etag} if entry.etag else {}


def shown(head: Head) -> Shown:
    """Return a description as verification takes it."""
    return Shown(head.etag, whole(head.checksums, head.checksum_type), head.size, head.version_id or NO_VERSION)


def whole(checksums: dict[str, str], kind: str) -> dict[str, str]:
    """Return the checksums over a whole object: a composite one, of its parts' checksums, says `-N` or COMPOSITE."""
    return {} if kind == "COMPOSITE" else {name: value for name, value in checksums.items() if "-" not in value}


def _digest(algorithm: str, chunks: Iterator[bytes]) -> str:
    digest = Digest(algorithm)
    for chunk in chunks:
        digest.update(chunk)
    return digest.value


def held_lock(head: Head | None) -> Retention | None:
    """Return the lock that an answer tells of; S3 tells it only to who may s3:GetObjectRetention."""
    mode, until = (
        (head.headers.get(f"x-amz-object-lock-{name}") for name in ("mode", "retain-until-date"))
        if head
        else (None, None)
    )
    return Retention(mode=mode, until=dt.datetime.fromisoformat(until)) if mode and until else None


def lock_headers(retention: Retention | None) -> dict[str, Any]:
    """Return the arguments that lock an object as it is made."""
    if retention is None:
        return {}
    return {"ObjectLockMode": retention.mode, "ObjectLockRetainUntilDate": retention.until}


def _version(version_id: str) -> dict[str, str]:
    return {"VersionId": version_id} if version_id and version_id != NO_VERSION else {}


def _changed(entry: Entry) -> ArtifactChanged:
    return ArtifactChanged(f"{entry.source} is no longer what was pinned; protect it again to pin what is there now")


def _refusals(entry: Entry, vault: str) -> dict[str, MldrError]:
    gone = MissingArtifact(f"the pinned {entry.source} is gone; restore that version, or protect what is there now")
    archived = MissingArtifact(
        f"{entry.source} is archived; restore it (aws s3api restore-object), then protect it again"
    )
    refused = VaultRefused(
        f"the vault {vault} refused a copy of {entry.source}; look at its bucket policy and its key's policy"
    )
    forbidden = NotAllowed(
        f"{entry.source} must not be copied to {vault}/{entry.key}: let {entry.bucket}'s bucket policy grant this "
        "function's role s3:GetObjectVersion, s3:GetObjectVersionTagging and s3:ListBucket, and its key's policy "
        "kms:Decrypt; here, the role needs s3:PutObject and s3:PutObjectRetention on the vault and kms:GenerateDataKey"
    )
    changed = _changed(entry)
    return {
        **dict.fromkeys((*ABSENT, "NoSuchBucket"), gone),
        **dict.fromkeys(("PreconditionFailed", "_412"), changed),
        **dict.fromkeys(("AccessDenied", "_403", "KMS_AccessDeniedException"), forbidden),
        "InvalidObjectState": archived,
        "InvalidRequest": refused,
    }
