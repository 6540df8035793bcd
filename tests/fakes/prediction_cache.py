"""The prediction cache in memory, and what was offered to it."""

from __future__ import annotations

from mldr.domain.identity import ModelKey
from mldr.domain.prediction_cache import Cached, Sighting
from mldr.errors import MldrError


class FakePredictionCache:
    """`error` is what it answers every call with, once set."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, int], Cached] = {}
        self.seen: dict[str, Sighting] = {}
        self.reads = 0
        self.error: MldrError | None = None

    def read(self, model: ModelKey, slot: int) -> tuple[Cached | None, Sighting | None]:
        self.reads += 1
        return self._answer().entries.get((str(model), slot)), self.seen.get(str(model))

    def sighting(self, model: ModelKey) -> Sighting | None:
        return self._answer().seen.get(str(model))

    def see(self, model: ModelKey, sighting: Sighting) -> None:
        held = self._answer().seen.get(str(model))
        if held is None or held.seen_at <= sighting.seen_at:
            self.seen[str(model)] = sighting

    def keep(self, entry: Cached) -> bool:
        place = (str(entry.model), entry.slot)
        held = self._answer().entries.get(place)
        if held and (held.epoch, held.answered_at) > (entry.epoch, entry.answered_at):
            return False
        self.entries[place] = entry
        return True

    def _answer(self) -> FakePredictionCache:
        if self.error:
            raise self.error
        return self


class FakeOffers:
    """`offered` has every answer, in order; `error` is what the next ones meet, once set."""

    def __init__(self) -> None:
        self.offered: list[Cached] = []
        self.error: MldrError | None = None

    def offer(self, entry: Cached) -> None:
        if self.error:
            raise self.error
        self.offered.append(entry)
