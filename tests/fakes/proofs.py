"""Golden requests of the gateway, in memory."""

from __future__ import annotations

import threading

from mldr.domain.deep_health import Proof
from mldr.domain.golden import GoldenInference, parse_golden
from mldr.domain.identity import ModelKey
from mldr.errors import LostRace, MissingArtifact
from tests.fakes.objects import Buckets


class FakeProofs:
    """The last proof of each model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, Proof] = {}

    def newest(self, model: ModelKey) -> Proof | None:
        return self._last.get(str(model))

    def put(self, model: ModelKey, proof: Proof, previous: Proof | None) -> None:
        with self._lock:
            if self._last.get(str(model)) != previous:
                raise LostRace(f"{model}: another gateway asks")
            self._last[str(model)] = proof


class FakeGoldens:
    """Reads the buckets of the same world."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def first(self, uri: str, version_id: str | None = None) -> GoldenInference:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        found = self._buckets.all(bucket, key)
        versions = [one for one in found if version_id in (None, one.version_id)]
        content = versions[-1].body if versions else None
        if content is None:
            raise MissingArtifact(f"the golden inferences {uri} do not exist in this region; upload them")
        return parse_golden(content)[0]
