"""Seal a snapshot: write its manifest once, locked, after everything it names was verified."""

from __future__ import annotations

import datetime as dt

from mldr.domain.manifests import ShardRef
from mldr.domain.recovery_point import Phase, Retention
from mldr.domain.snapshots import SnapshotManifest, SnapshotRecord, kept_until, manifest_key
from mldr.domain.transfers import PlanState, sealed_shards
from mldr.errors import LostRace, MissingArtifact, VaultRefused
from mldr.events import SnapshotTask
from mldr.ports import Catalog, Clock, Datasets, Vault
from mldr.steps.take_snapshot_inventory import current_snapshot, load_state, read_snapshot
from mldr.steps.working_files import in_force


def seal_snapshot(
    task: SnapshotTask, *, region: str, datasets: Datasets, catalog: Catalog, vault: Vault, clock: Clock
) -> SnapshotRecord:
    """Return the sealed record. Sealing twice gives the first seal: a manifest is never written over."""
    record = current_snapshot(datasets, task)
    if record.phase is Phase.SEALED:
        return record
    record = record.model_copy(update={"phase": Phase.VERIFYING})
    datasets.advance(record)
    version = _existing(record, vault) or _write(record, region, catalog, vault, clock)
    manifest = read_snapshot(vault, record.model_copy(update={"manifest_version": version}))
    sealed = record.model_copy(
        update={
            "phase": Phase.SEALED,
            "reason": "",
            "sealed_at": manifest.sealed_at,
            "kept_until": manifest.kept_until,
            "manifest_version": version,
            "objects": manifest.objects,
            "bytes": manifest.bytes,
        }
    )
    datasets.advance(sealed)
    return sealed


def _existing(record: SnapshotRecord, vault: Vault) -> str | None:
    """Return the first version of the manifest. A delete marker hides it from a plain read and If-None-Match."""
    return next(iter(vault.versions(manifest_key(record.dataset, record.snapshot))), None)


def _write(record: SnapshotRecord, region: str, catalog: Catalog, vault: Vault, clock: Clock) -> str:
    state = load_state(vault, record)
    if state is None:
        raise MissingArtifact(f"the plan of {record.snapshot} is gone; ask for a snapshot again")
    in_force(catalog, state.transfer)
    shards = sealed_shards(state.transfer, catalog.items(state.transfer))
    manifest = _manifest(record, state, shards, region, clock.now())
    _refuse_short_locks(manifest)
    lock = Retention(mode=state.retention.mode, until=manifest.kept_until)
    try:
        key = manifest_key(record.dataset, record.snapshot)
        return vault.seal(key, manifest.model_dump_json(indent=1).encode(), lock)
    except LostRace:
        winner = _existing(record, vault)
        if winner is None:
            raise
        return winner


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
