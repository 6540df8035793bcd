"""The copier in memory: the same promises as on S3, over the buckets of the fakes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mldr.domain.manifests import Entry
from mldr.domain.recovery_point import Retention
from mldr.domain.transfers import CopyLimits, Part, parts
from mldr.domain.verification import READABLE, Shown, asked_of_copy, compare, computed_of_parts, judge
from mldr.errors import (
    ArtifactChanged,
    ChecksumMismatch,
    ChecksumUnavailable,
    MissingArtifact,
    PartsMissing,
    VaultRefused,
)
from tests.fakes.objects import Buckets, Version, checksum_of, etag_of


@dataclass
class Upload:
    """A multipart upload that was not completed."""

    key: str
    retention: Retention | None
    parts: dict[int, bytes] = field(default_factory=dict)


class FakeCopier:
    """Copies between buckets in memory."""

    def __init__(self, buckets: Buckets, bucket: str = "vault", limits: CopyLimits | None = None) -> None:
        self.buckets, self.bucket, self.limits = buckets, bucket, limits or CopyLimits()
        self.uploads: dict[str, Upload] = {}
        self.copied: list[str] = []  # the vault keys of every copy that was made, in order
        self.readable = READABLE
        buckets.make(bucket)

    def copy(
        self, entries: Iterable[Entry], retention: Retention | None, *, sha256: bool = False, anew: bool = False
    ) -> Iterator[Entry]:
        for entry in entries:
            if entry.copied and not anew:
                if retention:
                    self._lock(self._copy_of(entry), retention)
                yield entry
                continue
            yield self._one(entry, retention, sha256, anew)

    def open_upload(self, entry: Entry, retention: Retention | None) -> str:
        self._source(entry)
        for upload, held in self.uploads.items():
            if held.key == entry.key:
                return upload
        there = self.buckets.get(self.bucket, entry.key)
        if not entry.copied and there and there.body == self._body(entry):
            return ""
        upload = f"upload-{len(self.uploads) + 1}"
        self.uploads[upload] = Upload(entry.key, retention)
        return upload

    def copy_parts(self, entry: Entry, upload: str, parts: Sequence[Part]) -> None:
        held = self.uploads.get(upload)
        if held is None:
            if self.buckets.get(self.bucket, entry.key) is None:
                raise PartsMissing(f"{entry.key}: the upload {upload} is gone")
            return
        body = self._body(entry)
        for part in parts:
            wanted = body[part.first : part.last + 1]
            if len(held.parts.get(part.number, b"")) != len(wanted):
                held.parts[part.number] = wanted

    def extend(self, entries: Iterable[Entry], retention: Retention) -> None:
        for entry in entries:
            self._lock(self._copy_of(entry), retention)

    def _one(self, entry: Entry, retention: Retention | None, sha256: bool, anew: bool) -> Entry:
        with self.buckets.lock:
            there = self.buckets.get(self.bucket, entry.key)
            body = self._body(entry)
            made = there if there and there.body == body and not anew else self._make(entry, body)
            if retention:
                self._lock(made, retention)
        return entry._replace(version_id=made.version_id, digests=self._digests(entry, made, sha256))

    def _make(self, entry: Entry, body: bytes) -> Version:
        if entry.size > self.limits.single_copy:
            body = self._complete(entry)
        source = self._source(entry)
        version = self.buckets.put(
            self.bucket,
            entry.key,
            body,
            checksum="CRC64NVME",
            content_type=source.content_type,
            metadata=source.metadata,
            tags=source.tags,
        )
        self.copied.append(entry.key)
        return version

    def _complete(self, entry: Entry) -> bytes:
        upload = next((name for name, held in self.uploads.items() if held.key == entry.key), None)
        there = self.uploads[upload].parts if upload else {}
        missing = [
            part.number
            for part in parts(entry.size, self.limits)
            if len(there.get(part.number, b"")) != part.last - part.first + 1
        ]
        if upload is None or missing:
            raise PartsMissing(f"{entry.key}: parts {missing} are not copied")
        body = b"".join(there[number] for number in sorted(there))
        del self.uploads[upload]
        compare(entry, "CRC64NVME", of_source=checksum_of(self._body(entry)).value, of_copy=checksum_of(body).value)
        return body

    def _digests(self, entry: Entry, made: Version, sha256: bool) -> dict[str, str]:
        body, source = made.body or b"", self._source(entry)
        algorithm = computed_of_parts(entry.digests) if entry.size > self.limits.single_copy else asked_of_copy(entry)
        computed = checksum_of(body, algorithm)  # type: ignore[arg-type]
        copy = Shown(etag_of(body), {computed.algorithm: computed.value}, len(body))
        shown = Shown(entry.etag, {source.checksum.algorithm: source.checksum.value} if source.checksum else {})
        proof = judge(entry, copy, etags=False)
        if proof.ask:
            proof = judge(entry, copy, shown, etags=False)
        if proof.ask and entry.size > self.readable:
            raise ChecksumUnavailable(f"{entry.source} has no full-object checksum and is too large to read")
        digests = dict(copy.checksums) if proof.digests is None else proof.digests
        return digests | ({"SHA256": checksum_of(body, "SHA256").value} if sha256 else {})

    def _copy_of(self, entry: Entry) -> Version:
        version = self.buckets.get(self.bucket, entry.key, entry.version_id)
        if version is None:
            raise VaultRefused(f"there is no version {entry.version_id} of {entry.key}")
        return version

    @staticmethod
    def _lock(version: Version, retention: Retention) -> None:
        held = version.retention
        if held is None or held.until < retention.until:
            strict = held is not None and held.mode == "COMPLIANCE"
            version.retention = retention.model_copy(update={"mode": "COMPLIANCE"}) if strict else retention

    def _source(self, entry: Entry) -> Version:
        version = self.buckets.get(entry.bucket, entry.source_key, entry.source_version)
        if version is None or version.body is None:
            raise MissingArtifact(f"the pinned {entry.source} is gone")
        if entry.etag and etag_of(version.body) != entry.etag:
            raise ArtifactChanged(f"{entry.source} is no longer what was pinned")
        if len(version.body) != entry.size:
            raise ChecksumMismatch(f"{entry.key}: {entry.size} bytes were pinned of {entry.source}")
        return version

    def _body(self, entry: Entry) -> bytes:
        return self._source(entry).body or b""
