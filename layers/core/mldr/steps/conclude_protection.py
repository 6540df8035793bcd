"""Record how a protection ended and tell the bus."""

from __future__ import annotations

from mldr.domain.recovery_point import Phase
from mldr.domain.transfers import Transfer
from mldr.events import detail_types
from mldr.events.message import TaskError, detail
from mldr.events.protection import FailedDetail, ProtectConclusion, SealedDetail
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Bus
from mldr.ports.vault import Vault
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.working_files import current_record, last_trouble


def conclude_protection(task: ProtectConclusion, *, catalog: Catalog, vault: Vault, bus: Bus) -> str:
    """Return the phase it ended in. A point that was sealed stays sealed, whatever failed after the seal."""
    record = current_record(catalog, task.model, task.recovery_point, task.attempt)
    if task.error is None:
        # Told before it is cleared: what dies between the two tells it again, the other order would never tell it.
        sealed = SealedDetail.of(read_manifest(vault, record), record.target_arn)
        bus.put(detail_types.SEALED, detail(sealed))
        if record.reason:
            catalog.annotate(record.model, record.recovery_point, reason="")
        return record.phase
    reason = _reason(task.error, task.transfer, vault)
    if record.phase is Phase.SEALED:
        catalog.annotate(record.model, record.recovery_point, reason=reason)
    else:
        record = record.model_copy(update={"phase": Phase.FAILED, "reason": reason})
        catalog.advance(record)
    failed = FailedDetail(model=record.model, recovery_point=record.recovery_point, phase=record.phase, reason=reason)
    bus.put(detail_types.FAILED, detail(failed))
    return record.phase


def _reason(error: TaskError, transfer: Transfer | None, vault: Vault) -> str:
    """Return why it failed. A Distributed Map names no cause; the piece of work that failed has noted it."""
    trouble = last_trouble(vault, transfer) if transfer and error.Error.startswith("States.") else None
    return trouble.reason if trouble else error.sentence
