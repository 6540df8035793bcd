"""Turn a request into one execution of the state machine *restore_dataset*."""

from __future__ import annotations

from mldr.domain.snapshots import RestoreRecord
from mldr.errors import BadEvent, NotRestorable
from mldr.events.snapshots import RestoreRequested
from mldr.ports.datasets import Datasets
from mldr.ports.stack import Clock, Status, Workflows
from mldr.steps.executions import start_unless


def start_restore(
    requested: RestoreRequested, *, buckets: str, datasets: Datasets, workflows: Workflows, clock: Clock
) -> str:
    """Return the restore's id. The same request again starts nothing, unless its execution was lost: then it goes on.

    Raises BadEvent for a bucket that the stack may not write to, NotRestorable for a snapshot that is not to be had.
    """
    wanted = requested.detail
    if wanted.bucket not in buckets.split(","):
        raise BadEvent(
            f"to: {wanted.bucket} is not one of the buckets that the stack may restore to; name it in the stack's "
            "parameter RestoreBuckets and deploy, then ask again"
        )
    record = datasets.record(wanted.dataset, wanted.snapshot)
    if record is None or not record.restorable(clock.now()):
        state = record.phase.lower() if record else "unknown"
        raise NotRestorable(
            f"{wanted.snapshot} of {wanted.dataset} is {state} or past its retention; "
            f"`mldr snapshots {wanted.dataset}` shows those that can be restored"
        )
    if datasets.restore(wanted.dataset, requested.id) is None:
        datasets.put_restore(
            RestoreRecord(
                dataset=wanted.dataset,
                restore=requested.id,
                snapshot=wanted.snapshot,
                to=wanted.to,
                prefix=wanted.prefix,
                started_at=clock.now(),
            )
        )
    payload = {**wanted.model_dump(mode="json"), "restore": requested.id}
    start_unless(workflows, requested.id, payload, final=(Status.SUCCEEDED, Status.FAILED))
    return requested.id
