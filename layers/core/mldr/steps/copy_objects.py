"""Copy one shard into the vault, verified and locked, and seal the lines that say so."""

from __future__ import annotations

from mldr.domain.manifests import Entry, ShardRef, decode, digest_of, encode
from mldr.domain.model_rules import Digest
from mldr.domain.recovery_point import Retention
from mldr.domain.transfers import shard_key, shard_work
from mldr.errors import LostRace
from mldr.events import ShardTask
from mldr.ports import Catalog, Clock, Copier, Vault
from mldr.steps.working_files import in_force, need, trouble_kept


def copy_objects(task: ShardTask, *, catalog: Catalog, vault: Vault, copier: Copier, clock: Clock) -> ShardRef:
    """Return the sealed shard. S3 copies; no byte passes through here but where S3 has no checksum to compare.

    Doing it twice, or twice at once, is harmless: the same copies give the same lines. An older plan's is refused.
    """
    in_force(catalog, task.transfer)
    with trouble_kept(vault, task.transfer, task.item):
        planned = list(decode(need(vault, task.plan_key)))
        copied = _copied(planned, task, copier)
        ref = _seal(copied, task, vault, copier)
    work = shard_work(task.item, planned, copier.limits)
    catalog.item_done(task.transfer, work.model_copy(update={"done_at": clock.now(), "ref": ref}))
    return ref


def _copied(planned: list[Entry], task: ShardTask, copier: Copier) -> list[Entry]:
    """Return the shard's lines, each with its copy; what was reused needs no call unless its lock must grow."""
    moving = planned if task.extend else [entry for entry in planned if not entry.copied]
    copies = copier.copy(moving, task.retention, sha256=task.transfer.digest is Digest.SHA256)
    return list(copies) if task.extend else [entry if entry.copied else next(copies) for entry in planned]


def _seal(entries: list[Entry], task: ShardTask, vault: Vault, copier: Copier) -> ShardRef:
    content = encode(entries)
    digest = digest_of(content)
    key = shard_key(task.transfer, digest)
    return ShardRef(
        digest=digest,
        key=key,
        version_id=_sealed_once(key, content, task.retention, vault, copier),
        first=entries[0].name,
        last=entries[-1].name,
        objects=len(entries),
        bytes=sum(entry.size for entry in entries),
        locked_until=task.all_locked_until,
    )


def _sealed_once(key: str, content: bytes, retention: Retention, vault: Vault, copier: Copier) -> str:
    """Return the version that holds these lines: one that is there already is locked for as long as asked, at least."""
    there = vault.versions(key)
    if not there:
        try:
            return vault.seal(key, content, retention)
        except LostRace:
            there = vault.versions(key)
            if not there:
                raise
    copier.extend([_NOTHING._replace(key=key, version_id=there[0])], retention)
    return there[0]


_NOTHING = Entry("", "", "", "", "", 0, 0, "", "", {})
