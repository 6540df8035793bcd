"""The lines of a manifest, the shards they are kept in, and where a shard ends.

A manifest may name ten million objects, so its lines are kept apart from it, in shards: Avro object container files
(avro.apache.org/docs/1.12.0/specification, the format in which Apache Iceberg keeps its manifests). A shard ends where
a name's checksum says so, not after a count: one more object moves the end of one shard and leaves the others alone,
so that the next manifest can name them again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from mldr.domain.identity import Frozen

if TYPE_CHECKING:
    from fastavro.types import Schema

GIB = 1024**3


class Entry(NamedTuple):
    """One object: its pinned source, and its verified copy in the vault once there is one."""

    name: str  # what it is called inside its manifest: unique, and the order of the lines
    bucket: str
    source_key: str
    source_version: str  # `null` where the bucket keeps no versions
    etag: str
    modified: int  # when the source version was written: microseconds since 1970, UTC
    size: int  # bytes
    key: str  # in the vault
    version_id: str  # in the vault; empty until it is copied and verified
    digests: dict[str, str]  # full-object checksums by algorithm, base64 as S3 writes them

    @property
    def copied(self) -> bool:
        """Whether the vault holds a verified copy."""
        return bool(self.version_id)

    @property
    def source(self) -> str:
        """The pinned source as people read it."""
        return f"s3://{self.bucket}/{self.source_key} (version {self.source_version})"


class Line(Entry):
    """An entry as it was read from a shard, unchanged since: a shard of such lines need not be written again."""

    __slots__ = ()

    def _replace(self, /, **fields: Any) -> Entry:  # type: ignore[override]  # what is changed is no such line
        return Entry._make(self)._replace(**fields)


class ShardRef(Frozen):
    """A sealed shard: where it is, what it holds, and until when it and everything it names are locked."""

    digest: str  # SHA-256 of the file, hex
    key: str
    version_id: str
    first: str  # the first and the last name in it
    last: str
    objects: int
    bytes: int
    locked_until: dt.datetime


class ShardLimits(Frozen):
    """How large a shard gets: `mean` objects, never more than `most` or `bytes`, `least` unless nothing follows."""

    least: int = 1024
    mean: int = 4096
    most: int = 8192
    bytes: int = 64 * GIB


def cut(entries: Iterable[Entry], limits: ShardLimits | None = None) -> Iterator[list[Entry]]:
    """Yield the entries in shards. The entries come in the order of their names; nothing else is held in memory."""
    limits = limits or ShardLimits()
    shard: list[Entry] = []
    size = 0
    for entry in entries:
        full = len(shard) >= limits.most or size + entry.size > limits.bytes
        if shard and (full or (len(shard) >= limits.least and _begins(entry.name, limits))):
            yield shard
            shard, size = [], 0
        shard.append(entry)
        size += entry.size
    if shard:
        yield shard


def _begins(name: str, limits: ShardLimits) -> bool:
    return zlib.crc32(name.encode()) % max(1, limits.mean - limits.least) == 0


_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Entry",
    "namespace": "mldr",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "bucket", "type": "string"},
        {"name": "source_key", "type": "string"},
        {"name": "source_version", "type": "string"},
        {"name": "etag", "type": "string"},
        {"name": "modified", "type": "long", "doc": "microseconds since 1970, UTC"},
        {"name": "size", "type": "long"},
        {"name": "key", "type": "string"},
        {"name": "version_id", "type": "string"},
        {"name": "digests", "type": {"type": "map", "values": "string"}},
    ],
}
_FIELDS = itemgetter(*Entry._fields)  # of a row that was read, whatever the order of its writer
# Avro puts sixteen random bytes between blocks; fixed ones make equal entries an equal file.
_MARKER = hashlib.sha256(b"mldr manifest shard 1").digest()[:16]


def encode(entries: Iterable[Entry]) -> bytes:
    """Return the entries as an Avro file. Equal entries give equal bytes."""
    import fastavro

    file = io.BytesIO()
    fastavro.writer(file, _parsed(), map(_row, entries), codec="deflate", sync_marker=_MARKER)
    return file.getvalue()


def _row(entry: Entry) -> dict[str, object]:
    row: dict[str, object] = dict(zip(Entry._fields, entry, strict=True))
    if len(entry.digests) > 1:
        row["digests"] = dict(sorted(entry.digests.items()))
    return row


def decode(content: bytes) -> Iterator[Entry]:
    """Yield the entries of an Avro file, block by block."""
    import fastavro

    for row in fastavro.reader(io.BytesIO(content)):
        yield Line._make(_FIELDS(row))  # type: ignore[arg-type]  # a record, by its schema


def _parsed() -> Schema:
    import fastavro

    return fastavro.parse_schema(_SCHEMA)


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a shard, hex: its name in the vault."""
    return hashlib.sha256(content).hexdigest()


def pooled_key(bucket: str, key: str, version_id: str, sha256: str | None = None) -> str:
    """Return the vault key of a dataset's object: its content identity, so that equal content is kept once.

    Identity is a SHA-256 of the bytes where the source has one, else the pinned source version; never an ETag or CRC.
    """
    if sha256:
        return f"objects/sha256/{sha256[:2]}/{sha256}"
    pin = hashlib.sha256(f"{bucket}\n{key}\n{version_id}".encode()).hexdigest()
    return f"objects/version/{pin[:2]}/{pin}"
