"""Write the log of decisions: rounds in a row that rest on the same are one line."""

from __future__ import annotations

from mldr.domain.health import HealthState
from mldr.domain.identity import ModelKey
from mldr.ports.health import Decisions


def log_decision(model: ModelKey, before: HealthState, after: HealthState, decisions: Decisions) -> None:
    """Write the line that has ended with all its rounds, and the one that begins. Again is harmless."""
    last, line = before.decided, after.decided
    if line and (last is None or last.at != line.at):
        if last and last.rounds > 1:
            decisions.log(model, last)
        decisions.log(model, line)
