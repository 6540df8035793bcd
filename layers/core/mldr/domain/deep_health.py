"""Judge whether an endpoint that serves answers: one golden request now and then, its result shared by all.

A model that answers otherwise than it was recorded is not down, nor is one that was always slow, nor one that does not
take the question: that is told, and nothing more. Down is what fails, or fell silent, several questions in a row.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any

from mldr.domain.identity import Frozen

EVERY = dt.timedelta(seconds=30)  # at most one golden request of a model in this time
AGAIN = dt.timedelta(seconds=5)  # and in this one while it fails
FAILURES = 3  # in a row that are down
SILENCES = 10  # in a row: an overloaded model is slow, and moving it would not help
PROMPT = 0.4  # seconds: a model that answered within this and does not answer any more fell silent
STALE = dt.timedelta(minutes=5)  # older proofs say nothing of now


class Outcome(StrEnum):
    """What came of a golden request."""

    ASKING = "asking"
    EQUAL = "equal"
    DIFFERS = "differs"
    SLOW = "slow"
    FAILED = "failed"
    REFUSED = "refused"  # the question itself: a changed schema, an asynchronous endpoint, one too many now


class Proof(Frozen):
    """The last golden request to an endpoint, when one was answered last, and how many were not in a row."""

    endpoint: str
    asked_at: dt.datetime
    outcome: Outcome
    reason: str = ""
    answered_at: dt.datetime | None = None
    seconds: float | None = None  # of the last answer
    failures: int = 0
    silences: int = 0
    missed_at: dt.datetime | None = None  # when one failed or was not answered last


def due(proof: Proof | None, endpoint: str, now: dt.datetime) -> bool:
    """Return whether a golden request may be sent. A clock that was set back does not hold it up."""
    if proof is None or proof.endpoint != endpoint:
        return True
    pause = AGAIN if proof.failures or proof.silences else EVERY
    return abs(now - proof.asked_at) >= pause


def asking(proof: Proof | None, endpoint: str, now: dt.datetime) -> Proof:
    """Return the turn that is taken before a request is sent, so that of many gateways one asks."""
    if proof is None or proof.endpoint != endpoint:
        return Proof(endpoint=endpoint, asked_at=now, outcome=Outcome.ASKING)
    return proof.model_copy(update={"asked_at": now, "outcome": Outcome.ASKING, "reason": ""})


def answered(turn: Proof, *, equal: bool, reason: str, seconds: float, now: dt.datetime) -> Proof:
    """Return the proof of an answer, whatever it says."""
    outcome = Outcome.EQUAL if equal else Outcome.DIFFERS
    came = {"outcome": outcome, "reason": reason, "answered_at": now, "seconds": round(seconds, 3)}
    return turn.model_copy(update={**came, "failures": 0, "silences": 0})


def failed(turn: Proof, reason: str, now: dt.datetime) -> Proof:
    """Return the proof of an endpoint whose container failed."""
    missed = {"outcome": Outcome.FAILED, "reason": reason, "missed_at": now}
    return turn.model_copy(update={**missed, "failures": turn.failures + 1})


def refused(turn: Proof, reason: str) -> Proof:
    """Return the proof of a question that was not taken: whether others are answered it does not tell."""
    return turn.model_copy(update={"outcome": Outcome.REFUSED, "reason": reason, "failures": 0, "silences": 0})


def silent(turn: Proof, reason: str, now: dt.datetime) -> Proof:
    """Return the proof of an endpoint that did not answer in time: it counts only if it used to be prompt."""
    counts = turn.seconds is not None and turn.seconds <= PROMPT
    silences = turn.silences + 1 if counts else 0
    missed = {"outcome": Outcome.SLOW, "reason": reason, "missed_at": now}
    return turn.model_copy(update={**missed, "silences": silences})


def down(proof: Proof | None, endpoint: str, now: dt.datetime) -> str:
    """Return why an endpoint that serves is down all the same, '' while nothing says so.

    What was seen to fail is forgotten while nobody could ask again: a question that is hindered is no failure.
    """
    if proof is None or proof.endpoint != endpoint or abs(now - (proof.missed_at or proof.asked_at)) > STALE:
        return ""
    if proof.failures >= FAILURES:
        return f"{proof.failures} golden requests in a row failed: {proof.reason}"
    if proof.silences >= SILENCES:
        return f"{proof.silences} golden requests in a row had no answer, after answers within {proof.seconds} s"
    return ""


def told(proof: Proof | None, endpoint: str, now: dt.datetime) -> dict[str, Any]:
    """Return what `/health` says of the golden requests."""
    if proof is None or proof.endpoint != endpoint:
        return {"outcome": "never asked", "loaded": None, "last_success_seconds_ago": None}
    ago = round((now - proof.answered_at).total_seconds(), 1) if proof.answered_at else None
    return {
        "outcome": proof.outcome,
        "reason": proof.reason,
        "loaded": True if proof.answered_at and not proof.failures else None,
        "last_success_seconds_ago": ago,
        "seconds": proof.seconds,
        "failed_in_a_row": proof.failures,
        "silent_in_a_row": proof.silences,
    }
