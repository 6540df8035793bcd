"""Objects of the active region."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from mldr.domain.identity import Frozen
from mldr.domain.recovery_point import Checksum, SourceVersion


class FoundObject(Frozen):
    """An object of the source as S3 describes it. `checksum` is None when S3 has none over the whole object."""

    source: SourceVersion
    size: int
    etag: str
    checksum: Checksum | None
    content_type: str = "binary/octet-stream"
    metadata: dict[str, str] = {}
    modified: int = 0  # when it was written: microseconds since 1970, UTC


class Listed(NamedTuple):
    """One object version as a listing shows it."""

    key: str
    version_id: str  # `null` where the bucket keeps no versions
    etag: str
    size: int  # bytes
    modified: int  # microseconds since 1970, UTC; S3 gives whole seconds
    algorithms: tuple[str, ...]  # the checksums that S3 holds of the whole object


class Sources(Protocol):
    """Objects in the active region: read, never written."""

    def find(self, bucket: str, key: str, version_id: str | None = None) -> FoundObject:
        """Return the current version, or the named one. Raises MissingArtifact."""

    def list(self, bucket: str, prefix: str, *, after: str = "", as_of: dt.datetime | None = None) -> Iterator[Listed]:
        """Yield, in the order of keys and after a key, the version of each that was current at `as_of`, or is now.

        A key whose current version was a delete marker is not yielded. Raises MissingArtifact when the bucket does not
        exist, SourceNotVersioned when `as_of` is given and the bucket does not keep every version.
        """

    def read(self, source: SourceVersion, limit: int) -> bytes:
        """Return the bytes of a small object. Raises BadReference when it is larger than `limit`."""

    def stream(self, bucket: str, key: str) -> Iterator[bytes]:
        """Yield the bytes of an object of any size, some at a time. Raises MissingArtifact."""
