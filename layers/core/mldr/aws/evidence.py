"""The chains of evidence: one locked object per record, numbered per model without a gap by conditional writes."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable

from mldr.domain.evidence import GENESIS, Evidence, digest, evidence_key
from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import Retention
from mldr.errors import LostRace
from mldr.ports.vault import Vault

KEPT = dt.timedelta(days=365 * 7)


class VaultEvidence:
    """Needs what S3Vault.seal, versions and read need under `evidence/`."""

    def __init__(self, vault: Vault, now: Callable[[], dt.datetime], *, mode: str = "GOVERNANCE") -> None:
        self._vault, self._now, self._mode = vault, now, mode

    def append(self, draft: Evidence) -> Evidence:
        sequence, previous = 1, GENESIS
        while True:
            existing = self._first(evidence_key(draft.model, sequence))
            if existing is not None:
                found = Evidence.model_validate(json.loads(existing))
                if (found.kind, found.id) == (draft.kind, draft.id):
                    return found
                sequence, previous = sequence + 1, digest(existing)
                continue
            record = draft.model_copy(update={"sequence": sequence, "previous": previous})
            try:
                self._vault.seal(evidence_key(draft.model, sequence), record.content(), self._retention())
            except LostRace:
                continue
            return record

    def newest(self, model: ModelKey, limit: int) -> list[Evidence]:
        chain = self._vault.keys(evidence_key(model, 0).rpartition("/")[0] + "/")
        found = (self._first(key) for key in reversed(chain[-limit:]))
        return [Evidence.model_validate_json(content) for content in found if content]

    def _first(self, key: str) -> bytes | None:
        """Return the first version of a record: a delete marker, which no lock prevents, must not fork the chain."""
        versions = self._vault.versions(key)
        return self._vault.read(key, versions[0]) if versions else None

    def _retention(self) -> Retention:
        return Retention.model_validate({"mode": self._mode, "until": self._now() + KEPT})
