"""Decide whether bytes in the vault are the bytes that were pinned. A size alone never proves it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from mldr.domain.manifests import Entry
from mldr.errors import ChecksumMismatch

# The checksums that S3 computes over a whole object that is copied in one call, the strongest first
# (docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html).
COPYABLE = ("SHA256", "CRC64NVME", "CRC32C", "CRC32", "SHA1")
WHOLE_BY_PARTS = ("CRC64NVME", "CRC32C", "CRC32")  # and what it computes over one that arrives in parts
DEFAULT = "CRC64NVME"  # the one of them for a source that has none
COMPUTED_HERE = ("SHA256", "SHA1", "CRC64NVME", "CRC32C", "CRC32")  # of bytes that are read
# What an object of at most this many bytes is read for, when nothing else can verify it: what one function reads at
# 625 Mbps within its time.
READABLE = 32 * 1024**3
_AGAIN = "protect it again"
_MD5 = re.compile(r"[0-9a-f]{32}")


class Shown(NamedTuple):
    """An object as an answer of S3 shows it."""

    etag: str
    checksums: Mapping[str, str]  # over the whole object only: a composite one proves nothing about a copy
    size: int | None = None  # bytes, where the answer says it
    version_id: str | None = None


class Ask(Enum):
    """What is missing before a copy can be called verified."""

    SOURCE = "describe the pinned source"
    READ_SOURCE = "read the source, and compute what S3 has computed of the copy"
    READ_COPY = "read the copy, and compute what S3 has of the source"
    READ_BOTH = "read both"


class Proof(NamedTuple):
    """The next step of a verification: `digests` once it is verified, else what to ask for, in which algorithm."""

    digests: dict[str, str] | None
    ask: Ask | None = None
    algorithm: str = "SHA256"


def asked_of_copy(entry: Entry) -> str:
    """Return the checksum to have computed of a copy: what S3 holds of the source, as far as the entry knows.

    A listing tells which algorithm that is before anybody knows the value: such a digest is an empty string. A source
    without one has to be read, so its copy gets S3's own default, which parts can have as well.
    """
    return next((name for name in COPYABLE if name in entry.digests), DEFAULT)


def computed_of_parts(source: Mapping[str, str]) -> str:
    """Return the checksum to have computed over an object that is copied in parts: one that S3 has of the source."""
    return next((name for name in WHOLE_BY_PARTS if name in source), DEFAULT)


def proved_as_a_whole(source: Mapping[str, str]) -> bool:
    """Return whether a copy in parts is proved on its completion. Else each part is, as it is copied."""
    return computed_of_parts(source) in source


def judge(entry: Entry, copy: Shown, source: Shown | None = None, *, etags: bool) -> Proof:
    """Return the verified digests, or what has to be asked next. Raises ChecksumMismatch naming the object.

    `source` is its description, once it was asked for. `etags` says that the vault's ETags are MD5s: those of objects
    that were encrypted with a KMS key are not (docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html).
    """
    if copy.size is not None and copy.size != entry.size:
        raise ChecksumMismatch(f"{entry.key}: {copy.size} bytes in the vault, {entry.size} in {entry.source}; {_AGAIN}")
    known = known_of_source(entry, source)
    shared = [name for name in (*COPYABLE, *known) if name in known and name in copy.checksums]
    for name in shared:
        compare(entry, name, of_source=known[name], of_copy=copy.checksums[name])
    if shared:
        return Proof(dict(copy.checksums))
    if etags and _MD5.fullmatch(entry.etag) and copy.etag == entry.etag:
        return Proof({**copy.checksums, "MD5": base64.b64encode(bytes.fromhex(entry.etag)).decode()})
    if source is None:
        return Proof(None, Ask.SOURCE)
    return _to_read(copy, known)


def known_of_source(entry: Entry, source: Shown | None) -> dict[str, str]:
    """Return the checksums of the source, from its description and from the entry, without mere names of algorithms."""
    return dict(source.checksums if source else {}) | {name: value for name, value in entry.digests.items() if value}


def _to_read(copy: Shown, known: Mapping[str, str]) -> Proof:
    """Return which side to read: the fewest bytes that prove it."""
    for ask, held in ((Ask.READ_COPY, known), (Ask.READ_SOURCE, copy.checksums)):
        algorithm = next((name for name in COMPUTED_HERE if name in held), None)
        if algorithm:
            return Proof(None, ask, algorithm)
    return Proof(None, Ask.READ_BOTH)


def compare(entry: Entry, algorithm: str, *, of_source: str, of_copy: str, what: str = "") -> None:
    """Raise ChecksumMismatch unless two checksums of an object, or of a part of it, are the same."""
    if of_source != of_copy:
        raise ChecksumMismatch(
            f"{entry.key}{what}: {algorithm} is {of_copy} in the vault, {of_source} in {entry.source}; {_AGAIN}"
        )
