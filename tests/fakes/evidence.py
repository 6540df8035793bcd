"""Chains of evidence in memory."""

from __future__ import annotations

import threading

from mldr.domain.evidence import GENESIS, Evidence, digest
from mldr.domain.identity import ModelKey


class FakeEvidence:
    """`records` has every record of every model in order."""

    def __init__(self) -> None:
        self.records: list[Evidence] = []
        self._lock = threading.Lock()

    def append(self, draft: Evidence) -> Evidence:
        with self._lock:
            chain = [one for one in self.records if one.model == draft.model]
            for one in chain:
                if (one.kind, one.id) == (draft.kind, draft.id):
                    return one
            previous = digest(chain[-1].content()) if chain else GENESIS
            record = draft.model_copy(update={"sequence": len(chain) + 1, "previous": previous})
            self.records.append(record)
            return record

    def newest(self, model: ModelKey, limit: int) -> list[Evidence]:
        return [one for one in reversed(self.records) if one.model == model][:limit]
