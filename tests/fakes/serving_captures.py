"""What serves in the active region, and what was captured of it, in memory."""

from __future__ import annotations

import datetime as dt

from mldr.domain.identity import ModelKey
from mldr.domain.serving_state import Observed, Refusal, ServingState


class FakeServingSource:
    """`endpoints` is what the active region would describe."""

    def __init__(self) -> None:
        self.endpoints: dict[str, Observed] = {}
        self.looks: list[str] = []

    def observe(self, endpoint: str) -> Observed:
        self.looks.append(endpoint)
        return self.endpoints.get(endpoint) or Observed(endpoint=endpoint, status="Missing")


class FakeServingCaptures:
    """States by model and time."""

    def __init__(self) -> None:
        self.states: dict[str, dict[dt.datetime, ServingState]] = {}
        self._refusals: dict[str, Refusal] = {}

    def put(self, state: ServingState) -> None:
        self.states.setdefault(str(state.model), {})[state.captured_at] = state

    def newest(self, model: ModelKey, as_of: dt.datetime | None = None) -> ServingState | None:
        held = self.states.get(str(model), {})
        times = [at for at in held if as_of is None or at <= as_of]
        return held[max(times)] if times else None

    def refuse(self, model: ModelKey, refusal: Refusal) -> None:
        self._refusals[str(model)] = refusal

    def refusal(self, model: ModelKey) -> Refusal | None:
        return self._refusals.get(str(model))
