"""Make a bad object of the vault good again from its pinned source, and read which versions stand for others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from mldr.domain.manifests import Entry
from mldr.domain.recovery_point import Retention
from mldr.domain.repairs import PREFIX, Repair, found
from mldr.domain.scrub import Finding, Problem, agree
from mldr.domain.transfers import is_large, ranges
from mldr.errors import ChecksumMismatch, LostRace, MldrError, Throttled
from mldr.ports.vault import Copier, Vault


def load_repairs(vault: Vault) -> Mapping[str, str]:
    """Return every repair of the vault, for `domain.repairs.repaired`."""
    return found(vault.keys(PREFIX))


def repair(
    entry: Entry, reason: str, run: str, retention: Retention, now: dt.datetime, *, copier: Copier, vault: Vault
) -> Finding:
    """Return what became of a bad object: repaired, or bad for want of its source. Raises Throttled."""
    about = {"name": entry.name, "key": entry.key, "version_id": entry.version_id, "source": entry.source}
    try:
        made = _copied_anew(entry, retention, copier)
    except (Throttled, LostRace):
        raise
    except MldrError as error:
        why = f"{reason}; it cannot be copied again: {type(error).__name__}: {error}"
        return Finding(problem=Problem.BAD, reason=why, **about)
    done = Repair(
        key=entry.key,
        bad_version=entry.version_id,
        good_version=made.version_id,
        source=entry.source,
        reason=reason,
        run=run,
        repaired_at=now,
    )
    _seal(done, retention, vault)
    return Finding(problem=Problem.REPAIRED, reason=f"{reason}; version {made.version_id} now stands for it", **about)


def _copied_anew(entry: Entry, retention: Retention, copier: Copier) -> Entry:
    wanted, limits = entry._replace(version_id=""), copier.limits
    if is_large(wanted, limits):
        upload = copier.open_upload(entry, retention)  # a copied one: it is opened whatever is there
        for group in ranges(entry.size, limits):
            copier.copy_parts(wanted, upload, group)
    [made] = copier.copy([wanted], retention, anew=True)
    if not agree(entry.digests, made.digests):
        raise ChecksumMismatch(f"{entry.source} is not what was sealed any more")
    return made


def _seal(done: Repair, retention: Retention, vault: Vault) -> None:
    try:
        vault.seal(done.vault_key, done.model_dump_json(indent=1).encode(), retention)
    except LostRace:
        return  # noted by a worker that was stopped right after
