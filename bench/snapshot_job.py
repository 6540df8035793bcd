"""A process of its own that takes one snapshot with the product's steps: inventory, copies, seal.

Argument: a file that holds the job as JSON. It prints, as JSON, the record of the snapshot, and what it took once the
process was ready: what a warm Lambda function takes. The catalog is in memory, for it is another server's work. The
settling time before a snapshot is left out: it is a wait of the state machine, not work.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

from mldr import sdk
from mldr.aws.clock import SystemClock
from mldr.aws.copier import S3Copier
from mldr.aws.sources import S3Sources
from mldr.aws.vault import S3Vault
from mldr.domain.datasets import Change, ChangeKind, DatasetRule
from mldr.domain.manifests import encode
from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import How, SnapshotRecord, snapshot_id
from mldr.domain.transfers import CopyLimits, WorkItem
from mldr.events.snapshots import SnapshotTask
from mldr.events.transfers import PartsTask, ShardTask
from mldr.steps.copy_objects import copy_objects
from mldr.steps.copy_parts import copy_parts
from mldr.steps.seal_snapshot import seal_snapshot
from mldr.steps.take_snapshot_inventory import SnapshotInventory, take_snapshot_inventory
from tests.fakes.catalog import FakeCatalog
from tests.fakes.datasets import FakeDatasets

DATASET = "bench"
TIME_LEFT = 900_000  # milliseconds
NO_KEY = ""


class World:
    """The ports that the functions get, on one S3 server.

    Copies name no KMS key: this server's CopyObject ignores encryption and computes no checksums, and an ETag that is
    an MD5 is what remains to verify with in the answer to the copy.
    """

    def __init__(self, vault: str, key_arn: str, limits: dict[str, int] | None) -> None:
        self.bucket, self.key_arn, self.limits = vault, key_arn, limits
        config = sdk.CONFIG.merge(Config(s3={"addressing_style": "path"}))
        s3 = botocore.session.get_session().create_client(
            "s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=config
        )
        copy_limits = CopyLimits(**limits) if limits else CopyLimits()
        self.clock, self.catalog, self.datasets = SystemClock(), FakeCatalog(), FakeDatasets()
        self.sources, self.vault = S3Sources(s3), S3Vault(s3, bucket=vault, key_arn=key_arn)
        self.copier = S3Copier(s3, s3, bucket=vault, key_arn=NO_KEY, limits=copy_limits)


def run(job: dict[str, Any], world: World) -> tuple[SnapshotRecord, dict[str, float]]:
    """Take one snapshot of a bucket or prefix; return its record and the seconds of each phase."""
    record = _begun(job, world)
    task = SnapshotTask(dataset=DATASET, snapshot=record.snapshot, attempt=1)
    ports = {"datasets": world.datasets, "catalog": world.catalog, "vault": world.vault, "clock": world.clock}
    ports["region"] = "ap-southeast-3"
    marks = [time.perf_counter()]
    inventory = take_snapshot_inventory(
        task, **ports, sources=world.sources, copier=world.copier, remaining=lambda: TIME_LEFT
    )
    marks.append(time.perf_counter())
    if not inventory.sealed:
        _copy(inventory, world)
    marks.append(time.perf_counter())
    sealed = seal_snapshot(task, **ports)  # of what is sealed already, the record
    marks.append(time.perf_counter())
    passed = [round(after - before, 4) for before, after in itertools.pairwise(marks)]
    return sealed, dict(zip(("plan", "copy", "seal"), passed, strict=True))


def _begun(job: dict[str, Any], world: World) -> SnapshotRecord:
    """Put into the catalog what would be there: the snapshot before, what events told, and the new record."""
    now = world.clock.now()
    before = SnapshotRecord.model_validate_json(job["before"]) if job["before"] else None
    if before:
        world.datasets.begin(before.model_copy(update={"phase": Phase.VERIFYING}))
        world.datasets.advance(before)
    for name in job["changed"] or ():
        change = Change(dataset=DATASET, name=name, kind=ChangeKind.CREATED, told_at=now)
        world.datasets.log(change, now)
    record = SnapshotRecord(
        dataset=DATASET,
        snapshot=snapshot_id(now, str(time.time_ns())),
        phase=Phase.CAPTURING,
        attempt=1,
        as_of=now.replace(microsecond=0),
        rule=DatasetRule(uri=job["uri"]),
        how=How.LISTING if job["changed"] is None else How.EVENTS,
        started_at=now,
        previous=before.snapshot if before else "",
    )
    world.datasets.begin(record)
    return record


def _copy(inventory: SnapshotInventory, world: World) -> None:
    """Do what the two maps of the state machine do: functions side by side, here as many as there are cores."""
    common = {"transfer": inventory.transfer, "retention": inventory.retention}
    ports = {"catalog": world.catalog, "vault": world.vault, "copier": world.copier, "clock": world.clock}
    for item in _items(world, inventory.parts_key, inventory.parts):
        copy_parts(PartsTask.model_validate(common | item), **ports)
    tasks = [ShardTask.model_validate(common | item) for item in _items(world, inventory.shards_key, inventory.shards)]
    if len(tasks) < 2:
        for task in tasks:
            copy_objects(task, **ports)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(os.cpu_count(), context, _become_worker, (world,)) as pool:
        for done in pool.map(_copy_shard, tasks):
            world.catalog.item_done(inventory.transfer, done)


WORKER: dict[str, World] = {}  # what a worker process works with


def _become_worker(parent: World) -> None:
    """Make clients of one's own: connections must not be shared. The catalog is the parent's, as it stands."""
    WORKER["world"] = World(parent.bucket, parent.key_arn, parent.limits)
    WORKER["world"].catalog = parent.catalog


def _copy_shard(task: ShardTask) -> WorkItem:
    world = WORKER["world"]
    copy_objects(task, catalog=world.catalog, vault=world.vault, copier=world.copier, clock=world.clock)
    return next(item for item in world.catalog.items(task.transfer) if item.item == task.item)


def _items(world: World, key: str, count: int) -> list[dict[str, Any]]:
    return list(json.loads(world.vault.read(key) or b"[]")) if count else []


def main() -> None:
    """Do the job in the file of the first argument."""
    job = json.loads(Path(sys.argv[1]).read_text())
    world = World(job["vault"], job["key_arn"], job["limits"])
    encode([])  # imports the codec, as any function has that ran before
    clock, cpu = time.perf_counter(), _cpu()
    record, phases = run(job, world)
    taken = {"seconds": time.perf_counter() - clock, "cpu": _cpu() - cpu, "phases": phases}
    print(json.dumps({"record": record.model_dump_json()} | taken))


def _cpu() -> float:
    """Return the CPU seconds of this process and of its workers that have ended."""
    workers = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + workers.ru_utime + workers.ru_stime


if __name__ == "__main__":
    main()
