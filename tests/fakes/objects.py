"""Versioned buckets in memory, seen as the sources of the active region and as the vault."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from mldr.domain.copying import CopyLimits, is_copied
from mldr.domain.recovery_point import Checksum, PinnedObject, Retention, SourceVersion
from mldr.errors import ArtifactChanged, BadReference, LostRace, MissingArtifact, VaultRefused
from mldr.ports import FoundObject, StoredObject


def sha256(body: bytes, *, streamed: bool = False) -> Checksum:
    """The checksum of bytes as S3 writes it."""
    return Checksum(
        algorithm="SHA256", value=base64.b64encode(hashlib.sha256(body).digest()).decode(), streamed=streamed
    )


def etag_of(body: bytes) -> str:
    """The ETag of an object that was put in one piece."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


@dataclass
class Version:
    """One version of an object; a delete marker has no body."""

    version_id: str
    body: bytes | None
    checksum: Checksum | None = None
    content_type: str = "binary/octet-stream"
    metadata: dict[str, str] = field(default_factory=dict)
    retention: Retention | None = None


class Buckets:
    """Every version of every object."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[str, list[Version]]] = {}
        self._count = 0
        self.lock = threading.RLock()

    def make(self, bucket: str) -> None:
        """Create a bucket, if it is missing."""
        self._versions.setdefault(bucket, defaultdict(list))

    def has(self, bucket: str) -> bool:
        """Whether a bucket exists."""
        return bucket in self._versions

    def put(
        self,
        bucket: str,
        key: str,
        body: bytes | None,
        *,
        checksum: bool = True,
        content_type: str = "binary/octet-stream",
        metadata: dict[str, str] | None = None,
    ) -> Version:
        """Store a new version; without a body it is a delete marker."""
        with self.lock:
            self._count += 1
            version = Version(
                version_id=f"version-{self._count}",
                body=body,
                checksum=sha256(body) if checksum and body is not None else None,
                content_type=content_type,
                metadata=dict(metadata or {}),
            )
            self.make(bucket)
            self._versions[bucket][key].append(version)
            return version

    def all(self, bucket: str, key: str) -> list[Version]:
        """The versions of a key, the oldest first, delete markers among them."""
        with self.lock:
            return list(self._versions.get(bucket, {}).get(key, []))

    def get(self, bucket: str, key: str, version_id: str | None = None) -> Version | None:
        """The current version or the named one; None when it is gone or a delete marker."""
        found = [one for one in self.all(bucket, key) if version_id in (None, one.version_id)]
        return found[-1] if found and found[-1].body is not None else None

    def erase(self, bucket: str, key: str, version_id: str) -> None:
        """Delete one version for good."""
        versions = self._versions[bucket][key]
        versions[:] = [one for one in versions if one.version_id != version_id]

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys that a listing shows."""
        with self.lock:
            names = sorted(self._versions.get(bucket, {}))
        return [name for name in names if name.startswith(prefix) and self.get(bucket, name)]


class FakeSources:
    """The buckets of the active region."""

    def __init__(self, buckets: Buckets) -> None:
        self.buckets = buckets

    def find(self, bucket: str, key: str, version_id: str | None = None) -> FoundObject:
        version = self.buckets.get(bucket, key, version_id)
        if version is None or version.body is None:
            raise MissingArtifact(f"s3://{bucket}/{key} {version_id or ''} does not exist")
        return FoundObject(
            source=SourceVersion(bucket=bucket, key=key, version_id=version.version_id),
            size=len(version.body),
            etag=etag_of(version.body),
            checksum=version.checksum,
            content_type=version.content_type,
            metadata=version.metadata,
        )

    def list(self, bucket: str, prefix: str) -> Iterator[str]:
        if not self.buckets.has(bucket):
            raise MissingArtifact(f"bucket {bucket} does not exist")
        yield from self.buckets.keys(bucket, prefix)

    def digest(self, source: SourceVersion, etag: str) -> Checksum:
        body = self._body(source)
        if etag_of(body) != etag:
            raise ArtifactChanged(f"{source} is no longer what was pinned")
        return sha256(body, streamed=True)

    def read(self, source: SourceVersion, limit: int) -> bytes:
        body = self._body(source)
        if len(body) > limit:
            raise BadReference(f"{source} has {len(body)} bytes; {limit} are the most")
        return body

    def _body(self, source: SourceVersion) -> bytes:
        version = self.buckets.get(source.bucket, source.key, source.version_id)
        if version is None or version.body is None:
            raise MissingArtifact(f"the pinned {source} is gone")
        return version.body


class FakeVault:
    """The vault; copies come from the same buckets."""

    def __init__(self, buckets: Buckets, bucket: str = "vault") -> None:
        self.buckets, self.bucket = buckets, bucket
        buckets.make(bucket)

    def copy(self, item: PinnedObject) -> None:
        with self.buckets.lock:
            there = self.stored(item.key)
            if there and is_copied(item, there.size, there.checksum, CopyLimits()):
                return
            source = self.buckets.get(item.source.bucket, item.source.key, item.source.version_id)
            if source is None or source.body is None:
                raise MissingArtifact(f"the pinned {item.source} is gone")
            if etag_of(source.body) != item.etag:
                raise ArtifactChanged(f"{item.source} is no longer what was pinned")
            self.buckets.put(
                self.bucket, item.key, source.body, content_type=source.content_type, metadata=source.metadata
            )

    def stored(self, key: str, version_id: str | None = None) -> StoredObject | None:
        found = self.buckets.get(self.bucket, key, version_id)
        if found is None or found.body is None:
            return None
        return StoredObject(version_id=found.version_id, size=len(found.body), checksum=found.checksum)

    def digest(self, key: str, version_id: str) -> Checksum:
        found = self.read(key, version_id)
        if found is None:
            raise MissingArtifact(f"{key} (version {version_id}) is gone")
        return sha256(found, streamed=True)

    def lock(self, key: str, version_id: str, retention: Retention) -> None:
        version = self.buckets.get(self.bucket, key, version_id)
        if version is None:
            raise VaultRefused(f"there is no version {version_id} of {key}")
        held = version.retention
        if held and (held.until > retention.until or (held.mode, retention.mode) == ("COMPLIANCE", "GOVERNANCE")):
            raise VaultRefused(f"{key} is locked for longer already")
        version.retention = retention

    def seal(self, key: str, content: bytes, retention: Retention) -> str:
        with self.buckets.lock:
            if self.buckets.get(self.bucket, key):
                raise LostRace(f"{key} is sealed already")
            version = self.buckets.put(self.bucket, key, content)
            version.retention = retention
            return version.version_id

    def read(self, key: str, version_id: str | None = None) -> bytes | None:
        found = self.buckets.get(self.bucket, key, version_id)
        return found.body if found else None

    def versions(self, key: str) -> list[str]:
        return [one.version_id for one in self.buckets.all(self.bucket, key) if one.body is not None]

    def keep(self, key: str, content: bytes) -> None:
        self.buckets.put(self.bucket, key, content)

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"
