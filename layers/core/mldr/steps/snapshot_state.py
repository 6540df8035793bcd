"""Read what a snapshot is made of: its record while an attempt is current, its plan, its sealed manifest."""

from __future__ import annotations

from mldr.domain.manifests import ShardRef
from mldr.domain.snapshots import SnapshotManifest, SnapshotRecord, manifest_key
from mldr.domain.transfers import PlanState, owner_of, work_key
from mldr.errors import LostRace, MissingArtifact
from mldr.events.snapshots import SnapshotTask
from mldr.ports.datasets import Datasets
from mldr.ports.vault import Vault


def current_snapshot(datasets: Datasets, task: SnapshotTask) -> SnapshotRecord:
    """Return the record while this attempt is the current one. Raises LostRace when it is not."""
    record = datasets.record(task.dataset, task.snapshot)
    if record is None or record.attempt != task.attempt:
        raise LostRace(f"{task.snapshot}: attempt {task.attempt} was superseded")
    return record


def read_snapshot(vault: Vault, record: SnapshotRecord) -> SnapshotManifest:
    """Return the manifest of a sealed snapshot, by its exact version. Raises MissingArtifact."""
    key = manifest_key(record.dataset, record.snapshot)
    content = vault.read(key, record.manifest_version)
    if content is None:
        raise MissingArtifact(f"the manifest {vault.uri(key)} (version {record.manifest_version}) cannot be read")
    return SnapshotManifest.model_validate_json(content)


def shards_of(vault: Vault, record: SnapshotRecord) -> tuple[ShardRef, ...]:
    """Return the shards of a sealed snapshot; where they are few its record has them. Raises MissingArtifact."""
    return read_snapshot(vault, record).shards if record.shards is None else record.shards


def load_state(vault: Vault, record: SnapshotRecord) -> PlanState | None:
    """Return the plan of a snapshot, as far as it is made, or None."""
    content = vault.read(state_key(record))
    return PlanState.model_validate_json(content) if content else None


def state_key(record: SnapshotRecord) -> str:
    """Return the vault key of a snapshot's plan."""
    return work_key(owner_of("dataset", record.dataset), record.snapshot, "plan.json")
