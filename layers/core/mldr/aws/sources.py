"""Objects in the active region, read with the standby's role."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from mldr.aws.pacing import PacedCalls
from mldr.aws.s3_wire import S3Wire, Version, VersionPage
from mldr.domain.recovery_point import Checksum, SourceVersion
from mldr.errors import ArtifactChanged, BadReference, MissingArtifact, SourceNotVersioned
from mldr.ports.sources import FoundObject, Listed
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_VERSION = "null"
CHUNK = 1024**2
# Which of several checksums is compared: the strongest that S3 can compute again on a copy.
ALGORITHMS = ("SHA256", "CRC64NVME", "CRC32C", "CRC32", "SHA1")


class S3Sources:
    """Needs s3:GetObject, s3:GetObjectVersion, s3:ListBucket, s3:ListBucketVersions and s3:GetBucketVersioning on the
    source buckets, and kms:Decrypt on their keys.
    """

    def __init__(self, s3: S3Client) -> None:
        self._s3, self._calls = s3, PacedCalls()
        self._versioned: tuple[str, dt.datetime | None] = ("", None)  # the bucket that was last seen to keep versions

    @cached_property
    def _wire(self) -> S3Wire:
        return S3Wire(self._s3)

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
            modified=microseconds(head["LastModified"]),
        )

    def list(self, bucket: str, prefix: str, *, after: str = "", as_of: dt.datetime | None = None) -> Iterator[Listed]:
        """Yield versions by ListObjectVersions, one request per 1,000 of them.

        Last-Modified has whole seconds, and that of a multipart upload is when it was initiated
        (docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html): what was completed after `as_of` may be
        listed as if it had been there.
        """
        versions = self._versions(bucket, prefix, after)
        decided = None
        for one in self._once_versioned(bucket, as_of, versions) if as_of else versions:
            if one.key == decided or (as_of is not None and one.modified > as_of):
                continue
            decided = one.key
            if not one.is_delete_marker:
                yield _listed(one)

    def _versions(self, bucket: str, prefix: str, after: str) -> Iterator[Version]:
        """Yield every version, by key, the newest first. While a page is read, the next one is asked for."""
        page: VersionPage | None = self._asked(bucket, prefix, VersionPage([], after, ""))
        with ThreadPoolExecutor(1) as ahead:
            while page:
                # A server may give all versions of a page before its delete markers.
                ordered = sorted(page.versions, key=_order)
                coming = None
                for place, one in enumerate(ordered):
                    if place and coming is None and page.key_marker:  # who wants one version needs no second page
                        coming = ahead.submit(self._asked, bucket, prefix, page)
                    if one.key > after:  # some servers begin with the marker
                        yield one
                if coming is None and page.key_marker:
                    coming = ahead.submit(self._asked, bucket, prefix, page)
                page = coming.result() if coming else None

    def _once_versioned(self, bucket: str, as_of: dt.datetime, versions: Iterator[Version]) -> Iterator[Version]:
        """Yield versions of a bucket that is seen to keep them, once for each instant, while the first page comes."""
        if self._versioned != (bucket, as_of):
            with ThreadPoolExecutor(1) as aside:
                first = aside.submit(next, versions, None)
                self._check_versioned(bucket)
            self._versioned = (bucket, as_of)
            found = first.result()
            if found:
                yield found
        yield from versions

    def _asked(self, bucket: str, prefix: str, before: VersionPage) -> VersionPage:
        with translated(f"list s3://{bucket}/{prefix}", NoSuchBucket=_no_bucket(bucket)):
            return self._calls.once(partial(self._page, bucket, prefix, before))

    def _page(self, bucket: str, prefix: str, before: VersionPage) -> VersionPage:
        """Return the page of a listing that follows the one before."""
        return self._wire.list_object_versions(
            bucket, prefix, key_marker=before.key_marker, version_marker=before.version_marker
        )

    def _check_versioned(self, bucket: str) -> None:
        with translated(f"describe bucket {bucket}", NoSuchBucket=_no_bucket(bucket)):
            status = self._calls.once(lambda: self._wire.get_bucket_versioning(bucket))
        if status != "Enabled":
            raise SourceNotVersioned(
                f"bucket {bucket} does not keep every version, so nothing in it can be named as of an instant; "
                "enable versioning on it (aws s3api put-bucket-versioning), then try again"
            )

    def read(self, source: SourceVersion, limit: int) -> bytes:
        with translated(f"read {source}", **gone(source)):
            answer = self._s3.get_object(Bucket=source.bucket, Key=source.key, **pinned(source.version_id))
            if answer["ContentLength"] > limit:
                raise BadReference(f"{source} has {answer['ContentLength']} bytes; {limit} are the most that fit here")
            return answer["Body"].read()

    def stream(self, bucket: str, key: str) -> Iterator[bytes]:
        missing = MissingArtifact(f"s3://{bucket}/{key} does not exist")
        with translated(f"read s3://{bucket}/{key}", NoSuchKey=missing, NoSuchBucket=missing):
            yield from self._s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(CHUNK)


def _no_bucket(bucket: str) -> MissingArtifact:
    return MissingArtifact(f"bucket {bucket} does not exist; name one that does, in the registry or in the policy")


def _order(version: Version) -> tuple[str, bool, float]:
    return version.key, not version.is_latest, -version.modified.timestamp()


def _listed(version: Version) -> Listed:
    whole = version.checksum_algorithm and version.checksum_type != "COMPOSITE" and "-" not in version.etag
    return Listed(
        version.key,
        version.version_id or NO_VERSION,
        version.etag,
        version.size,
        int(version.modified.timestamp()) * 1_000_000,  # whole seconds, as a description has it
        (version.checksum_algorithm,) if whole or version.checksum_type == "FULL_OBJECT" else (),
    )


def microseconds(moment: dt.datetime) -> int:
    """Return a time as microseconds since 1970, without the error of a float."""
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


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
