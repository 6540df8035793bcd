"""Copy one shard into the vault, verified and locked, and seal the lines that say so."""

from __future__ import annotations

from mldr.domain.digest_jobs import hashed_by_job, wanted_key
from mldr.domain.manifests import Entry, ShardRef, decode, encode
from mldr.domain.model_rules import Digest
from mldr.domain.transfers import plan_key, shard_work
from mldr.domain.verification import READABLE
from mldr.errors import ChecksumUnavailable
from mldr.events.transfers import ShardTask
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Clock
from mldr.ports.vault import Copier, Vault
from mldr.steps.digest_lists import load_results, taken
from mldr.steps.seal_shard import seal_shard
from mldr.steps.working_files import in_force, need, trouble_kept


def copy_objects(
    task: ShardTask, *, catalog: Catalog, vault: Vault, copier: Copier, clock: Clock, job_over: int = READABLE
) -> ShardRef | None:
    """Return the sealed shard; None when it waits for a SHA-256 that S3 computes (of an object above `job_over` bytes).

    S3 copies; no byte passes through here but where S3 has no checksum to compare. Doing it twice, or twice at once,
    is harmless: the same copies give the same lines. An older plan's is refused.
    """
    in_force(catalog, task.transfer)
    with trouble_kept(vault, task.transfer, task.item):
        planned = list(decode(need(vault, task.plan_key)))
        copied = _copied(planned, task, vault, copier, job_over)
        waiting = [entry for entry in copied if hashed_by_job(entry, task.transfer.digest, job_over)]
        hashed = _hashed(copied, waiting, task, vault)
        if hashed is None:
            return None
        ref = seal_shard(hashed, task.transfer, task.retention, task.all_locked_until, vault=vault, copier=copier)
    work = shard_work(task.item, planned, copier.limits)
    catalog.item_done(task.transfer, work.model_copy(update={"done_at": clock.now(), "ref": ref}))
    if waiting:
        taken(vault, _wanted_key(task))
    return ref


def _copied(planned: list[Entry], task: ShardTask, vault: Vault, copier: Copier, job_over: int) -> list[Entry]:
    """Return the shard's lines, each with its copy; what was reused needs no call unless its lock must grow."""
    large = {entry.name for entry in planned if hashed_by_job(entry, task.transfer.digest, job_over)}
    if large and (kept := vault.read(_copied_key(task))):
        return list(decode(kept))
    moving = planned if task.extend else [entry for entry in planned if not entry.copied]
    hashed = task.transfer.digest is Digest.SHA256
    read = copier.copy([entry for entry in moving if entry.name not in large], task.retention, sha256=hashed)
    computed = copier.copy([entry for entry in moving if entry.name in large], task.retention) if large else iter(())
    return [
        entry if entry.copied and not task.extend else next(computed if entry.name in large else read)
        for entry in planned
    ]


def _hashed(copied: list[Entry], waiting: list[Entry], task: ShardTask, vault: Vault) -> list[Entry] | None:
    """Return the lines with the SHA-256 that a job computed over the vault's copies; None before it did."""
    if not waiting:
        return copied
    told = load_results(vault, _wanted_key(task))
    if told is None:
        vault.keep(_copied_key(task), encode(copied))
        vault.keep(_wanted_key(task), encode(waiting))
        return None
    failed = next((entry for entry in waiting if entry.version_id not in told.values), None)
    if failed:
        taken(vault, _wanted_key(task), again=True)
        reason = told.errors.get(failed.version_id, "no line in the report")
        raise ChecksumUnavailable(f"S3 could not compute the SHA-256 of {failed.key}: {reason}; ask for it again")
    known = {entry.name: told.values[entry.version_id] for entry in waiting}
    return [
        entry._replace(digests=entry.digests | {"SHA256": known[entry.name]}) if entry.name in known else entry
        for entry in copied
    ]


def _copied_key(task: ShardTask) -> str:
    return plan_key(task.transfer, f"copied/{task.item}.avro")


def _wanted_key(task: ShardTask) -> str:
    return wanted_key(plan_key(task.transfer, "digests"), "SHA256", task.item)
