"""Seal a recovery point: write its manifest once, locked, after everything it names was verified."""

from __future__ import annotations

import datetime as dt

from mldr.domain.manifests import ShardRef
from mldr.domain.model_plan import ModelPlan, layout_of
from mldr.domain.recovery_point import (
    UNANNOUNCED,
    DatasetSnapshot,
    Golden,
    Manifest,
    Phase,
    Record,
    manifest_key,
)
from mldr.domain.transfers import sealed_shards
from mldr.errors import LostRace, MissingArtifact
from mldr.events.protection import SealTask
from mldr.ports.catalog import Catalog
from mldr.ports.datasets import Datasets
from mldr.ports.stack import Clock
from mldr.ports.vault import Vault
from mldr.steps.manifest_lines import entry_named
from mldr.steps.working_files import current_record, in_force, load_capture, load_plan


def seal_recovery_point(
    task: SealTask, *, region: str, catalog: Catalog, datasets: Datasets, vault: Vault, clock: Clock
) -> Record:
    """Return the sealed record. Sealing twice gives the first seal: a manifest is never written over."""
    record = current_record(catalog, task.model, task.recovery_point, task.attempt)
    if record.phase is Phase.SEALED:
        return record
    record = record.model_copy(update={"phase": Phase.VERIFYING})
    catalog.advance(record)
    version = _existing(task, vault) or _write(task, record, region, catalog, datasets, vault, clock)
    manifest = read_manifest(vault, record.model_copy(update={"manifest_version": version}))
    sealed = record.model_copy(
        update={
            "phase": Phase.SEALED,
            "sealed_at": manifest.sealed_at,
            "manifest_version": version,
            "objects": manifest.objects,
            "bytes": manifest.bytes,
            "reason": UNANNOUNCED,
        }
    )
    catalog.advance(sealed)
    return sealed


def _existing(task: SealTask, vault: Vault) -> str | None:
    """Return the first version of the manifest. A delete marker hides it from a plain read and If-None-Match."""
    return next(iter(vault.versions(manifest_key(task.model, task.recovery_point))), None)


def _write(
    task: SealTask, record: Record, region: str, catalog: Catalog, datasets: Datasets, vault: Vault, clock: Clock
) -> str:
    in_force(catalog, task.transfer)
    shards = sealed_shards(task.transfer, catalog.items(task.transfer))
    manifest = _manifest(task, record, shards, region, datasets, vault, clock)
    try:
        return vault.seal(
            manifest_key(task.model, task.recovery_point), manifest.model_dump_json(indent=1).encode(), task.retention
        )
    except LostRace:
        winner = _existing(task, vault)
        if winner is None:
            raise
        return winner


def _manifest(
    task: SealTask,
    record: Record,
    shards: tuple[ShardRef, ...],
    region: str,
    datasets: Datasets,
    vault: Vault,
    clock: Clock,
) -> Manifest:
    capture = load_capture(vault, task.model, task.recovery_point)
    plan = load_plan(vault, task.model, task.recovery_point)
    if plan is None or plan.state.transfer.plan != task.transfer.plan:
        raise MissingArtifact(f"the plan of {task.recovery_point} is gone; protect the model again")
    return Manifest(
        recovery_point=task.recovery_point,
        model=task.model,
        origin=record.origin,
        standby_region=region,
        sealed_at=clock.now(),
        retention=task.retention,
        policy=capture.policy,
        policy_version=capture.policy_version,
        registry_document=capture.entry.document,
        rewrites=plan.rewrites,
        golden=_golden(plan, shards, vault),
        shards=shards,
        objects=task.transfer.objects,
        bytes=task.transfer.bytes,
        shared=plan.state.shared,
        layout=layout_of(record, task.transfer.plan),
        datasets=_snapshots(capture.policy.datasets, datasets, clock.now()),
    )


def _snapshots(names: tuple[str, ...], datasets: Datasets, now: dt.datetime) -> tuple[DatasetSnapshot, ...]:
    """Return the newest snapshot of each dataset that can be restored; a dataset without one is not named."""
    newest = (datasets.newest(name) for name in names)
    return tuple(
        DatasetSnapshot(name=record.dataset, snapshot=record.snapshot)
        for record in newest
        if record and record.restorable(now)
    )


def _golden(plan: ModelPlan, shards: tuple[ShardRef, ...], vault: Vault) -> Golden | None:
    if plan.golden is None:
        return None
    entry = entry_named(vault, shards, plan.golden)
    if entry is None:
        raise MissingArtifact(f"{plan.golden} is in no shard of {plan.state.transfer.id}; protect the model again")
    return Golden(key=entry.key, version_id=entry.version_id)


def read_manifest(vault: Vault, record: Record) -> Manifest:
    """Return the manifest of a sealed record, by its exact version. Raises MissingArtifact."""
    key = manifest_key(record.model, record.recovery_point)
    content = vault.read(key, record.manifest_version)
    if content is None:
        raise MissingArtifact(f"the manifest {vault.uri(key)} (version {record.manifest_version}) cannot be read")
    return Manifest.model_validate_json(content)
