"""The vault: a versioned, Object-Locked bucket in the standby region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mldr.aws.sources import pinned
from mldr.domain.recovery_point import Retention
from mldr.errors import LostRace, MissingArtifact, VaultRefused
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Vault:
    """Needs, on the vault: s3:PutObject, s3:GetObject, s3:GetObjectVersion, s3:ListBucket, s3:ListBucketVersions,
    s3:PutObjectRetention, s3:ListBucketMultipartUploads, s3:ListMultipartUploadParts; on its key kms:Decrypt and
    kms:GenerateDataKey; on the sources s3:GetObjectVersion, s3:GetObjectVersionTagging and kms:Decrypt. Never a delete.
    """

    def __init__(self, s3: S3Client, *, bucket: str, key_arn: str) -> None:
        self._s3, self._bucket = s3, bucket
        self._encryption: dict[str, Any] = {
            "ServerSideEncryption": "aws:kms",
            "SSEKMSKeyId": key_arn,
            "BucketKeyEnabled": True,
        }

    def lock(self, key: str, version_id: str, retention: Retention) -> None:
        refused = VaultRefused(f"the vault refused to lock {key}; its Object Lock may already hold it for longer")
        with translated(f"lock {key}", InvalidRequest=refused, AccessDenied=refused):
            self._s3.put_object_retention(
                Bucket=self._bucket,
                Key=key,
                VersionId=version_id,
                Retention={"Mode": retention.mode, "RetainUntilDate": retention.until},
            )

    def seal(self, key: str, content: bytes, retention: Retention) -> str:
        taken = LostRace(f"{key} is sealed already")
        with translated(
            f"seal {key}", PreconditionFailed=taken, _412=taken, ConditionalRequestConflict=taken, _409=taken
        ):
            return self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=content,
                ContentType="application/json",
                ChecksumAlgorithm="SHA256",
                IfNoneMatch="*",
                ObjectLockMode=retention.mode,
                ObjectLockRetainUntilDate=retention.until,
                **self._encryption,
            )["VersionId"]

    def read(self, key: str, version_id: str | None = None) -> bytes | None:
        absent = MissingArtifact(key)
        try:
            with translated(
                f"read {key} in the vault", NoSuchKey=absent, NoSuchVersion=absent, _404=absent, MethodNotAllowed=absent
            ):
                return self._s3.get_object(Bucket=self._bucket, Key=key, **pinned(version_id))["Body"].read()
        except MissingArtifact:
            return None

    def versions(self, key: str) -> list[str]:
        with translated(f"list the versions of {key}"):
            found = self._s3.list_object_versions(Bucket=self._bucket, Prefix=key).get("Versions", [])
        return [item["VersionId"] for item in reversed(found) if item["Key"] == key]

    def keys(self, prefix: str) -> list[str]:
        with translated(f"list {prefix} in the vault"):
            pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=prefix)
            return sorted({item["Key"] for page in pages for item in page.get("Versions", [])})

    def keep(self, key: str, content: bytes) -> None:
        refused = VaultRefused(f"the vault {self._bucket} refused {key}; look at its bucket policy and key policy")
        with translated(f"write {key} to the vault", InvalidRequest=refused):
            self._s3.put_object(
                Bucket=self._bucket, Key=key, Body=content, ContentType="application/json", **self._encryption
            )

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"
