"""What homes remember of the regions beside them, and autoscaling's limits, in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from mldr.domain.identity import ModelKey
from mldr.domain.survivor import Survivor
from mldr.errors import EndpointFailed, LostRace


class FakeSurvivors:
    """One row per model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, Survivor] = {}

    def of(self, model: ModelKey) -> Survivor:
        return self._rows.get(str(model), Survivor())

    def put(self, model: ModelKey, survivor: Survivor) -> None:
        with self._lock:
            if self._rows.get(str(model), Survivor()).revision != survivor.revision - 1:
                raise LostRace(f"{model}: another round wrote revision {survivor.revision} first")
            self._rows[str(model)] = survivor


class FakeScalingLimits:
    """`targets` has the highest count of each variant that scales by itself, by endpoint and variant."""

    def __init__(self) -> None:
        self.targets: dict[tuple[str, str], int] = {}

    def limits(self, endpoint: str, variants: Sequence[str]) -> dict[str, int]:
        return {name: self.targets[endpoint, name] for name in variants if (endpoint, name) in self.targets}

    def allow(self, endpoint: str, limits: dict[str, int]) -> None:
        for variant, limit in limits.items():
            if (endpoint, variant) not in self.targets:
                raise EndpointFailed(f"the autoscaling of {endpoint} cannot be changed: {variant} has none")
            self.targets[endpoint, variant] = limit
