"""What the steps of one protection hand on through the vault: too large for a state, never read by recovery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import Plan, Record, SealedObject, work_key
from mldr.domain.registry import Capture
from mldr.errors import LostRace, MissingArtifact, MldrError
from mldr.ports import Catalog, Vault

CAPTURE, PLAN, BATCHES = "capture.json", "plan.json", "batches.json"


def load_capture(vault: Vault, model: ModelKey, point: str) -> Capture:
    """Return what was captured when the point was begun."""
    return Capture.model_validate_json(_need(vault, work_key(model, point, CAPTURE)))


def keep_capture(vault: Vault, point: str, capture: Capture) -> None:
    """Write what was captured."""
    vault.keep(work_key(capture.entry.model, point, CAPTURE), capture.model_dump_json().encode())


def load_plan(vault: Vault, model: ModelKey, point: str) -> Plan | None:
    """Return the plan that this point's last inventory made, or None."""
    content = vault.read(work_key(model, point, PLAN))
    return Plan.model_validate_json(content) if content else None


def keep_plan(vault: Vault, model: ModelKey, point: str, plan: Plan, batches: list[dict[str, Any]]) -> str:
    """Write a plan and its batches; return the key of the batches, which a Distributed Map reads."""
    key = work_key(model, point, BATCHES)
    vault.keep(key, json.dumps(batches).encode())
    vault.keep(work_key(model, point, PLAN), plan.model_dump_json().encode())
    return key


def keep_verified(vault: Vault, model: ModelKey, point: str, batch: int, objects: list[SealedObject]) -> None:
    """Write what one batch verified."""
    content = json.dumps([item.model_dump(mode="json") for item in objects]).encode()
    vault.keep(work_key(model, point, f"verified/{batch:06d}.json"), content)


def load_verified(vault: Vault, model: ModelKey, point: str, batches: int) -> list[SealedObject]:
    """Return what all batches verified."""
    contents = (_need(vault, work_key(model, point, f"verified/{batch:06d}.json")) for batch in range(batches))
    return [SealedObject.model_validate(item) for content in contents for item in json.loads(content)]


def current_record(catalog: Catalog, model: ModelKey, point: str, attempt: int) -> Record:
    """Return the record while this attempt is the current one. Raises LostRace when it is not."""
    record = catalog.record(model, point)
    if record is None or record.attempt != attempt:
        raise LostRace(f"{point}: attempt {attempt} was superseded")
    return record


@contextmanager
def reason_kept(catalog: Catalog, model: ModelKey, point: str) -> Iterator[None]:
    """Note why a batch failed: a Distributed Map tells its parent only that one did."""
    try:
        yield
    except LostRace:
        raise
    except MldrError as error:
        catalog.annotate(model, point, reason=f"{type(error).__name__}: {error}")
        raise


def _need(vault: Vault, key: str) -> bytes:
    content = vault.read(key)
    if content is None:
        raise MissingArtifact(f"the working file {vault.uri(key)} is gone; protect the model again")
    return content
