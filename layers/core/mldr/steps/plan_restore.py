"""Choose the shards of a snapshot that hold what is to be brought back."""

from __future__ import annotations

import json

from mldr.domain.identity import Frozen
from mldr.domain.manifests import ShardRef
from mldr.domain.snapshots import RestoreRecord
from mldr.domain.transfers import Transfer, WorkItem, plan_key
from mldr.errors import NotRestorable
from mldr.events.snapshots import RestoreTask
from mldr.ports.catalog import Catalog
from mldr.ports.datasets import Datasets
from mldr.ports.stack import Clock
from mldr.ports.vault import Vault
from mldr.steps.snapshot_state import read_snapshot

PLAN = "1"  # a snapshot does not change, so that there is one way only to bring it back


class RestorePlan(Frozen):
    """What the state machine goes on with."""

    shards: int
    shards_key: str


def plan_restore(task: RestoreTask, *, datasets: Datasets, catalog: Catalog, vault: Vault, clock: Clock) -> RestorePlan:
    """Return where the shards are listed that are not brought back yet. Raises NotRestorable."""
    transfer = transfer_of(task, datasets)
    record = datasets.record(task.dataset, task.snapshot)
    if record is None or not record.restorable(clock.now()):
        raise NotRestorable(f"{task.snapshot} of {task.dataset} is past its retention; restore a later one")
    chosen = [ref for ref in read_snapshot(vault, record).shards if _holds(ref, task.prefix)]
    items = {f"shards/{number:06d}": ref for number, ref in enumerate(chosen, start=1)}
    work = [
        WorkItem(item=item, objects=ref.objects, bytes=ref.bytes, first=ref.first, last=ref.last)
        for item, ref in items.items()
    ]
    total = {"items": len(work), "objects": sum(one.objects for one in work), "bytes": sum(one.bytes for one in work)}
    transfer = transfer.model_copy(update={**total, "moving": total["bytes"]})
    catalog.open_transfer(transfer, work)
    done = {one.item for one in catalog.items(transfer) if one.done_at}
    rest = [{"item": item, "ref": ref.model_dump(mode="json")} for item, ref in items.items() if item not in done]
    key = plan_key(transfer, "shards.json")
    vault.keep(key, json.dumps(rest).encode())
    return RestorePlan(shards=len(rest), shards_key=key)


def transfer_of(task: RestoreTask, datasets: Datasets) -> Transfer:
    """Return the transfer of a restore, without its totals. Raises NotRestorable when nobody asked for it."""
    record: RestoreRecord | None = datasets.restore(task.dataset, task.restore)
    if record is None:
        raise NotRestorable(f"restore {task.restore} of {task.dataset} is unknown; ask for it again")
    return Transfer(owner=f"restore/{task.dataset}", id=task.restore, plan=PLAN, started_at=record.started_at)


def _holds(ref: ShardRef, prefix: str) -> bool:
    """Whether names with the prefix may be in a shard."""
    return ref.last >= prefix and (ref.first <= prefix or ref.first.startswith(prefix))
