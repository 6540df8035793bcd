"""The vault: a versioned, Object-Locked bucket in the standby region."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from mldr.aws.pacing import PacedCalls
from mldr.aws.s3_wire import S3Wire, Version
from mldr.aws.sources import pinned
from mldr.domain.pace import PaceLimits
from mldr.domain.recovery_point import Retention
from mldr.errors import LostRace, MissingArtifact, MldrError, RegionUnreachable, VaultRefused
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

R = TypeVar("R")
JSON = "application/json"


class S3Vault:
    """Needs, on the vault: s3:PutObject, s3:GetObject, s3:GetObjectVersion, s3:ListBucket, s3:ListBucketVersions,
    s3:PutObjectRetention, s3:ListBucketMultipartUploads, s3:ListMultipartUploadParts; on its key kms:Decrypt and
    kms:GenerateDataKey; on the sources s3:GetObjectVersion, s3:GetObjectVersionTagging and kms:Decrypt. Never a delete.
    """

    def __init__(self, s3: S3Client, *, bucket: str, key_arn: str) -> None:
        self._wire, self._bucket = S3Wire(s3), bucket
        self._calls = PacedCalls(PaceLimits(attempts=attempts(s3)))
        self._encryption: dict[str, Any] = {
            "ServerSideEncryption": "aws:kms",
            "SSEKMSKeyId": key_arn,
            "BucketKeyEnabled": True,
        }

    def lock(self, key: str, version_id: str, retention: Retention) -> None:
        refused = VaultRefused(f"the vault refused to lock {key}; its Object Lock may already hold it for longer")
        self._asked(
            lambda: self._wire.put_object_retention(self._bucket, key, version_id, retention.mode, retention.until),
            f"lock {key}",
            InvalidRequest=refused,
            AccessDenied=refused,
        )

    def seal(self, key: str, content: bytes, retention: Retention) -> str:
        taken = LostRace(f"{key} is sealed already")
        lock = {"ObjectLockMode": retention.mode, "ObjectLockRetainUntilDate": retention.until}
        version = self._asked(
            lambda: self._put(key, content, IfNoneMatch="*", **lock),
            f"seal {key}",
            PreconditionFailed=taken,
            _412=taken,
            ConditionalRequestConflict=taken,
            _409=taken,
        )
        if not version:
            raise VaultRefused(f"the vault {self._bucket} gave {key} no version; look at what serves it")
        return version

    def read(self, key: str, version_id: str | None = None) -> bytes | None:
        absent = MissingArtifact(key)
        named = dict.fromkeys(("NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "_404"), absent)
        try:
            return self._asked(lambda: self._got(key, version_id), f"read {key} in the vault", **named)
        except MissingArtifact:
            return None

    def versions(self, key: str) -> list[str]:
        page = self._asked(lambda: self._wire.list_object_versions(self._bucket, key), f"list the versions of {key}")
        return [one.version_id for one in reversed(page.versions) if one.key == key and not one.is_delete_marker]

    def keys(self, prefix: str) -> list[str]:
        return sorted({one.key for one in self._listed(prefix) if not one.is_delete_marker})

    def keep(self, key: str, content: bytes) -> None:
        refused = VaultRefused(f"the vault {self._bucket} refused {key}; look at its bucket policy and key policy")
        self._asked(lambda: self._put(key, content), f"write {key} to the vault", InvalidRequest=refused)

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def _asked(self, call: Callable[[], R], what: str, **leaves: MldrError) -> R:
        """Return what a call answers, with the retries that the client was made with."""

        def named() -> R:
            with translated(what, **leaves):
                return call()

        return self._calls.once(named)

    def _put(self, key: str, content: bytes, **options: Any) -> str | None:
        return self._wire.put_object(self._bucket, key, content, ContentType=JSON, **self._encryption, **options)

    def _got(self, key: str, version_id: str | None) -> bytes:
        with self._wire.get_object(self._bucket, key, ChecksumMode="ENABLED", **pinned(version_id)) as stream:
            content = stream.read()
        told = stream.head.checksums.get("SHA256", "")
        if told and "-" not in told and told != base64.b64encode(sha256(content).digest()).decode():
            raise RegionUnreachable(f"{key} arrived damaged: its SHA-256 is not {told}; it is read again")
        return content

    def _listed(self, prefix: str) -> Iterator[Version]:
        key_marker = version_marker = ""
        while True:
            page = self._asked(
                partial(
                    self._wire.list_object_versions,
                    self._bucket,
                    prefix,
                    key_marker=key_marker,
                    version_marker=version_marker,
                ),
                f"list {prefix} in the vault",
            )
            yield from page.versions
            key_marker, version_marker = page.key_marker, page.version_marker
            if not key_marker:
                return


def attempts(client: Any) -> int:
    """Return how often a client makes a call at the most, the first time included."""
    retries = client.meta.config.retries or {}
    return int(retries.get("total_max_attempts") or retries.get("max_attempts") or 1)
