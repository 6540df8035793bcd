"""Evidence: append-only, hash-chained records of what happened and how long it took."""

from __future__ import annotations

import datetime as dt
import hashlib
from itertools import pairwise
from typing import Literal

from mldr.domain.failover import Kind
from mldr.domain.identity import Frozen, ModelKey

GENESIS = "0" * 64


class PhaseTime(Frozen):
    """One phase of a recovery and how long it took, in seconds."""

    name: str
    seconds: float


class ModelOutcome(Frozen):
    """What became of one model of a region. `seconds` run from the first failure, or the request, to the last phase.

    `warnings` are those that a person is told; the model's own record has all.
    """

    model: ModelKey
    outcome: Literal["completed", "failed"]
    reason: str
    seconds: float | None = None
    warnings: tuple[str, ...] = ()


class Evidence(Frozen):
    """What one failover did. `previous` is the digest of the record before it, so that none can be removed unseen.

    Of a whole region the model is `region/<name>`, and `models` says what became of each. `foreseen` are those of the
    warnings that were known before it began.
    """

    sequence: int
    previous: str
    kind: Literal["failover", "failback", "move", "clear"]
    id: str
    model: ModelKey
    outcome: Literal["completed", "refused", "failed"]
    reason: str
    region: str
    epoch: int | None
    recovery_point: str | None
    phases: tuple[PhaseTime, ...]
    warnings: tuple[str, ...] = ()
    foreseen: tuple[str, ...] = ()
    recorded_at: dt.datetime
    requested_at: dt.datetime | None = None  # records of before the field have none
    models: tuple[ModelOutcome, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """Return the warnings that page: of a move that a person planned, those that came up on the way."""
        return tuple(one for one in self.warnings if not (Kind(self.kind).planned and one in self.foreseen))

    def content(self) -> bytes:
        """Return the bytes that are stored and hashed."""
        return self.model_dump_json(indent=1).encode()


def digest(content: bytes) -> str:
    """Return the digest that the next record carries."""
    return hashlib.sha256(content).hexdigest()


def evidence_key(model: ModelKey, sequence: int) -> str:
    """Return the vault key of a record: one chain per model, numbered from 1."""
    return f"evidence/{model}/{sequence:06d}.json"


def phase_times(marks: list[tuple[str, dt.datetime | None]]) -> tuple[PhaseTime, ...]:
    """Return how long each phase took. A mark is a phase and when it ended; the first mark only starts the clock.

    A mark without a time (the phase never ended) stops the list: what was not measured is not reported.
    """
    found = []
    for (_, before), (name, after) in pairwise(marks):
        if before is None or after is None:
            break
        found.append(PhaseTime(name=name, seconds=round((after - before).total_seconds(), 3)))
    return tuple(found)
