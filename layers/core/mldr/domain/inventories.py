"""S3 Inventory: what its manifest says, and where its lines and a snapshot's do not agree.

AWS promises no order of an inventory's lines, neither in a file nor among files, and calls it a rolling, eventually
consistent list (docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html). So nothing here needs an order,
and nothing that an inventory says is believed: it only tells where the bucket has to be listed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import unquote_plus

from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from mldr.domain.identity import Frozen
from mldr.domain.manifests import ShardRef
from mldr.errors import InventoryUnusable

NEEDED = ("Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker")
NO_VERSION = "null"


class DataFile(Frozen):
    """One file of an inventory's lines."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    size: int  # bytes, compressed
    md5: str = Field(alias="MD5checksum")


class Inventory(Frozen):
    """What the manifest.json of an inventory says."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, extra="ignore")

    source_bucket: str
    destination_bucket: str
    creation_timestamp: int  # milliseconds since 1970: when the scan of the bucket began
    file_format: Literal["CSV", "ORC", "Parquet"]
    file_schema: str
    files: tuple[DataFile, ...]

    @property
    def begun_at(self) -> dt.datetime:
        """Return when S3 began to look: what was written afterwards may be in it or not."""
        return dt.datetime.fromtimestamp(self.creation_timestamp // 1000, dt.UTC)

    @property
    def columns(self) -> list[str]:
        """Return what the fields of a line are, in their order."""
        return [name.strip() for name in self.file_schema.split(",")]


def read_inventory(content: bytes, checksum: bytes, *, place: str, source: str, bucket: str) -> Inventory:
    """Return what a manifest says. Raises InventoryUnusable with what to change in the configuration of the bucket."""
    told = checksum.decode("ascii", "replace").strip()
    if told != hashlib.md5(content, usedforsecurity=False).hexdigest():
        raise InventoryUnusable(f"{place} is not what its manifest.checksum says; wait for the next inventory")
    try:
        inventory = Inventory.model_validate_json(content)
    except ValidationError as error:
        raise InventoryUnusable(f"{place} is no manifest of an inventory: {error.errors()[0]['msg']}") from error
    if inventory.file_format != "CSV":
        raise InventoryUnusable(f"{place} names {inventory.file_format} files; configure an inventory as CSV")
    missing = [name for name in NEEDED if name not in inventory.columns]
    if missing:
        raise InventoryUnusable(f"{place} has no {', '.join(missing)}; configure an inventory of all versions")
    if (inventory.source_bucket, inventory.destination_bucket.rpartition(":")[2]) != (source, bucket):
        raise InventoryUnusable(
            f"{place} is of {inventory.source_bucket} in {inventory.destination_bucket}; name the inventory of {source}"
        )
    return inventory


class Ranges:
    """Which ranges of names hold the same versions on two sides, whatever the order in which these are told.

    The shards of a snapshot cut the names into ranges. For each a sum of hashes is kept, what is told by one side added
    and by the other subtracted: 128 bits a range, however many lines there are.
    """

    def __init__(self, shards: Sequence[ShardRef]) -> None:
        self._firsts = [ref.first for ref in shards[1:]]  # what comes before the first shard belongs to it
        self._sums = [0] * len(shards)

    def have(self, name: str, version: str) -> None:
        """Take one line of the snapshot."""
        self._sums[bisect_right(self._firsts, name)] += _hash(name, version)

    def found(self, name: str, version: str) -> None:
        """Take one current version of the inventory."""
        self._sums[bisect_right(self._firsts, name)] -= _hash(name, version)

    def differing(self) -> list[int]:
        """Return the shards in whose ranges the two sides do not agree."""
        return [index for index, total in enumerate(self._sums) if total]


def _hash(name: str, version: str) -> int:
    said = f"{version}\n{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(said, digest_size=16).digest())


def current_lines(rows: Iterable[Sequence[str]], columns: Sequence[str]) -> Iterable[tuple[str, str, str]]:
    """Yield bucket, key and version of what a CSV file's lines say is current. An object without a version is `null`.

    Keys are URL-encoded, with a plus for a space. Raises InventoryUnusable.
    """
    bucket, key, version, latest, marker = (columns.index(name) for name in NEEDED)
    for row in rows:
        if len(row) < len(columns):
            raise InventoryUnusable(f"a line of the inventory has {len(row)} fields instead of {len(columns)}")
        if row[latest].lower() == "true" and row[marker].lower() != "true":
            yield row[bucket], unquote_plus(row[key]), row[version] or NO_VERSION
