"""Copies out of the vault into buckets of this region: made on the server, verified, never over something else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from mldr.aws.copier import PACE
from mldr.aws.copy_ends import CopyEnds, pin, shown, whole
from mldr.aws.large_copies import LargeCopies
from mldr.aws.pacing import PacedCalls
from mldr.domain.manifests import Entry
from mldr.domain.pace import PaceLimits
from mldr.domain.transfers import CopyLimits, parts
from mldr.domain.verification import Shown, asked_of_copy, compare
from mldr.errors import ChecksumMismatch, LostRace, MissingArtifact, TargetDiffers, Throttled

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Restorer:
    """Needs s3:GetObjectVersion and s3:GetObjectVersionTagging on the vault, kms:Decrypt on its key; on the buckets
    that are restored to s3:PutObject, s3:PutObjectTagging, s3:GetObject, s3:ListBucket, s3:ListBucketMultipartUploads,
    s3:ListMultipartUploadParts and s3:AbortMultipartUpload, kms:Decrypt and kms:GenerateDataKey on their keys.
    """

    def __init__(self, s3: S3Client, *, vault: str, limits: CopyLimits | None = None, pace: PaceLimits = PACE) -> None:
        self._s3, self._vault, self._limits = s3, vault, limits or CopyLimits()
        self._calls = PacedCalls(pace)

    def restore(self, entries: Iterable[Entry], bucket: str, base: str) -> Iterator[Entry]:
        ends = CopyEnds(self._s3, self._s3, bucket=bucket, key_arn="")
        large = LargeCopies(self._s3, self._s3, ends, self._calls, self._limits)
        held_back: list[tuple[Entry, Entry]] = []

        def small() -> Iterator[tuple[Entry, Entry]]:
            for entry in entries:
                pair = entry, self._wanted(entry, base)
                if entry.size <= self._limits.single_copy:
                    yield pair
                else:
                    held_back.append(pair)

        for (entry, _), _ in self._calls.each(lambda pair: self._copied(ends, pair[1]), small()):
            yield entry
        for entry, wanted in held_back:
            self._in_parts(ends, large, wanted)
            yield entry

    def _wanted(self, entry: Entry, base: str) -> Entry:
        """Return an entry whose source is the vault's version, and whose copy is to stand under the restored key."""
        return entry._replace(
            bucket=self._vault,
            source_key=entry.key,
            source_version=entry.version_id,
            etag="",
            key=base + entry.name,
            version_id="",
        )

    def _copied(self, ends: CopyEnds, wanted: Entry) -> None:
        taken = LostRace(wanted.key)
        busy = Throttled(f"{wanted.key} is being written by another worker; it is tried again")
        try:
            with ends.about(wanted, PreconditionFailed=taken, _412=taken, ConditionalRequestConflict=busy, _409=busy):
                made = ends.vault.copy_object(
                    ends.bucket,
                    wanted.key,
                    pin(wanted),
                    MetadataDirective="COPY",
                    TaggingDirective="COPY",
                    ChecksumAlgorithm=asked_of_copy(wanted),
                    IfNoneMatch="*",
                )
        except LostRace:
            self._same(ends, wanted)
            return
        copy = Shown(made.etag, whole(made.checksums, made.checksum_type), None, made.version_id)
        self._proved(ends, wanted, copy)

    def _in_parts(self, ends: CopyEnds, large: LargeCopies, wanted: Entry) -> None:
        """Copy a large object; parts that an earlier try left are kept."""
        if ends.describe_copy(wanted):
            self._same(ends, wanted)
            return
        upload = large.open(wanted, None)
        large.copy_parts(wanted, upload, parts(wanted.size, self._limits))
        made, there = large.complete(wanted, shown(ends.describe_source(wanted)), fresh=True)
        if there:
            self._same(ends, wanted)
        else:
            self._proved(ends, wanted, made)

    def _same(self, ends: CopyEnds, wanted: Entry) -> None:
        """Return when what stands at the key is what was to be restored there. Raises TargetDiffers."""
        head = ends.describe_copy(wanted)
        if head is None:
            raise MissingArtifact(f"{wanted.source} cannot be copied, and nothing stands at {wanted.key}; ask again")
        try:
            self._proved(ends, wanted, shown(head))
        except ChecksumMismatch as other:
            raise TargetDiffers(
                f"s3://{ends.bucket}/{wanted.key} holds something else; restore to an empty prefix, or move it away"
            ) from other

    def _proved(self, ends: CopyEnds, wanted: Entry, copy: Shown) -> None:
        """Compare by a checksum that both have; else the copy's bytes are read."""
        if copy.size is not None and copy.size != wanted.size:
            raise ChecksumMismatch(f"{wanted.key}: {copy.size} bytes, {wanted.size} in {wanted.source}; ask again")
        shared = [name for name in wanted.digests if name in copy.checksums]
        name = shared[0] if shared else next(iter(wanted.digests))
        of_copy = copy.checksums[name] if shared else ends.read_copy(wanted, "", name)
        compare(wanted, name, of_source=wanted.digests[name], of_copy=of_copy)
