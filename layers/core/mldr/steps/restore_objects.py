"""Bring one shard of a snapshot back into a bucket of this region."""

from __future__ import annotations

from mldr.domain.transfers import WorkItem
from mldr.events.snapshots import RestoreShardTask
from mldr.ports.catalog import Catalog
from mldr.ports.datasets import Datasets, Restorer
from mldr.ports.stack import Clock
from mldr.ports.vault import Vault
from mldr.steps.manifest_lines import lines
from mldr.steps.plan_restore import transfer_of
from mldr.steps.working_files import trouble_kept


def restore_objects(
    task: RestoreShardTask, *, datasets: Datasets, catalog: Catalog, vault: Vault, restorer: Restorer, clock: Clock
) -> int:
    """Return how many objects stand in the bucket now, verified. What stands there already is not copied again."""
    transfer = transfer_of(task, datasets)
    with trouble_kept(vault, transfer, task.item):
        wanted = lines(vault, [task.ref], prefix=task.prefix)
        sizes = [entry.size for entry in restorer.restore(wanted, task.bucket, task.base)]
    ref = task.ref
    done = WorkItem(
        item=task.item, objects=len(sizes), bytes=sum(sizes), first=ref.first, last=ref.last, done_at=clock.now()
    )
    catalog.item_done(transfer, done)
    return len(sizes)
