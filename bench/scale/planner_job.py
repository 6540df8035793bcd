"""A process of its own that runs the product's planner over a listing, and prints what came of it as JSON.

Arguments: what to do, how many objects, the size of each in bytes, a working folder. Nothing but the planner is in this
process's memory: the listing is made up line by line, and the vault is the folder.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mldr.domain.manifests import Entry, ShardRef, decode, digest_of, encode, pooled_key
from mldr.domain.recovery_point import Retention
from mldr.domain.transfers import CopyLimits, PlanState, Transfer
from mldr.ports.sources import Listed
from mldr.steps.plan_transfer import entry_of, plan_transfer

BUCKET = "training-data"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
UNTIL = NOW + dt.timedelta(days=90)
PER_FOLDER = 1000
CHANGED_OF = 100  # one object in so many is another version when it is planned again


class FolderVault:
    """As much of the vault as planning needs, in files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.written: list[int] = []

    def keep(self, key: str, content: bytes) -> None:
        """Write a working file."""
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.written.append(len(content))

    def read(self, key: str, version_id: str | None = None) -> bytes | None:
        """Return a file."""
        return (self._folder / key).read_bytes()

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield no key: nothing was ever repaired here."""
        return iter(())

    def uri(self, key: str) -> str:
        """Return where a file is."""
        return str(self._folder / key)


class NoCopies:
    """As much of the copier as planning needs."""

    limits = CopyLimits()

    def open_upload(self, entry: Entry, retention: Retention | None) -> str:
        """Return an upload's id."""
        return "2~" + "u" * 60


def listing(count: int, size: int, *, changed: bool) -> Iterator[Listed]:
    """Yield what a listing of the source would say, in the order of keys."""
    for number in range(count):
        again = changed and number % CHANGED_OF == 0
        version = hashlib.md5(f"{number}/{again}".encode(), usedforsecurity=False).hexdigest()
        key = f"images/{number // PER_FOLDER:05d}/{number:08d}.jpg"
        yield Listed(key, version, version, size, 1_767_225_600_000_000 + number, ("CRC64NVME",))


def entries(count: int, size: int, *, changed: bool) -> Iterator[Entry]:
    """Yield the listing as planned lines."""
    for listed in listing(count, size, changed=changed):
        key = pooled_key(BUCKET, listed.key, listed.version_id)
        yield entry_of(listed, BUCKET, name=listed.key.removeprefix("images/"), key=key)


def plan(
    folder: Path, count: int, size: int, base: Iterable[ShardRef] = (), *, changed: bool = False
) -> dict[str, Any]:
    """Plan a transfer and return its figures."""
    vault, copier = FolderVault(folder), NoCopies()
    retention = Retention(mode="GOVERNANCE", until=UNTIL)
    transfer = Transfer(owner="dataset/images", id="again" if changed else "first", plan="p", started_at=NOW)
    state = plan_transfer(
        PlanState(transfer=transfer, retention=retention),
        entries(count, size, changed=changed),
        [list(base)] if base else [],
        keep_until=NOW,
        sources=None,  # type: ignore[arg-type]  # asked only for SHA-256s, which this listing does not promise
        vault=vault,  # type: ignore[arg-type]
        copier=copier,  # type: ignore[arg-type]
        out_of_time=lambda: False,
    )
    return {
        "objects": state.transfer.objects,
        "bytes": state.transfer.bytes,
        "moving": state.transfer.moving,
        "shards": len(state.shards),
        "carried": state.cuts - len(state.shards),
        "parts_items": len(state.parts),
        "parts": sum(item.last - item.first + 1 for item in state.parts),
        "files": len(vault.written),
        "plan_bytes": sum(vault.written),
        "state_bytes": len(state.model_dump_json()),
        "shard_keys": [item.plan_key for item in state.shards],
    }


def seal(folder: Path, keys: Iterable[str]) -> list[ShardRef]:
    """Write every planned shard as a sealed one, as its worker would, one in memory at a time."""
    return [_sealed(folder, key) for key in keys]


def _sealed(folder: Path, key: str) -> ShardRef:
    shard = [
        entry._replace(version_id="v" * 32, digests={"CRC64NVME": entry.etag[:12]})
        for entry in decode((folder / key).read_bytes())
    ]
    content = encode(shard)
    digest = digest_of(content)
    sealed = f"sealed/{digest}.avro"
    (folder / sealed).parent.mkdir(exist_ok=True)
    (folder / sealed).write_bytes(content)
    return ShardRef(
        digest=digest,
        key=sealed,
        version_id="v" * 32,
        first=shard[0].name,
        last=shard[-1].name,
        objects=len(shard),
        bytes=sum(entry.size for entry in shard),
        locked_until=UNTIL,
    )


def main() -> None:
    """Do one of: first (plan), seal (write the shards of that plan), again (plan with 1 % changed)."""
    verb, count, size, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    notes, began, figures = folder / "refs.json", time.process_time(), {}
    if verb == "seal":
        keys = json.loads((folder / "keys.json").read_text())
        notes.write_text(json.dumps([ref.model_dump(mode="json") for ref in seal(folder, keys)]))
    elif verb == "first":
        figures = plan(folder, count, size)
        (folder / "keys.json").write_text(json.dumps(figures.pop("shard_keys")))
    else:
        base = [ShardRef.model_validate(ref) for ref in json.loads(notes.read_text())]
        figures = plan(folder, count, size, base, changed=True)
        del figures["shard_keys"]
    print(json.dumps(figures | {"work_cpu": time.process_time() - began}))


if __name__ == "__main__":
    main()
