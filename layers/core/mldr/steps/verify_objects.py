"""Compare one batch in the vault with its pinned checksums, and lock what is right."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from mldr.domain.recovery_point import Phase, PinnedObject, Retention, SealedObject
from mldr.domain.verification import verify
from mldr.errors import BadEvent, MissingArtifact
from mldr.events import BatchTask
from mldr.ports import Catalog, Vault
from mldr.steps.working_files import current_record, keep_verified, reason_kept

THREADS = 8


def verify_objects(task: BatchTask, *, catalog: Catalog, vault: Vault) -> int:
    """Return how many objects of the batch are verified and locked. Raises ChecksumMismatch naming one that is not."""
    retention = task.retention
    if retention is None:
        raise BadEvent("BatchTask: retention: is missing; the inventory gives it")
    record = current_record(catalog, task.model, task.recovery_point, task.attempt)
    if record.phase is Phase.COPYING:
        catalog.advance(record.model_copy(update={"phase": Phase.VERIFYING}))
    with reason_kept(catalog, task.model, task.recovery_point), ThreadPoolExecutor(THREADS) as pool:
        verified = list(pool.map(lambda item: _verify_one(item, retention, vault), task.objects))
    keep_verified(vault, task.model, task.recovery_point, task.batch, verified)
    return len(verified)


def _verify_one(item: PinnedObject, retention: Retention, vault: Vault) -> SealedObject:
    stored = vault.stored(item.key)
    if stored is None:
        raise MissingArtifact(f"{vault.uri(item.key)} was copied but is not there; protect the model again")
    checksum = stored.checksum
    if checksum is None or checksum.algorithm != item.checksum.algorithm:
        checksum = vault.digest(item.key, stored.version_id)
    sealed = verify(item, version_id=stored.version_id, size=stored.size, checksum=checksum)
    vault.lock(item.key, stored.version_id, retention)
    return sealed
