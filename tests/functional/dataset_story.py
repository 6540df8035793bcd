"""The words in which the stories of datasets are told: upload, hear of it, snapshot, restore."""

from __future__ import annotations

import importlib
import json
from typing import Any

from mldr.domain.manifests import Entry, ShardRef
from mldr.domain.snapshots import SnapshotManifest, SnapshotRecord
from mldr.steps.manifest_lines import lines
from mldr.steps.snapshot_state import read_snapshot
from tests.asl_walker import Ended
from tests.fakes.world import ACTIVE, STANDBY, FakeWorld
from tests.functional.state_machine import Machine
from tests.functional.story import deliver

POLICY = f"""\
version: 1
regions: [{ACTIVE}, {STANDBY}]
models:
  - match: sagemaker/churn
    datasets: [images]
datasets:
  images:
    uri: s3://photos/images/
    every: 24h
    reconcile: 7d
    retention: {{period: 30d}}
  logs:
    uri: s3://photos/logs/
  home:
    uri: s3://elsewhere/
    region: {STANDBY}
"""


def upload(world: FakeWorld, names: dict[str, bytes] | list[str], *, bucket: str = "photos", told: Any = None) -> None:
    """Write objects of the dataset images; with a context in `told` S3's events arrive, too."""
    for name in names:
        body = names[name] if isinstance(names, dict) else name.encode()
        version = world.buckets.put(bucket, f"images/{name}", body, checksum="CRC64NVME")
        if told:
            hear(told, storage_event(world, name, version=version.version_id, bucket=bucket))


def remove(world: FakeWorld, name: str, *, told: Any = None) -> None:
    """Delete an object: S3 writes a delete marker."""
    version = world.buckets.put("photos", f"images/{name}", None)
    if told:
        hear(told, storage_event(world, name, kind="Object Deleted", version=version.version_id))


def storage_event(
    world: FakeWorld,
    name: str,
    *,
    kind: str = "Object Created",
    version: str = "v",
    bucket: str = "photos",
    **more: Any,
) -> dict[str, Any]:
    """What S3 says of a key, as EventBridge delivers it."""
    return {
        "id": "e-1",
        "source": "aws.s3",
        "detail-type": kind,
        "region": ACTIVE,
        "time": world.clock.now().isoformat(),
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {"key": f"images/{name}", "size": 1, "etag": "e", "version-id": version, "sequencer": "00A1"},
            "reason": "PutObject",
        },
        **more,
    }


def hear(context: Any, *events: dict[str, Any]) -> None:
    """Deliver storage events."""
    assert deliver("log_changes", context, *events) == []


def request_event(world: FakeWorld, event_id: str = "", dataset: str = "images", **detail: Any) -> dict[str, Any]:
    """`Dataset Snapshot Requested` as EventBridge delivers it."""
    return {
        "id": event_id or f"request-{world.clock.now():%H%M%S}",
        "source": "mldr",
        "detail-type": "Dataset Snapshot Requested",
        "region": STANDBY,
        "time": world.clock.now().isoformat(),
        "detail": {"dataset": dataset, "reason": "by hand", **detail},
    }


def ask(world: FakeWorld, context: Any, event: dict[str, Any] | None = None, **detail: Any) -> list[str]:
    """Ask for a snapshot; the executions that this started."""
    before = set(world.workflows.started)
    assert deliver("start_snapshot", context, event or request_event(world, **detail)) == []
    return sorted(set(world.workflows.started) - before)


def run(world: FakeWorld, context: Any, execution: str, machine: str = "snapshot", **more: Any) -> Ended:
    """Run a started execution to its end."""
    try:
        return Machine(machine, world, context, **more).run(world.workflows.started[execution])
    finally:
        world.workflows.active.discard(execution)


def snapshot(world: FakeWorld, context: Any, **detail: Any) -> SnapshotRecord:
    """Take a snapshot of images, and let an hour pass; its record."""
    [execution] = ask(world, context, **detail)
    ended = run(world, context, execution)
    assert ended.status == "SUCCEEDED", ended
    world.clock.move(hours=1)
    newest = world.datasets.newest("images")
    assert newest is not None
    return newest


def manifest(world: FakeWorld, record: SnapshotRecord) -> SnapshotManifest:
    """The manifest of a sealed snapshot."""
    return read_snapshot(world.vault, record)


def held(world: FakeWorld, record: SnapshotRecord) -> dict[str, bytes]:
    """What a snapshot says the dataset held: the vault's bytes by name."""
    found = {}
    for entry in entries(world, manifest(world, record).shards):
        content = world.vault.read(entry.key, entry.version_id)
        assert content is not None
        found[entry.name] = content
    return found


def entries(world: FakeWorld, shards: tuple[ShardRef, ...]) -> list[Entry]:
    """The lines of a manifest."""
    return list(lines(world.vault, shards))


def restore_event(
    record: SnapshotRecord, to: str = "s3://back/again", event_id: str = "restore-1", **more: Any
) -> dict[str, Any]:
    """`Dataset Restore Requested` as EventBridge delivers it."""
    return {
        "id": event_id,
        "source": "mldr",
        "detail-type": "Dataset Restore Requested",
        "detail": {"dataset": record.dataset, "snapshot": record.snapshot, "to": to, **more},
    }


def restore(world: FakeWorld, context: Any, record: SnapshotRecord, **more: Any) -> Ended:
    """Bring a snapshot back."""
    event = restore_event(record, **more)
    assert deliver("start_restore", context, event) == []
    return run(world, context, event["id"], "restore_dataset")


def scheduled(world: FakeWorld, context: Any) -> list[str]:
    """Let the schedule look, and its requests arrive; the executions that this started."""
    before, told = set(world.workflows.started), len(world.bus.events)
    importlib.import_module("functions.request_snapshots.app").handler({}, context)
    for number, (kind, detail) in enumerate(world.bus.events[told:]):
        event = request_event(world, f"{world.clock.now():%d%H%M%S}-{number}") | {"detail-type": kind, "detail": detail}
        assert deliver("start_snapshot", context, json.loads(json.dumps(event))) == []
    return sorted(set(world.workflows.started) - before)
