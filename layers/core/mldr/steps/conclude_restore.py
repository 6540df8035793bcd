"""Record how a restore ended, and tell the bus."""

from __future__ import annotations

from mldr.domain.snapshots import RestoreRecord
from mldr.errors import NotRestorable
from mldr.events import detail_types
from mldr.events.message import TaskError
from mldr.events.snapshots import RestoreConclusion, RestoredDetail
from mldr.ports.catalog import Catalog
from mldr.ports.datasets import Datasets
from mldr.ports.stack import Bus, Clock
from mldr.ports.vault import Vault
from mldr.steps.plan_restore import transfer_of
from mldr.steps.working_files import last_trouble


def conclude_restore(
    task: RestoreConclusion, *, datasets: Datasets, catalog: Catalog, vault: Vault, bus: Bus, clock: Clock
) -> RestoreRecord:
    """Return the record as it ended. Concluding twice tells twice, and changes nothing else."""
    record = datasets.restore(task.dataset, task.restore)
    if record is None:
        raise NotRestorable(f"restore {task.restore} of {task.dataset} is unknown; ask for it again")
    transfer = transfer_of(task, datasets)
    done = [item for item in catalog.items(transfer) if item.done_at]
    ended = record.model_copy(
        update={
            "phase": "FAILED" if task.error else "COMPLETED",
            "reason": _reason(task.error, task, datasets, vault) if task.error else "",
            "objects": sum(item.objects for item in done),
            "bytes": sum(item.bytes for item in done),
            "ended_at": record.ended_at or clock.now(),
        }
    )
    datasets.put_restore(ended)
    bus.put(detail_types.DATASET_RESTORED, RestoredDetail.of(ended).model_dump(mode="json"))
    return ended


def _reason(error: TaskError, task: RestoreConclusion, datasets: Datasets, vault: Vault) -> str:
    """Return why it failed. A Distributed Map names no cause; the shard that failed has noted it."""
    trouble = last_trouble(vault, transfer_of(task, datasets)) if error.Error.startswith("States.") else None
    return trouble.reason if trouble else error.sentence
