"""The bucket in the standby region: what is kept in it, copied into it, and checked of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from mldr.domain.digest_jobs import Computed, JobState, Target
from mldr.domain.evidence import Evidence
from mldr.domain.identity import ModelKey
from mldr.domain.manifests import Entry
from mldr.domain.recovery_point import Retention
from mldr.domain.scrub import Tally
from mldr.domain.transfers import CopyLimits, Part


class Vault(Protocol):
    """The versioned, locked bucket in the standby region."""

    def lock(self, key: str, version_id: str, retention: Retention) -> None:
        """Keep a version until a time. Locking again to the same or a later time is harmless."""

    def seal(self, key: str, content: bytes, retention: Retention) -> str:
        """Write a locked object where none is, and return its version. Raises LostRace when one is there already."""

    def read(self, key: str, version_id: str | None = None) -> bytes | None:
        """Return the bytes at a key, or None."""

    def versions(self, key: str) -> list[str]:
        """Return the versions of a key, the oldest first. A delete marker hides none of them."""

    def keys(self, prefix: str) -> list[str]:
        """Return the keys under a prefix, in order. A delete marker hides none of them."""

    def keep(self, key: str, content: bytes) -> None:
        """Write a working file, over whatever is there."""

    def uri(self, key: str) -> str:
        """Return the s3:// URI of a key."""


class Copier(Protocol):
    """Copies of pinned objects in the vault, made on the server, locked, and verified before they are returned."""

    @property
    def limits(self) -> CopyLimits:
        """Where one call stops and parts begin."""

    def copy(
        self, entries: Iterable[Entry], retention: Retention | None, *, sha256: bool = False, anew: bool = False
    ) -> Iterator[Entry]:
        """Yield each entry with its verified copy, in order; many at once, as fast as S3 takes them.

        An entry that is copied already only has its lock extended. An object above `CopyLimits.single_copy` is
        completed from the parts that `copy_parts` left. With `sha256` every object gets a SHA-256 as well. With `anew`
        it is copied again, whatever is there: S3's description of a copy whose bytes went bad says nothing of it.
        Raises MissingArtifact, ArtifactChanged, ChecksumMismatch, ChecksumUnavailable, PartsMissing, VaultRefused,
        NotAllowed, Throttled.
        """

    def open_upload(self, entry: Entry, retention: Retention | None) -> str:
        """Return the id of the multipart upload of a large object; an open one of an earlier attempt is used again.

        '' when the vault has the object already: there are no parts to copy, and `copy` verifies it. An entry that is
        copied already is to be copied anew.
        """

    def copy_parts(self, entry: Entry, upload: str, parts: Sequence[Part]) -> None:
        """Copy and verify ranges of a large object. What is there is kept; a part of another size is copied again.

        Harmless when the upload is completed already. Raises what `copy` raises.
        """

    def extend(self, entries: Iterable[Entry], retention: Retention) -> None:
        """Lock copies until a later time. Harmless when they are locked for longer."""


class VaultBytes(Protocol):
    """The bytes of the vault's objects, read to be checked."""

    def piece(self, key: str, version_id: str, first: int, size: int) -> tuple[bytes, int]:
        """Return at most `size` bytes from `first` on, and how many the whole object has. Many threads may ask at once.

        Raises MissingArtifact when the version is gone, Throttled, RegionUnreachable.
        """


class DigestJobs(Protocol):
    """Checksums that S3 computes over objects of the vault: many of them, and large ones, in hours."""

    def start(self, name: str, token: str, targets: Iterable[Target], algorithm: str) -> str:
        """Start a job and return its id; its list and its report are working files that begin with `name`.

        The same token again gives the same job. Raises ChecksumUnavailable when it is refused, NotAllowed, Throttled,
        RegionUnreachable.
        """

    def state(self, job: str) -> JobState:
        """Return how a job stands."""

    def results(self, job: str, algorithm: str) -> Iterator[Computed]:
        """Yield the lines of an ended job's report, in any order; nothing when it failed before any was computed."""


class Scrubs(Protocol):
    """What the last checks of the vault's bytes found."""

    def note(self, tally: Tally) -> None:
        """Remember what a run found of its owner, in place of the run before."""

    def last(self, owner: str) -> Tally | None:
        """Return what the last run found of an owner, or None when it was never checked."""


class EvidenceStore(Protocol):
    """The chains of evidence in the vault."""

    def append(self, draft: Evidence) -> Evidence:
        """Store a record at the end of its model's chain, which numbers and links it; one id is one record."""

    def newest(self, model: ModelKey, limit: int) -> list[Evidence]:
        """Return the last records of a chain, the newest first."""
