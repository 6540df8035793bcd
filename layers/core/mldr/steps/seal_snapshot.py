"""Seal a snapshot: write its manifest once, locked, after everything it names was verified."""

from __future__ import annotations

import datetime as dt

from mldr.domain.manifests import ShardRef
from mldr.domain.recovery_point import Phase, Retention
from mldr.domain.snapshots import FEW_SHARDS, SnapshotManifest, SnapshotRecord, kept_until, manifest_key
from mldr.domain.transfers import PlanState, sealed_shards
from mldr.errors import LostRace, MissingArtifact, VaultRefused
from mldr.events.snapshots import SnapshotTask
from mldr.ports.catalog import Catalog
from mldr.ports.datasets import Datasets
from mldr.ports.stack import Clock
from mldr.ports.vault import Vault
from mldr.steps.snapshot_state import current_snapshot, load_state, read_snapshot
from mldr.steps.working_files import in_force


def seal_snapshot(
    task: SnapshotTask, *, region: str, datasets: Datasets, catalog: Catalog, vault: Vault, clock: Clock
) -> SnapshotRecord:
    """Return the sealed record. Sealing twice gives the first seal: a manifest is never written over."""
    record = current_snapshot(datasets, task)
    if record.phase is Phase.SEALED:
        return record
    sealed = finish_seal(record, datasets, vault)
    if sealed:
        return sealed
    state = load_state(vault, record)
    if state is None:
        raise MissingArtifact(f"the plan of {record.snapshot} is gone; ask for a snapshot again")
    in_force(catalog, state.transfer)
    shards = sealed_shards(state.transfer, catalog.items(state.transfer))
    return seal_manifest(record, state, shards, region=region, datasets=datasets, vault=vault, clock=clock)


def finish_seal(record: SnapshotRecord, datasets: Datasets, vault: Vault) -> SnapshotRecord | None:
    """Return the sealed record when an earlier call wrote the manifest and came no further, else None."""
    # Whoever writes it says VERIFYING before: in a first attempt that has not, there is nothing to look for.
    if record.attempt == 1 and record.phase is not Phase.VERIFYING:
        return None
    version = _existing(record, vault)
    return _sealed(record, _read(record, version, vault), version, datasets) if version else None


def seal_manifest(
    record: SnapshotRecord,
    state: PlanState,
    shards: tuple[ShardRef, ...],
    *,
    region: str,
    datasets: Datasets,
    vault: Vault,
    clock: Clock,
) -> SnapshotRecord:
    """Return the sealed record of a snapshot whose shards are all sealed. Its manifest is written last, and once."""
    record = record.model_copy(update={"phase": Phase.VERIFYING})
    datasets.advance(record)
    manifest = _manifest(record, state, shards, region, clock.now())
    _refuse_short_locks(manifest)
    lock = Retention(mode=state.retention.mode, until=manifest.kept_until)
    key = manifest_key(record.dataset, record.snapshot)
    try:
        version = vault.seal(key, manifest.model_dump_json(indent=1).encode(), lock)
    except LostRace:
        winner = _existing(record, vault)
        if winner is None:
            raise
        version, manifest = winner, _read(record, winner, vault)
    return _sealed(record, manifest, version, datasets)


def _sealed(record: SnapshotRecord, manifest: SnapshotManifest, version: str, datasets: Datasets) -> SnapshotRecord:
    sealed = record.model_copy(
        update={
            "phase": Phase.SEALED,
            "reason": "",
            "sealed_at": manifest.sealed_at,
            "kept_until": manifest.kept_until,
            "manifest_version": version,
            "objects": manifest.objects,
            "bytes": manifest.bytes,
            "shards": manifest.shards if len(manifest.shards) <= FEW_SHARDS else None,
        }
    )
    datasets.advance(sealed)
    return sealed


def _existing(record: SnapshotRecord, vault: Vault) -> str | None:
    """Return the first version of the manifest. A delete marker hides it from a plain read and If-None-Match."""
    return next(iter(vault.versions(manifest_key(record.dataset, record.snapshot))), None)


def _read(record: SnapshotRecord, version: str, vault: Vault) -> SnapshotManifest:
    return read_snapshot(vault, record.model_copy(update={"manifest_version": version}))


def _manifest(
    record: SnapshotRecord, state: PlanState, shards: tuple[ShardRef, ...], region: str, now: dt.datetime
) -> SnapshotManifest:
    return SnapshotManifest(
        dataset=record.dataset,
        snapshot=record.snapshot,
        source=record.rule.uri,
        source_region=record.rule.region,
        as_of=record.as_of,
        how=record.how,
        previous=record.previous,
        standby_region=region,
        sealed_at=now,
        kept_until=kept_until(record.rule, record.as_of),
        retention=state.retention,
        rule=record.rule,
        objects=state.transfer.objects,
        bytes=state.transfer.bytes,
        shards=shards,
    )


def _refuse_short_locks(manifest: SnapshotManifest) -> None:
    """A manifest promises nothing that its locks do not hold."""
    short = next((ref for ref in manifest.shards if ref.locked_until < manifest.kept_until), None)
    if short:
        raise VaultRefused(
            f"{short.key} and what it names are locked until {short.locked_until:%Y-%m-%d %H:%M}, not until "
            f"{manifest.kept_until:%Y-%m-%d %H:%M}; ask for a snapshot again"
        )
