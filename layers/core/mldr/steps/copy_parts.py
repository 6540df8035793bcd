"""Copy a range of parts of one large object; the function that seals its shard completes it."""

from __future__ import annotations

from mldr.domain.transfers import WorkItem, parts
from mldr.events.transfers import PartsTask
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Clock
from mldr.ports.vault import Copier, Vault
from mldr.steps.working_files import in_force, trouble_kept


def copy_parts(task: PartsTask, *, catalog: Catalog, vault: Vault, copier: Copier, clock: Clock) -> int:
    """Return how many bytes of the object are there now. Twice is harmless; work of an older plan is refused."""
    in_force(catalog, task.transfer)
    wanted = parts(task.entry.size, copier.limits)[task.first - 1 : task.last]
    with trouble_kept(vault, task.transfer, task.item):
        copier.copy_parts(task.entry, task.upload, wanted)
    size = wanted[-1].last - wanted[0].first + 1
    name = task.entry.name
    done = WorkItem(item=task.item, objects=0, bytes=size, first=name, last=name, done_at=clock.now())
    catalog.item_done(task.transfer, done)
    return size
