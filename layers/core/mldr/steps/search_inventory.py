"""Find what no event told of by a bucket's S3 Inventory: only where it differs from the snapshot is the bucket listed.

The inventory is a hint and nothing more. A name of which an event told is asked for anyway, so it is left out on both
sides; where the rest of a shard's names does not agree, that range of keys is listed as of the instant. A wrong or late
line costs a listing of a range, and a range in which everything agrees has lost no event up to the inventory's time.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from mldr.domain.datasets import DatasetRule
from mldr.domain.inventories import DataFile, Inventory, Ranges, current_lines, read_inventory
from mldr.domain.manifests import Entry, ShardRef
from mldr.domain.snapshots import FEW_CHANGES, LOG_KEPT, SnapshotRecord
from mldr.errors import InventoryUnusable, MissingArtifact
from mldr.ports.sources import Sources
from mldr.ports.vault import Vault
from mldr.steps.plan_snapshot import readable

MANIFEST, CHECKSUM = "manifest.json", "manifest.checksum"
LARGEST_MANIFEST = 16 * 1024**2
CHECK_EVERY = 20_000  # lines after which the time is looked at
PART = 4  # where more than one range in so many differs, listing everything asks hardly more


class Lost(NamedTuple):
    """What no event told of."""

    names: tuple[str, ...]
    listed: int  # ranges that were listed to find them


def newest_inventory(record: SnapshotRecord, previous: SnapshotRecord | None, sources: Sources) -> Inventory:
    """Return the newest inventory that can tell more than the last listing. Raises InventoryUnusable."""
    rule = record.rule
    bucket, _, prefix = rule.inventory.removeprefix("s3://").partition("/")
    useful = record.as_of - min(rule.reconcile, LOG_KEPT - dt.timedelta(days=1))
    since = max((previous and previous.listed_at) or useful, useful)
    try:
        # The folders of the manifests are named by their time, and come before `data/` and `hive/`.
        listed = sources.list(bucket, f"{prefix}2", after=f"{prefix}{since:%Y-%m-%dT%H-%MZ}")
        complete = [one.key for one in listed if one.key.endswith(f"/{CHECKSUM}")]
        if not complete:
            raise InventoryUnusable(f"{rule.inventory} has no inventory that was begun after {since:%Y-%m-%d %H:%M}")
        content, checksum = (
            _small(bucket, complete[-1].replace(CHECKSUM, name), sources) for name in (MANIFEST, CHECKSUM)
        )
    except MissingArtifact as error:
        raise InventoryUnusable(str(error)) from error
    place = f"s3://{bucket}/{complete[-1].replace(CHECKSUM, MANIFEST)}"
    inventory = read_inventory(content, checksum, place=place, source=rule.bucket, bucket=bucket)
    if inventory.begun_at <= since:
        raise InventoryUnusable(f"{place} was begun at {inventory.begun_at:%Y-%m-%d %H:%M}, before the last listing")
    return inventory


def search_inventory(
    record: SnapshotRecord,
    inventory: Inventory,
    base: Sequence[ShardRef],
    told: Sequence[str],
    *,
    sources: Sources,
    vault: Vault,
    out_of_time: Callable[[], bool],
) -> Lost:
    """Return what differs and is not among the names that events `told` of, since the inventory or the base at least.

    Raises InventoryUnusable where a listing of everything is better, BaseUnreadable.
    """
    ranges, known = Ranges(base), frozenset(told)
    bucket = record.rule.inventory.removeprefix("s3://").partition("/")[0]
    for name, version in _in_time(_found(record.rule, bucket, inventory, sources), out_of_time):
        if name not in known:
            ranges.found(name, version)
    for name, version in _in_time(_held(readable(vault, base, "")), out_of_time):
        if name not in known:
            ranges.have(name, version)
    differing = ranges.differing()
    if len(differing) * PART > len(base):
        raise InventoryUnusable(f"it differs in {len(differing)} of {len(base)} ranges")
    names: list[str] = []
    for index in differing:
        names += (name for name in _listed_otherwise(record, base, index, sources, vault) if name not in known)
        if len(names) > FEW_CHANGES or out_of_time():
            raise InventoryUnusable(f"no event told of {len(names)} changes and more")
    return Lost(tuple(names), len(differing))


def _small(bucket: str, key: str, sources: Sources) -> bytes:
    found = sources.find(bucket, key)
    if found.size > LARGEST_MANIFEST:
        raise InventoryUnusable(f"s3://{bucket}/{key} has {found.size} bytes")
    return sources.read(found.source, LARGEST_MANIFEST)


def _in_time(lines: Iterator[tuple[str, str]], out_of_time: Callable[[], bool]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines):
        if number % CHECK_EVERY == 0 and out_of_time():
            raise InventoryUnusable("there was no time to read all of it")
        yield line


def _found(rule: DatasetRule, bucket: str, inventory: Inventory, sources: Sources) -> Iterator[tuple[str, str]]:
    source, prefix = rule.bucket, rule.prefix
    for file in inventory.files:
        for of, key, version in current_lines(_rows(bucket, file, sources), inventory.columns):
            if of == source and key.startswith(prefix) and key != prefix:
                yield key[len(prefix) :], version


def _held(lines: Iterator[Entry]) -> Iterator[tuple[str, str]]:
    for entry in lines:
        yield entry.name, entry.source_version


def _rows(bucket: str, file: DataFile, sources: Sources) -> Iterator[list[str]]:
    """Yield the lines of one file. What it told is void when its checksum turns out to be another one at the end."""
    place, raw = f"s3://{bucket}/{file.key}", Hashed(sources.stream(bucket, file.key))
    try:
        with gzip.open(io.BufferedReader(raw, 1024**2), "rt", encoding="utf-8", newline="") as text:
            yield from csv.reader(text)
    except MissingArtifact as error:
        raise InventoryUnusable(str(error)) from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InventoryUnusable(f"{place} cannot be read: {error}") from error
    if raw.md5() != file.md5:
        raise InventoryUnusable(f"{place} is not what its manifest says; wait for the next inventory")


class Hashed(io.RawIOBase):
    """A stream of bytes as a file, hashed on its way."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest, self._md5 = chunks, b"", hashlib.md5(usedforsecurity=False)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; 0 at the end."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._md5.update(chunk)
            self._rest = chunk
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def md5(self) -> str:
        """Return the MD5 of what was read."""
        return self._md5.hexdigest()


def _listed_otherwise(
    record: SnapshotRecord, base: Sequence[ShardRef], index: int, sources: Sources, vault: Vault
) -> Iterator[str]:
    """Yield the names of one shard's range that are not what its lines say."""
    rule = record.rule
    end = base[index + 1].first if index + 1 < len(base) else None
    before = {entry.name: entry for entry in readable(vault, [base[index]], "")}
    after = base[index - 1].last if index else ""
    first = f"{rule.prefix}{after}" if after else ""
    for listed in sources.list(rule.bucket, rule.prefix, after=first, as_of=record.as_of):
        name = listed.key.removeprefix(rule.prefix)
        if end is not None and name >= end:
            break
        old = before.pop(name, None)
        same = old is not None and (old.source_version, old.etag) == (listed.version_id, listed.etag)
        if name and not same:
            yield name
    yield from before
