"""What the steps of one protection hand on through the vault: too large for a state, never read by recovery."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.model_plan import ModelPlan
from mldr.domain.recovery_point import Record
from mldr.domain.registry import Capture
from mldr.domain.transfers import Transfer, owner_of, plan_key, work_key
from mldr.errors import ArtifactChanged, ChecksumMismatch, LostRace, MissingArtifact, MldrError, PartsMissing
from mldr.ports.catalog import Catalog
from mldr.ports.vault import Vault

CAPTURE, PLAN, FAILURE, STALE = "capture.json", "plan.json", "failure.json", "stale.json"

# A pin is gone or shows other bytes, or the parts of a large object are lost.
_UNFINISHABLE = (MissingArtifact, ArtifactChanged, ChecksumMismatch, PartsMissing)


class Trouble(Frozen):
    """Why a piece of work failed."""

    item: str
    reason: str


def load_capture(vault: Vault, model: ModelKey, point: str) -> Capture:
    """Return what was captured when the point was begun."""
    return Capture.model_validate_json(need(vault, _key(model, point, CAPTURE)))


def keep_capture(vault: Vault, point: str, capture: Capture) -> None:
    """Write what was captured."""
    vault.keep(_key(capture.entry.model, point, CAPTURE), capture.model_dump_json().encode())


def load_plan(vault: Vault, model: ModelKey, point: str) -> ModelPlan | None:
    """Return the plan that this point's last inventory made, as far as it came, or None."""
    content = vault.read(_key(model, point, PLAN))
    return ModelPlan.model_validate_json(content) if content else None


def keep_plan(vault: Vault, model: ModelKey, point: str, plan: ModelPlan) -> None:
    """Write a plan."""
    vault.keep(_key(model, point, PLAN), plan.model_dump_json().encode())


def keep_items(vault: Vault, transfer: Transfer, name: str, items: Sequence[Frozen]) -> str:
    """Write the items that a Distributed Map reads; returns their key. Nothing reads a file without items."""
    key = plan_key(transfer, name)
    if items:
        vault.keep(key, json.dumps([item.model_dump(mode="json") for item in items]).encode())
    return key


def current_record(catalog: Catalog, model: ModelKey, point: str, attempt: int) -> Record:
    """Return the record while this attempt is the current one. Raises LostRace when it is not."""
    record = catalog.record(model, point)
    if record is None or record.attempt != attempt:
        raise LostRace(f"{point}: attempt {attempt} was superseded")
    return record


def in_force(catalog: Catalog, transfer: Transfer) -> None:
    """Return while a plan is the one to work by. Raises LostRace when another took its place."""
    held = catalog.transfer(transfer.owner, transfer.id)
    if held is None or held.plan != transfer.plan:
        raise LostRace(f"{transfer.owner} {transfer.id}: plan {transfer.plan} is not in force any more")


@contextmanager
def trouble_kept(vault: Vault, transfer: Transfer, item: str) -> Iterator[None]:
    """Note why a piece of work failed: a Distributed Map tells its parent only that one did.

    What shows that the plan cannot be finished as it is makes it stale: the next attempt pins what is there then.
    """
    try:
        yield
    except LostRace:
        raise
    except MldrError as error:
        content = Trouble(item=item, reason=f"{type(error).__name__}: {error}").model_dump_json().encode()
        if isinstance(error, _UNFINISHABLE):
            vault.keep(plan_key(transfer, STALE), content)
        vault.keep(plan_key(transfer, FAILURE), content)
        raise


def last_trouble(vault: Vault, transfer: Transfer) -> Trouble | None:
    """Return why a piece of a plan failed in this attempt, or None when none told."""
    return _trouble(vault, transfer, FAILURE)


def forget_trouble(vault: Vault, transfer: Transfer) -> None:
    """Begin an attempt without the reasons of the one before."""
    if last_trouble(vault, transfer):
        vault.keep(plan_key(transfer, FAILURE), b"")


def stale(vault: Vault, transfer: Transfer) -> Trouble | None:
    """Return what made a plan stale, or None while its pins are believed to exist."""
    return _trouble(vault, transfer, STALE)


def _trouble(vault: Vault, transfer: Transfer, name: str) -> Trouble | None:
    content = vault.read(plan_key(transfer, name))
    return Trouble.model_validate_json(content) if content else None


def _key(model: ModelKey, point: str, name: str) -> str:
    return work_key(owner_of("model", str(model)), point, name)


def need(vault: Vault, key: str) -> bytes:
    """Return a working file. Raises MissingArtifact."""
    content = vault.read(key)
    if content is None:
        raise MissingArtifact(f"the working file {vault.uri(key)} is gone; protect the model again")
    return content
