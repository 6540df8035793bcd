"""Copies of objects that are too large for one call: parts of them by many functions, completed once.

A part's bytes are proved either by the checksum over the whole, which S3 compares when the upload is completed, or,
when the source has none, part by part, against the source's bytes as they are read here.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from mldr.aws.copy_ends import ABSENT, CopyEnds, lock_headers, pin, shown, unchanged, whole
from mldr.aws.pacing import PacedCalls
from mldr.aws.s3_wire import Copied, Head
from mldr.domain.manifests import Entry
from mldr.domain.recovery_point import Retention
from mldr.domain.transfers import CopyLimits, Part, parts
from mldr.domain.verification import Shown, compare, computed_of_parts, proved_as_a_whole
from mldr.errors import (
    ChecksumMismatch,
    ChecksumUnavailable,
    LostRace,
    MissingArtifact,
    MldrError,
    PartsMissing,
    Throttled,
)
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What a copy in parts does not take over by itself: header of the source, argument of CreateMultipartUpload.
KEPT = {
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "expires": "Expires",
    "x-amz-website-redirect-location": "WebsiteRedirectLocation",
}


class Piece(NamedTuple):
    """A part that is in the vault."""

    etag: str
    size: int
    checksums: dict[str, str]

    @property
    def md5(self) -> str:
        """The ETag as the checksum that it is where nothing is encrypted with KMS."""
        return base64.b64encode(bytes.fromhex(self.etag)).decode()


class LargeCopies:
    """Multipart uploads to the vault."""

    def __init__(
        self, vault: S3Client, sources: S3Client, ends: CopyEnds, calls: PacedCalls, limits: CopyLimits
    ) -> None:
        self._s3, self._sources, self._ends, self._calls, self._limits = vault, sources, ends, calls, limits

    def open(self, entry: Entry, retention: Retention | None) -> str:
        """Return the id of an upload for an object, or '' when the vault has the object."""
        for upload in self._uploads(entry):
            return upload
        head = self._ends.describe_source(entry)
        if not entry.copied and self._is_there(entry, shown(head)):
            return ""
        with self._ends.about(entry):
            return self._s3.create_multipart_upload(
                Bucket=self._ends.bucket,
                Key=entry.key,
                ChecksumAlgorithm=computed_of_parts(shown(head).checksums),  # type: ignore[arg-type]
                ChecksumType="FULL_OBJECT",
                **self._kept(entry, head),
                **self._ends.encryption,
                **lock_headers(retention),
            )["UploadId"]

    def _is_there(self, entry: Entry, source: Shown) -> bool:
        head = self._ends.describe_copy(entry)
        if head is None or head.size != entry.size:
            return False
        return any(source.checksums.get(name) == value for name, value in shown(head).checksums.items())

    def _kept(self, entry: Entry, head: Head) -> dict[str, Any]:
        arguments: dict[str, Any] = {name: head.headers[of] for of, name in KEPT.items() if of in head.headers}
        s3 = self._s3 if entry.bucket == self._ends.bucket else self._sources
        source = pin(entry)
        version = {"VersionId": source.version_id} if source.version_id else {}
        tags = s3.get_object_tagging(Bucket=source.bucket, Key=source.key, **version)["TagSet"]  # type: ignore[arg-type]
        if tags:
            arguments["Tagging"] = urlencode({tag["Key"]: tag["Value"] for tag in tags})
        return {"ContentType": head.content_type, "Metadata": head.metadata, **arguments}

    def copy_parts(self, entry: Entry, upload: str, wanted: Sequence[Part]) -> None:
        """Copy ranges, many at once; each is proved, unless the whole will be."""
        there = self._pieces(entry, upload) if upload else None
        if there is None:
            if self._calls.once(lambda: self._ends.describe_copy(entry)) is None:
                raise _incomplete(entry, f"its upload {upload} is gone")
            return
        source = shown(self._calls.once(lambda: self._ends.describe_source(entry))).checksums

        def copied(part: Part) -> None:
            self._part(entry, upload, part, there.get(part.number), source)

        for _ in self._calls.each(copied, wanted):
            pass

    def _part(self, entry: Entry, upload: str, part: Part, there: Piece | None, source: Mapping[str, str]) -> None:
        size = part.last - part.first + 1
        if there and there.size == size and self._proved(entry, part, there, source, again=True):
            return
        answer = self._copy(entry, upload, part)
        self._proved(entry, part, Piece(answer.etag, size, answer.checksums), source)

    def _copy(self, entry: Entry, upload: str, part: Part) -> Copied:
        with self._ends.about(entry, **_without_upload(entry)):
            return self._ends.vault.upload_part_copy(
                self._ends.bucket,
                entry.key,
                pin(entry),
                upload,
                part.number,
                CopySourceRange=f"bytes={part.first}-{part.last}",
                **unchanged(entry),
            )

    def _proved(
        self, entry: Entry, part: Part, piece: Piece, source: Mapping[str, str], *, again: bool = False
    ) -> bool:
        """Compare a part with the source. Returns False for a wrong one that may be copied `again`, else raises."""
        if proved_as_a_whole(source):
            return True  # S3 compares it on completion
        name, value = next(iter(piece.checksums.items()), ("MD5", piece.md5))
        of_source = self._ends.read_source(entry, name, part.first, part.last)
        if again and of_source != value:
            return False
        if name == "MD5" and of_source != value and self._ends.encryption:
            raise ChecksumUnavailable(
                f"{entry.key} part {part.number}: the vault gives no checksum of it, and its ETag need not be an MD5; "
                "look at what serves the vault"
            )
        compare(entry, name, of_source=of_source, of_copy=value, what=f" part {part.number}")
        return True

    def complete(self, entry: Entry, source: Shown, *, fresh: bool) -> tuple[Shown, bool]:
        """Make the object of its parts. Returns what the vault has, and whether it had it before.

        With `fresh` nothing that is at the key is replaced. Raises PartsMissing naming the parts.
        """
        upload, pieces = self._ready(entry)
        if not upload:
            return self._described(entry, "it has no upload, and is not in the vault"), True
        try:
            return self._completed(entry, upload, pieces, source, fresh=fresh), False
        except LostRace:
            return self._described(entry, f"its upload {upload} is gone"), True
        except ChecksumMismatch:
            # The wrong part cannot be told from the others: the next attempt begins an upload of its own.
            self._s3.abort_multipart_upload(Bucket=self._ends.bucket, Key=entry.key, UploadId=upload)
            raise

    def _described(self, entry: Entry, why: str) -> Shown:
        head = self._ends.describe_copy(entry)
        if head is None:
            raise _incomplete(entry, why)
        return shown(head)

    def _ready(self, entry: Entry) -> tuple[str, dict[int, Piece]]:
        """Return the open upload that has all parts; '' when none is open. Raises PartsMissing."""
        lacking: list[int] = []
        for upload in self._uploads(entry):
            there = self._pieces(entry, upload) or {}
            wanted = {part.number: part.last - part.first + 1 for part in parts(entry.size, self._limits)}
            lacking = [number for number, size in wanted.items() if number not in there or there[number].size != size]
            if not lacking:
                return upload, {number: there[number] for number in wanted}
        if lacking:
            more = f" and {len(lacking) - 10} more" if len(lacking) > 10 else ""
            raise _incomplete(entry, f"parts {lacking[:10]}{more} are not there or of another size")
        return "", {}

    def _completed(self, entry: Entry, upload: str, pieces: dict[int, Piece], source: Shown, *, fresh: bool) -> Shown:
        algorithms = {name for piece in pieces.values() for name in piece.checksums}
        more: dict[str, Any] = {f"Checksum{name}": source.checksums[name] for name in algorithms & {*source.checksums}}
        if fresh:
            more["IfNoneMatch"] = "*"
        with self._ends.about(entry, **_refused_completion(entry)):
            answer = self._s3.complete_multipart_upload(
                Bucket=self._ends.bucket,
                Key=entry.key,
                UploadId=upload,
                MultipartUpload={"Parts": [_named(number, piece) for number, piece in pieces.items()]},
                MpuObjectSize=entry.size,
                ChecksumType="FULL_OBJECT",
                **more,
            )
        found = whole(_checksums(answer), answer.get("ChecksumType", ""))
        if not found or "VersionId" not in answer:
            return self._described(entry, "it was completed, and is not in the vault")
        return Shown(answer["ETag"].strip('"'), found, None, answer["VersionId"])

    def _uploads(self, entry: Entry) -> list[str]:
        with translated(f"list the uploads of {entry.key}"):
            found = self._s3.list_multipart_uploads(Bucket=self._ends.bucket, Prefix=entry.key).get("Uploads", [])
        return [upload["UploadId"] for upload in found if upload["Key"] == entry.key]

    def _pieces(self, entry: Entry, upload: str) -> dict[int, Piece] | None:
        """Return the parts of an upload by number, or None when there is no such upload any more."""
        gone = MissingArtifact(upload)
        try:
            with translated(f"list the parts of {entry.key}", NoSuchUpload=gone, **dict.fromkeys(ABSENT, gone)):
                pages = self._s3.get_paginator("list_parts").paginate(
                    Bucket=self._ends.bucket, Key=entry.key, UploadId=upload
                )
                return {
                    part["PartNumber"]: Piece(part["ETag"].strip('"'), part["Size"], _checksums(part))
                    for page in pages
                    for part in page.get("Parts", [])
                }
        except MissingArtifact:
            return None


def _incomplete(entry: Entry, why: str) -> PartsMissing:
    return PartsMissing(f"{entry.key} cannot be completed: {why}; protect it again, what is there is kept")


def _without_upload(entry: Entry) -> dict[str, MldrError]:
    return {"NoSuchUpload": PartsMissing(f"{entry.key}: its upload is gone; protect it again, it is copied anew")}


def _refused_completion(entry: Entry) -> dict[str, MldrError]:
    wrong = ChecksumMismatch(
        f"{entry.key}: its parts are not the bytes of {entry.source}; protect it again, it is copied anew"
    )
    taken = LostRace(f"{entry.key} is in the vault already")
    moved = Throttled(f"{entry.key}: a part was copied once more meanwhile; it is tried again")
    return {
        "BadDigest": wrong,
        **dict.fromkeys(("PreconditionFailed", "_412", "NoSuchUpload"), taken),
        **dict.fromkeys(("InvalidPart", "ConditionalRequestConflict", "_409"), moved),
    }


def _checksums(answer: Any) -> dict[str, str]:
    names = [
        name for name in answer if name.startswith("Checksum") and name not in ("ChecksumType", "ChecksumAlgorithm")
    ]
    return {name.removeprefix("Checksum"): answer[name] for name in names}


def _named(number: int, piece: Piece) -> Any:
    checksums = {f"Checksum{name}": value for name, value in piece.checksums.items()}
    return {"PartNumber": number, "ETag": piece.etag, **checksums}
