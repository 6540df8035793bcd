"""Objects in the active region, read with the standby's role."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mldr.domain.recovery_point import Checksum, SourceVersion
from mldr.errors import ArtifactChanged, BadReference, MissingArtifact
from mldr.ports import FoundObject
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 8 * 1024 * 1024  # bytes of an object in memory at once
NO_VERSION = "null"
# Which of several checksums is compared: the strongest that S3 can compute again on a copy.
ALGORITHMS = ("SHA256", "CRC64NVME", "CRC32C", "CRC32", "SHA1")


class S3Sources:
    """Needs s3:GetObject, s3:GetObjectVersion and s3:ListBucket on the source buckets, kms:Decrypt on their keys."""

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3

    def find(self, bucket: str, key: str, version_id: str | None = None) -> FoundObject:
        missing = MissingArtifact(
            f"s3://{bucket}/{key}{f' (version {version_id})' if version_id else ''} does not exist; "
            "upload it, or register a version that names an existing object, and approve it again"
        )
        with translated(
            f"describe s3://{bucket}/{key}",
            _404=missing,
            NoSuchKey=missing,
            NoSuchVersion=missing,
            NoSuchBucket=missing,
            _405=missing,
        ):
            head = self._s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", **pinned(version_id))
        source = SourceVersion(bucket=bucket, key=key, version_id=head.get("VersionId") or NO_VERSION)
        return FoundObject(
            source=source,
            size=head["ContentLength"],
            etag=head["ETag"].strip('"'),
            checksum=full_checksum(head),
            content_type=head.get("ContentType", "binary/octet-stream"),
            metadata=head.get("Metadata", {}),
        )

    def list(self, bucket: str, prefix: str) -> Iterator[str]:
        missing = MissingArtifact(f"bucket {bucket} does not exist; register a version that names an existing bucket")
        with translated(f"list s3://{bucket}/{prefix}", NoSuchBucket=missing):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                yield from (item["Key"] for item in page.get("Contents", []))

    def digest(self, source: SourceVersion, etag: str) -> Checksum:
        with translated(f"read {source}", **gone(source)):
            body = self._s3.get_object(
                Bucket=source.bucket, Key=source.key, IfMatch=f'"{etag}"', **pinned(source.version_id)
            )["Body"]
            return streamed_sha256(body.iter_chunks(CHUNK))

    def read(self, source: SourceVersion, limit: int) -> bytes:
        with translated(f"read {source}", **gone(source)):
            answer = self._s3.get_object(Bucket=source.bucket, Key=source.key, **pinned(source.version_id))
            if answer["ContentLength"] > limit:
                raise BadReference(f"{source} has {answer['ContentLength']} bytes; {limit} are the most that fit here")
            return answer["Body"].read()


def pinned(version_id: str | None) -> dict[str, Any]:
    """Return the argument that names a version; none where the bucket keeps no versions."""
    return {"VersionId": version_id} if version_id and version_id != NO_VERSION else {}


def gone(source: SourceVersion) -> dict[str, Any]:
    """Return what S3's error codes mean for a pinned version."""
    missing = MissingArtifact(
        f"the pinned {source} is gone; restore that version, or approve the version again to pin what is there now"
    )
    changed = ArtifactChanged(
        f"{source} is no longer what was pinned; approve the version again to pin what is there now"
    )
    return {
        "NoSuchKey": missing,
        "NoSuchVersion": missing,
        "NoSuchBucket": missing,
        "_404": missing,
        "_405": missing,
        "PreconditionFailed": changed,
        "_412": changed,
    }


def full_checksum(head: Any) -> Checksum | None:
    """Return the full-object checksum in an answer of S3, or None: a composite one proves nothing about a copy."""
    if head.get("ChecksumType") == "COMPOSITE":
        return None
    for algorithm in ALGORITHMS:
        value = head.get(f"Checksum{algorithm}")
        if value and "-" not in value:
            return Checksum(algorithm=algorithm, value=value)
    return None


def streamed_sha256(chunks: Iterator[bytes]) -> Checksum:
    """Return the SHA-256 of bytes that pass by."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return Checksum(algorithm="SHA256", value=base64.b64encode(digest.digest()).decode(), streamed=True)
