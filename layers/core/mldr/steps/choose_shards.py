"""Choose what a run checks: the shards of every sealed manifest that is still within its retention."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator

from pydantic import ValidationError

from mldr.domain import snapshots
from mldr.domain.digest_jobs import PATIENCE
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.recovery_point import Phase, Record
from mldr.domain.scrub import ALL, Holding, ScrubPlan, Unreadable, assigned, shards_of, work_key
from mldr.domain.transfers import owner_of
from mldr.errors import MissingArtifact
from mldr.events.scrub import ScrubRun
from mldr.ports.catalog import Catalog
from mldr.ports.datasets import Datasets
from mldr.ports.stack import Clock
from mldr.ports.vault import Vault
from mldr.steps.seal_recovery_point import read_manifest

PLAN, SHARDS = "plan.json", "shards.json"


class Chosen(Frozen):
    """What the state machine goes on with."""

    shards: int
    shards_key: str
    reading: str = ""  # who reads the bytes, and why


def choose_shards(
    task: ScrubRun,
    *,
    catalog: Catalog,
    datasets: Datasets,
    vault: Vault,
    clock: Clock,
    patience: float = PATIENCE,
) -> Chosen:
    """Return where the shards to check are listed. Chosen again, a run stays what it was: its notes belong to it."""
    plan = load_plan(vault, task.run) or _planned(task, catalog, datasets, vault, clock.now(), patience)
    key = work_key(task.run, SHARDS)
    vault.keep(key, json.dumps([item.model_dump(mode="json") for item in plan.items]).encode())
    vault.keep(work_key(task.run, PLAN), plan.model_dump_json().encode())
    return Chosen(shards=len(plan.items), shards_key=key, reading=plan.choice.reason if plan.choice else "")


def load_plan(vault: Vault, run: str) -> ScrubPlan | None:
    """Return what a run checks, or None before that was chosen."""
    content = vault.read(work_key(run, PLAN))
    return ScrubPlan.model_validate_json(content) if content else None


def _planned(
    task: ScrubRun, catalog: Catalog, datasets: Datasets, vault: Vault, now: dt.datetime, patience: float
) -> ScrubPlan:
    holdings: list[Holding] = []
    unreadable: list[Unreadable] = []
    for one in (*_points(task.owner, catalog, vault, now), *_snapshots(task.owner, datasets, vault, now)):
        if isinstance(one, Unreadable):
            unreadable.append(one)
        else:
            holdings.append(one)
    items = shards_of(holdings)
    plan = ScrubPlan(run=task.run, owner=task.owner, sample=task.sample, items=items, unreadable=tuple(unreadable))
    return assigned(plan, patience)


def _points(owner: str, catalog: Catalog, vault: Vault, now: dt.datetime) -> Iterator[Holding | Unreadable]:
    for model in catalog.models():
        if owner in (ALL, owner_of("model", str(model))):
            sealed = [record for record in catalog.records(model) if record.phase is Phase.SEALED]
            for record in sorted(sealed, key=_promotion, reverse=True):
                yield from _point(model, record, vault, now)


def _promotion(record: Record) -> tuple[dt.datetime, dt.datetime]:
    return record.origin.promoted_at, record.started_at


def _point(model: ModelKey, record: Record, vault: Vault, now: dt.datetime) -> Iterator[Holding | Unreadable]:
    owner = owner_of("model", str(model))
    try:
        manifest = read_manifest(vault, record)
    except (MissingArtifact, ValidationError) as error:
        yield Unreadable(owner=owner, id=record.recovery_point, reason=f"its manifest cannot be read: {error}")
        return
    if manifest.retention.until > now:
        yield Holding(owner=owner, id=record.recovery_point, retention=manifest.retention, shards=manifest.shards)


def _snapshots(owner: str, datasets: Datasets, vault: Vault, now: dt.datetime) -> Iterator[Holding | Unreadable]:
    for name in datasets.names():
        if owner in (ALL, owner_of("dataset", name)):
            for record in datasets.records(name):
                if record.restorable(now):
                    yield _snapshot(record, vault)


def _snapshot(record: snapshots.SnapshotRecord, vault: Vault) -> Holding | Unreadable:
    owner, key = owner_of("dataset", record.dataset), snapshots.manifest_key(record.dataset, record.snapshot)
    content = vault.read(key, record.manifest_version)
    if content is None:
        return Unreadable(owner=owner, id=record.snapshot, reason=f"its manifest {vault.uri(key)} is gone")
    try:
        manifest = snapshots.SnapshotManifest.model_validate_json(content)
    except ValidationError as error:
        return Unreadable(owner=owner, id=record.snapshot, reason=f"its manifest {vault.uri(key)} is not one: {error}")
    retention = manifest.retention.model_copy(update={"until": max(manifest.retention.until, manifest.kept_until)})
    return Holding(owner=owner, id=record.snapshot, retention=retention, shards=manifest.shards)
