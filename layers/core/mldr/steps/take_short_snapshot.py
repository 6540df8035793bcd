"""Take a snapshot in one call where little moves: copy, seal its shards and its manifest, and keep no working file.

A call that dies leaves nothing that the next one needs. The instant is pinned in the record, so the same versions are
found again, and their copies in the vault, under the same keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from mldr.domain.manifests import Entry, ShardRef, encode
from mldr.domain.model_rules import Digest
from mldr.domain.snapshots import SnapshotRecord
from mldr.domain.transfers import PlanState, ShardItem, sealed_shards
from mldr.ports.datasets import Datasets
from mldr.ports.stack import Clock
from mldr.ports.vault import Copier, Vault
from mldr.steps.seal_shard import seal_shard
from mldr.steps.seal_snapshot import seal_manifest

MOST_SHARDS = 8  # sealed anew by one call
MOST_COPIES = 100  # a few seconds; more of them are worth a function of their own
MOST_BYTES = 16 * 1000**3
TIME = 600_000  # milliseconds that a function must have left: more than S3 has ever needed for that much


class Drafts:
    """What is planned of each shard: in memory while it is little, in the vault from the moment that it is not."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._held: dict[str, list[Entry]] | None = {}

    def keep(self, key: str, entries: list[Entry]) -> None:
        """Take what is planned of one shard."""
        if self._held is None:
            self._vault.keep(key, encode(entries))
            return
        self._held[key] = entries
        if len(self._held) > MOST_SHARDS:
            self.write()

    def write(self) -> None:
        """Write all to the vault: other functions go on with it."""
        held, self._held = self._held or {}, None
        for key, entries in held.items():
            self._vault.keep(key, encode(entries))

    def short(self, state: PlanState) -> dict[str, list[Entry]] | None:
        """Return the planned lines of a plan that one call carries out, by their keys, or None."""
        if self._held is None or not state.complete or state.parts or state.transfer.moving > MOST_BYTES:
            return None
        if self._held.keys() != {item.plan_key for item in state.shards}:
            return None  # an earlier call planned some of it
        moving = sum(len(_moving(self._held[item.plan_key], item)) for item in state.shards)
        # Of a SHA-256 that S3 has to compute the function that copies a shard takes care.
        hashes = moving and state.transfer.digest is Digest.SHA256
        return None if hashes or moving > MOST_COPIES else self._held


def take_short_snapshot(
    record: SnapshotRecord,
    state: PlanState,
    planned: dict[str, list[Entry]],
    *,
    region: str,
    datasets: Datasets,
    vault: Vault,
    copier: Copier,
    clock: Clock,
) -> SnapshotRecord:
    """Return the sealed record of a plan that one call carries out."""
    moving = [entry for item in state.shards for entry in _moving(planned[item.plan_key], item)]
    made = iter(list(copier.copy(moving, state.retention))) if moving else iter(())
    shards = [_made(planned[item.plan_key], item, made) for item in state.shards]
    refs = dict(zip((item.item for item in state.shards), _seal(shards, state, vault, copier), strict=True))
    now = clock.now()
    work = [
        piece if piece.ref else piece.model_copy(update={"ref": refs[piece.item], "done_at": now})
        for piece in state.work
    ]
    every = sealed_shards(state.transfer, work)
    record = record.model_copy(update={"copied": state.transfer.moving})
    return seal_manifest(record, state, every, region=region, datasets=datasets, vault=vault, clock=clock)


def _moving(entries: Sequence[Entry], item: ShardItem) -> list[Entry]:
    """Return what of a shard needs a call: what is not in the vault, or all of it when its locks must grow."""
    return [entry for entry in entries if item.extend or not entry.copied]


def _made(entries: Sequence[Entry], item: ShardItem, copies: Iterator[Entry]) -> list[Entry]:
    return [next(copies) if item.extend or not entry.copied else entry for entry in entries]


def _seal(shards: Sequence[list[Entry]], state: PlanState, vault: Vault, copier: Copier) -> list[ShardRef]:
    retention = state.retention

    def one(entries: list[Entry], item: ShardItem) -> ShardRef:
        reused = None if item.extend else item.locked_until
        until = min(retention.until, reused or retention.until)
        return seal_shard(entries, state.transfer, retention, until, vault=vault, copier=copier)

    if len(shards) < 2:
        return list(map(one, shards, state.shards))
    with ThreadPoolExecutor(len(shards)) as pool:
        return list(pool.map(one, shards, state.shards))
