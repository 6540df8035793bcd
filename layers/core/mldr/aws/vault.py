"""The vault: a versioned, Object-Locked bucket in the standby region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mldr.aws.sources import CHUNK, full_checksum, gone, pinned, streamed_sha256
from mldr.domain.copying import CopyLimits, Part, carried_algorithm, is_copied, parts
from mldr.domain.recovery_point import Checksum, PinnedObject, Retention, SourceVersion
from mldr.errors import LostRace, MissingArtifact, VaultRefused
from mldr.ports import StoredObject
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, CopySourceTypeDef


class S3Vault:
    """Needs, on the vault: s3:PutObject, s3:GetObject, s3:GetObjectVersion, s3:ListBucket, s3:ListBucketVersions,
    s3:PutObjectRetention, s3:ListBucketMultipartUploads, s3:ListMultipartUploadParts; on its key kms:Decrypt and
    kms:GenerateDataKey; on the sources s3:GetObjectVersion, s3:GetObjectVersionTagging and kms:Decrypt. Never a delete.
    """

    def __init__(self, s3: S3Client, *, bucket: str, key_arn: str, limits: CopyLimits | None = None) -> None:
        self._s3, self._bucket = s3, bucket
        self._encryption: dict[str, Any] = {
            "ServerSideEncryption": "aws:kms",
            "SSEKMSKeyId": key_arn,
            "BucketKeyEnabled": True,
        }
        self._limits = limits or CopyLimits()

    def copy(self, item: PinnedObject) -> None:
        there = self.stored(item.key)
        if there and is_copied(item, there.size, there.checksum, self._limits):
            return
        refused = VaultRefused(f"the vault {self._bucket} refused {item.key}; look at its bucket policy and key policy")
        with translated(
            f"copy {item.source} to the vault", InvalidRequest=refused, NoSuchUpload=refused, **gone(item.source)
        ):
            if item.size <= self._limits.single_copy:
                self._copy_whole(item)
            else:
                self._copy_parts(item)

    def _copy_whole(self, item: PinnedObject) -> None:
        self._s3.copy_object(
            Bucket=self._bucket,
            Key=item.key,
            CopySource=_source(item.source),
            CopySourceIfMatch=item.etag,
            ChecksumAlgorithm=carried_algorithm(item, self._limits),
            MetadataDirective="COPY",
            TaggingDirective="COPY",
            **self._encryption,
        )

    def _copy_parts(self, item: PinnedObject) -> None:
        upload = self._open_upload(item.key) or self._new_upload(item)
        done = self._parts_done(item.key, upload)
        for part in parts(item.size, self._limits):
            if part.number not in done:
                done[part.number] = self._copy_part(item, upload, part)
        self._s3.complete_multipart_upload(
            Bucket=self._bucket,
            Key=item.key,
            UploadId=upload,
            MultipartUpload={"Parts": [done[number] for number in sorted(done)]},
            MpuObjectSize=item.size,
            ChecksumType="FULL_OBJECT",
        )

    def _copy_part(self, item: PinnedObject, upload: str, part: Part) -> CompletedPartTypeDef:
        result = self._s3.upload_part_copy(
            Bucket=self._bucket,
            Key=item.key,
            UploadId=upload,
            PartNumber=part.number,
            CopySource=_source(item.source),
            CopySourceIfMatch=item.etag,
            CopySourceRange=f"bytes={part.first}-{part.last}",
        )["CopyPartResult"]
        return _completed(part.number, result)

    def _open_upload(self, key: str) -> str | None:
        """Return the upload that an earlier attempt left, so that its parts are not copied again."""
        found = self._s3.list_multipart_uploads(Bucket=self._bucket, Prefix=key).get("Uploads", [])
        return next((upload["UploadId"] for upload in found if upload["Key"] == key), None)

    def _new_upload(self, item: PinnedObject) -> str:
        return self._s3.create_multipart_upload(
            Bucket=self._bucket,
            Key=item.key,
            ChecksumAlgorithm=carried_algorithm(item, self._limits),
            ChecksumType="FULL_OBJECT",
            ContentType=item.content_type,
            Metadata=item.metadata,
            **self._encryption,
        )["UploadId"]

    def _parts_done(self, key: str, upload: str) -> dict[int, CompletedPartTypeDef]:
        pages = self._s3.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=upload)
        return {
            part["PartNumber"]: _completed(part["PartNumber"], part) for page in pages for part in page.get("Parts", [])
        }

    def stored(self, key: str, version_id: str | None = None) -> StoredObject | None:
        absent = MissingArtifact(key)
        try:
            with translated(
                f"describe {key} in the vault", _404=absent, NoSuchKey=absent, NoSuchVersion=absent, _405=absent
            ):
                head = self._s3.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED", **pinned(version_id))
        except MissingArtifact:
            return None
        return StoredObject(version_id=head["VersionId"], size=head["ContentLength"], checksum=full_checksum(head))

    def digest(self, key: str, version_id: str) -> Checksum:
        with translated(f"read {key} in the vault"):
            body = self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=version_id)["Body"]
            return streamed_sha256(body.iter_chunks(CHUNK))

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

    def keep(self, key: str, content: bytes) -> None:
        refused = VaultRefused(f"the vault {self._bucket} refused {key}; look at its bucket policy and key policy")
        with translated(f"write {key} to the vault", InvalidRequest=refused):
            self._s3.put_object(
                Bucket=self._bucket, Key=key, Body=content, ContentType="application/json", **self._encryption
            )

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"


def _source(source: SourceVersion) -> CopySourceTypeDef:
    return {"Bucket": source.bucket, "Key": source.key, **pinned(source.version_id)}  # type: ignore[typeddict-item]


def _completed(number: int, result: Any) -> CompletedPartTypeDef:
    checksums = {name: value for name, value in result.items() if name.startswith("Checksum")}
    return {"PartNumber": number, "ETag": result["ETag"], **checksums}  # type: ignore[typeddict-item]
