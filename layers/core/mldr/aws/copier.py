"""Copies of pinned objects in the vault: one request each where S3's answer proves it, many at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice, takewhile
from typing import TYPE_CHECKING, NamedTuple

from mldr.aws.copy_ends import NO_VERSION, CopyEnds, lock_headers, pin, shown, unchanged, whole
from mldr.aws.large_copies import LargeCopies
from mldr.aws.pacing import PacedCalls
from mldr.domain.manifests import Entry
from mldr.domain.pace import PaceLimits
from mldr.domain.recovery_point import Retention
from mldr.domain.transfers import CopyLimits, Part
from mldr.domain.verification import (
    READABLE,
    Ask,
    Proof,
    Shown,
    asked_of_copy,
    compare,
    judge,
    known_of_source,
    proved_as_a_whole,
)
from mldr.errors import (
    ArtifactChanged,
    ChecksumMismatch,
    ChecksumUnavailable,
    LostRace,
    MldrError,
    PartsMissing,
    Throttled,
    VaultRefused,
)
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WINDOW = 4096  # entries in memory at once
WORTH_A_PAGE = 50  # copies whose versions a listing finds sooner than as many HEADs at once
PACE = PaceLimits(ceiling=128)  # of one function; what the server bears of it, the pace finds out


@dataclass
class Job:
    """One entry on its way. A call that is repeated finds here what was done before it failed."""

    place: int
    entry: Entry
    source: Shown | None = None
    copy: Shown | None = None
    found: bool = False  # the vault had something at the key before
    proved_by_parts: bool = False

    @property
    def untold(self) -> bool:
        """Whether the copy is made and its version is not known."""
        return self.copy is not None and not self.copy.version_id


class Wanted(NamedTuple):
    """What is asked of every copy of a run."""

    retention: Retention | None
    sha256: bool
    anew: bool


class S3Copier:
    """Needs, on the vault: s3:PutObject, s3:PutObjectTagging, s3:GetObject, s3:GetObjectVersion, s3:ListBucket,
    s3:PutObjectRetention, s3:GetObjectRetention, s3:ListBucketMultipartUploads, s3:ListMultipartUploadParts and
    s3:AbortMultipartUpload; on its key kms:Decrypt and kms:GenerateDataKey; on the sources s3:GetObjectVersion,
    s3:GetObjectVersionTagging (s3:GetObject and s3:GetObjectTagging where there are no versions) and kms:Decrypt on
    their keys. Never a delete.

    Without `key_arn` the vault's own encryption applies, and its ETags are taken for MD5s.
    """

    def __init__(
        self,
        vault: S3Client,
        sources: S3Client,
        *,
        bucket: str,
        key_arn: str,
        limits: CopyLimits | None = None,
        pace: PaceLimits = PACE,
        readable: int = READABLE,
    ) -> None:
        self._vault, self._sources, self._bucket, self._key_arn = vault, sources, bucket, key_arn
        self._limits, self._readable = limits or CopyLimits(), readable
        self._calls = PacedCalls(pace)

    @cached_property
    def _ends(self) -> CopyEnds:
        return CopyEnds(self._vault, self._sources, bucket=self._bucket, key_arn=self._key_arn)

    @cached_property
    def _large(self) -> LargeCopies:
        return LargeCopies(self._vault, self._sources, self._ends, self._calls, self._limits)

    @property
    def limits(self) -> CopyLimits:
        return self._limits

    def copy(
        self, entries: Iterable[Entry], retention: Retention | None, *, sha256: bool = False, anew: bool = False
    ) -> Iterator[Entry]:
        rest = iter(entries)
        wanted = Wanted(retention, sha256, anew)
        while window := list(islice(rest, WINDOW)):
            yield from self._window(window, wanted)

    def _window(self, entries: list[Entry], wanted: Wanted) -> Iterator[Entry]:
        jobs = [Job(place, entry) for place, entry in enumerate(entries)]
        early: dict[int, Entry] = {}
        turn = 0
        for job, entry in self._all(jobs, wanted):
            early[job.place] = entry
            while turn in early:
                yield early.pop(turn)
                turn += 1

    def _all(self, jobs: list[Job], wanted: Wanted) -> Iterator[tuple[Job, Entry]]:
        """Yield every job with its verified copy, as they come; of many, those whose version was not told come last."""
        untold: list[Job] = []
        few = len(jobs) < WORTH_A_PAGE
        for job, entry in self._calls.each(lambda job: self._one(job, wanted, few=few), jobs):
            if entry is None:
                untold.append(job)
            else:
                yield job, entry
        if untold:
            self._find_versions(untold)
            yield from self._calls.each(lambda job: self._told(job, wanted), untold)

    def open_upload(self, entry: Entry, retention: Retention | None) -> str:
        return self._calls.once(lambda: self._large.open(entry, retention))

    def copy_parts(self, entry: Entry, upload: str, parts: Sequence[Part]) -> None:
        self._large.copy_parts(entry, upload, parts)

    def extend(self, entries: Iterable[Entry], retention: Retention) -> None:
        for _ in self._calls.each(lambda entry: self._ends.lock(entry, entry.version_id, retention), entries):
            pass

    def _one(self, job: Job, wanted: Wanted, *, few: bool) -> Entry | None:
        """Return the verified copy; None when it is made, and its version is left to a listing with those of others."""
        entry, retention = job.entry, wanted.retention
        if entry.copied and not wanted.anew:
            if retention:
                self._ends.lock(entry, entry.version_id, retention)
            return entry
        if job.copy is None:
            self._make(job, wanted, fresh=not wanted.anew)
        return None if job.untold and not few else self._told(job, wanted)

    def _told(self, job: Job, wanted: Wanted) -> Entry:
        entry, retention = job.entry, wanted.retention
        self._ask_version(job)
        digests = self._verified(job, wanted)
        version = job.copy.version_id if job.copy else None
        if not version:
            raise VaultRefused(f"the vault {self._bucket} gave {entry.key} no version; look at what serves it")
        if wanted.sha256 or not digests:
            digests = self._with_sha256(entry, version, digests)
        if retention and (job.found or entry.size > self._limits.single_copy):
            self._ends.lock(entry, version, retention)
        return entry._replace(version_id=version, digests=digests)

    def _verified(self, job: Job, wanted: Wanted) -> dict[str, str]:
        """Return the digests of a copy that is the source's bytes; what was at its key and is not, is replaced."""
        try:
            return self._proved(job)
        except ChecksumMismatch:
            if not job.found:
                raise
        self._make(job, wanted, fresh=False)
        self._ask_version(job)
        return self._proved(job)

    def _make(self, job: Job, wanted: Wanted, *, fresh: bool) -> None:
        if job.entry.size > self._limits.single_copy:
            job.source = job.source or shown(self._ends.describe_source(job.entry))
            job.copy, job.found = self._large.complete(job.entry, job.source, fresh=fresh)
            if job.found and wanted.anew:
                raise PartsMissing(
                    f"{job.entry.key} was to be copied anew, but no part of it is; open its upload first"
                )
            job.proved_by_parts = not job.found and not proved_as_a_whole(job.source.checksums)
            return
        try:
            job.copy, job.found = self._copy_once(job.entry, wanted, fresh=fresh), False
        except LostRace:
            job.copy, job.found = self._there(job.entry), True

    def _copy_once(self, entry: Entry, wanted: Wanted, *, fresh: bool) -> Shown:
        """Copy in one request. Raises LostRace when something is at the key, or the source is not what was pinned."""
        with self._ends.about(entry, **(_fresh(entry) if fresh else _again(entry))):
            made = self._ends.vault.copy_object(
                self._bucket,
                entry.key,
                pin(entry),
                **unchanged(entry),
                MetadataDirective="COPY",
                TaggingDirective="COPY",
                ChecksumAlgorithm=asked_of_copy(entry),
                **self._ends.encryption,
                **lock_headers(wanted.retention),
                **({"IfNoneMatch": "*"} if fresh else {}),
            )
        # A bucket without versions makes none; some servers have versions and do not tell.
        version = made.version_id or ("" if self._keeps_versions else NO_VERSION)
        return Shown(made.etag, whole(made.checksums, made.checksum_type), None, version)

    def _find_versions(self, jobs: list[Job]) -> None:
        """Find the versions that were not told: a page of a listing tells a thousand, where a HEAD tells one."""
        waiting = {job.entry.key: job for job in jobs}
        same = takewhile(lambda pair: pair[0] == pair[1], zip(min(waiting), max(waiting), strict=False))
        prefix, key_marker, version_marker = "".join(letter for letter, _ in same), "", ""
        for _ in range(len(jobs) // WORTH_A_PAGE):
            page = self._calls.once(partial(self._ends.page, prefix, key_marker, version_marker))
            told = 0
            for version in page.versions:
                job = waiting.get(version.key) if version.is_latest else None
                if job and job.copy and version.etag == job.copy.etag:
                    job.copy = job.copy._replace(version_id=version.version_id)
                    told += 1
            key_marker, version_marker = page.key_marker, page.version_marker
            if not key_marker or told < WORTH_A_PAGE:  # few of the many keys there: the next page tells no more
                break

    def _ask_version(self, job: Job) -> None:
        if job.untold:
            job.copy = self._there(job.entry)

    @cached_property
    def _keeps_versions(self) -> bool:
        """Whether the bucket has versions that the answer to a copy did not tell; S3 tells them."""
        with translated(f"describe bucket {self._bucket}"):
            return self._ends.vault.get_bucket_versioning(self._bucket) == "Enabled"

    def _there(self, entry: Entry) -> Shown:
        """Describe what is at the key. When nothing is, it was the source that failed the request's conditions."""
        head = self._ends.describe_copy(entry)
        if head is None:
            raise ArtifactChanged(f"{entry.source} is no longer what was pinned; protect it again to pin what is there")
        return shown(head)

    def _proved(self, job: Job) -> dict[str, str]:
        proof = self._judged(job)
        if proof.ask is Ask.SOURCE:
            job.source = shown(self._ends.describe_source(job.entry))
            proof = self._judged(job)
        if proof.digests is not None:
            return proof.digests
        return dict(job.copy.checksums) if job.proved_by_parts and job.copy else self._read(job, proof)

    def _judged(self, job: Job) -> Proof:
        if job.copy is None:
            raise VaultRefused(f"{job.entry.key} is not in the vault")
        return judge(job.entry, job.copy, job.source, etags=not self._key_arn)

    def _read(self, job: Job, proof: Proof) -> dict[str, str]:
        """Compare bytes, where S3 has no checksum of the same algorithm on both sides."""
        entry, copy, name = job.entry, job.copy, proof.algorithm
        self._check_readable(entry)
        known = known_of_source(entry, job.source)
        if copy is None or not copy.version_id:
            raise VaultRefused(f"the vault gave {entry.key} no version")
        of_source = known[name] if proof.ask is Ask.READ_COPY else self._ends.read_source(entry, name)
        of_copy = (
            copy.checksums[name] if proof.ask is Ask.READ_SOURCE else self._ends.read_copy(entry, copy.version_id, name)
        )
        compare(entry, name, of_source=of_source, of_copy=of_copy)
        return {**copy.checksums, name: of_copy}

    def _with_sha256(self, entry: Entry, version: str, digests: dict[str, str]) -> dict[str, str]:
        if "SHA256" in digests:
            return digests
        self._check_readable(entry)
        return {**digests, "SHA256": self._ends.read_copy(entry, version, "SHA256")}

    def _check_readable(self, entry: Entry) -> None:
        if entry.size > self._readable:
            raise ChecksumUnavailable(
                f"{entry.source} has {entry.size} bytes, more than can be read here, and S3 has no checksum over the "
                "whole of it; upload it with --checksum-algorithm CRC64NVME (or give its policy `digest: crc64nvme`), "
                "then protect it again"
            )


def _again(entry: Entry) -> dict[str, MldrError]:
    busy = Throttled(f"{entry.key} is being written by another worker; it is tried again")
    return {"ConditionalRequestConflict": busy, "_409": busy}


def _fresh(entry: Entry) -> dict[str, MldrError]:
    there = LostRace(f"{entry.key} is in the vault, or {entry.source} is no longer what was pinned")
    return {**_again(entry), "PreconditionFailed": there, "_412": there}
