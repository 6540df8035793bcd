"""Versioned buckets in memory, seen as the sources of the active region and as the vault."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from awscrt import checksums as crt

from mldr.domain.recovery_point import Algorithm, Checksum, Retention, SourceVersion
from mldr.errors import BadReference, LostRace, MissingArtifact, SourceNotVersioned, VaultRefused
from mldr.ports.sources import FoundObject, Listed

NULL = "null"


def sha256(body: bytes, *, streamed: bool = False) -> Checksum:
    """The checksum of bytes as S3 writes it."""
    return Checksum(
        algorithm="SHA256", value=base64.b64encode(hashlib.sha256(body).digest()).decode(), streamed=streamed
    )


def checksum_of(body: bytes, algorithm: Algorithm = "CRC64NVME") -> Checksum:
    """A checksum of bytes as S3 writes it."""
    match algorithm:
        case "CRC64NVME":
            digest = crt.crc64nvme(body).to_bytes(8, "big")
        case "CRC32":
            digest = binascii.crc32(body).to_bytes(4, "big")
        case "CRC32C":
            digest = crt.crc32c(body).to_bytes(4, "big")
        case _:
            digest = hashlib.new(algorithm.lower(), body, usedforsecurity=False).digest()
    return Checksum(algorithm=algorithm, value=base64.b64encode(digest).decode())


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
    tags: dict[str, str] = field(default_factory=dict)
    retention: Retention | None = None
    modified: int = 0  # microseconds since 1970; whole seconds, as S3 tells it


class Buckets:
    """Every version of every object."""

    def __init__(self, now: Callable[[], dt.datetime] | None = None) -> None:
        self._versions: dict[str, dict[str, list[Version]]] = {}
        self._count = 0
        self._unversioned: set[str] = set()
        self.now = now or (lambda: dt.datetime.now(dt.UTC))
        self.lock = threading.RLock()

    def make(self, bucket: str, *, versioned: bool = True) -> None:
        """Create a bucket, if it is missing."""
        self._versions.setdefault(bucket, defaultdict(list))
        if not versioned:
            self._unversioned.add(bucket)

    def has(self, bucket: str) -> bool:
        """Whether a bucket exists."""
        return bucket in self._versions

    def versioned(self, bucket: str) -> bool:
        """Whether a bucket keeps every version."""
        return bucket not in self._unversioned

    def put(
        self,
        bucket: str,
        key: str,
        body: bytes | None,
        *,
        checksum: bool | Algorithm = True,
        content_type: str = "binary/octet-stream",
        metadata: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
    ) -> Version:
        """Store a new version; without a body it is a delete marker. `checksum` names its algorithm; True is SHA256."""
        with self.lock:
            self._count += 1
            algorithm: Algorithm = "SHA256" if isinstance(checksum, bool) else checksum
            version = Version(
                version_id=f"version-{self._count}" if self.versioned(bucket) else NULL,
                body=body,
                checksum=checksum_of(body, algorithm) if checksum and body is not None else None,
                content_type=content_type,
                metadata=dict(metadata or {}),
                tags=dict(tags or {}),
                modified=int(self.now().timestamp()) * 1_000_000,
            )
            self.make(bucket)
            if not self.versioned(bucket):
                self._versions[bucket][key].clear()
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
        return [name for name in self.names(bucket, prefix) if self.get(bucket, name)]

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """Every key that has versions, delete markers included."""
        with self.lock:
            return [name for name in sorted(self._versions.get(bucket, {})) if name.startswith(prefix)]


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
            modified=version.modified,
        )

    def list(self, bucket: str, prefix: str, *, after: str = "", as_of: dt.datetime | None = None) -> Iterator[Listed]:
        if not self.buckets.has(bucket):
            raise MissingArtifact(f"bucket {bucket} does not exist")
        if as_of and not self.buckets.versioned(bucket):
            raise SourceNotVersioned(f"bucket {bucket} does not keep every version; enable versioning on it")
        until = int(as_of.timestamp() * 1_000_000) if as_of else None
        for key in self.buckets.names(bucket, prefix):
            past = [one for one in self.buckets.all(bucket, key) if until is None or one.modified <= until]
            if key > after and past and past[-1].body is not None:
                yield _listed(key, past[-1], past[-1].body)

    def read(self, source: SourceVersion, limit: int) -> bytes:
        body = self._body(source)
        if len(body) > limit:
            raise BadReference(f"{source} has {len(body)} bytes; {limit} are the most")
        return body

    def stream(self, bucket: str, key: str) -> Iterator[bytes]:
        version = self.buckets.get(bucket, key)
        if version is None or version.body is None:
            raise MissingArtifact(f"s3://{bucket}/{key} does not exist")
        for start in range(0, len(version.body), 1000):
            yield version.body[start : start + 1000]

    def _body(self, source: SourceVersion) -> bytes:
        version = self.buckets.get(source.bucket, source.key, source.version_id)
        if version is None or version.body is None:
            raise MissingArtifact(f"the pinned {source} is gone")
        return version.body


def _listed(key: str, version: Version, body: bytes) -> Listed:
    algorithms = (version.checksum.algorithm,) if version.checksum else ()
    return Listed(key, version.version_id, etag_of(body), len(body), version.modified, algorithms)


class FakeVault:
    """The vault; copies come from the same buckets."""

    def __init__(self, buckets: Buckets, bucket: str = "vault") -> None:
        self.buckets, self.bucket = buckets, bucket
        buckets.make(bucket)

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

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.buckets.names(self.bucket, prefix) if self.versions(key)]

    def keep(self, key: str, content: bytes) -> None:
        self.buckets.put(self.bucket, key, content)

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"
