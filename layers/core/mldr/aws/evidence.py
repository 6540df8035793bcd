"""The chains of evidence: one locked object per record, numbered per model without a gap by conditional writes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from mldr.domain.evidence import GENESIS, Evidence, digest, evidence_key
from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import Retention
from mldr.errors import LostRace
from mldr.ports.vault import Vault

KEPT = dt.timedelta(days=365 * 7)
SKEW = dt.timedelta(minutes=15)  # of the clock that a request was made by, behind this region's


class VaultEvidence:
    """Needs what S3Vault.seal, versions and read need under `evidence/`."""

    def __init__(self, vault: Vault, now: Callable[[], dt.datetime], *, mode: str = "GOVERNANCE") -> None:
        self._vault, self._now, self._mode = vault, now, mode

    def append(self, draft: Evidence) -> Evidence:
        while True:
            chain = self._chain(draft.model)
            told, last = self._told(chain, draft)
            if told:
                return told
            sequence = _sequence(chain[-1]) + 1 if chain else 1
            record = draft.model_copy(update={"sequence": sequence, "previous": digest(last) if last else GENESIS})
            try:
                self._vault.seal(evidence_key(draft.model, sequence), record.content(), self._retention())
            except LostRace:
                continue
            return record

    def _told(self, chain: list[str], draft: Evidence) -> tuple[Evidence | None, bytes | None]:
        """Return the record that tells of the same, and the last one's bytes.

        Nothing was told of what had not been asked for yet, so a long chain is read no further back than that.
        """
        last = None
        for key in reversed(chain):
            content = self._first(key)
            if content is None:
                continue
            last = last or content
            found = Evidence.stored(content)
            if (found.kind, found.id) == (draft.kind, draft.id):
                return found, last
            if draft.requested_at and found.recorded_at < draft.requested_at - SKEW:
                break
        return None, last

    def _chain(self, model: ModelKey) -> list[str]:
        return self._vault.keys(evidence_key(model, 0).rpartition("/")[0] + "/")

    def newest(self, model: ModelKey, limit: int) -> list[Evidence]:
        found = (self._first(key) for key in reversed(self._chain(model)[-limit:]))
        return [Evidence.stored(content) for content in found if content]

    def _first(self, key: str) -> bytes | None:
        """Return the first version of a record: a delete marker, which no lock prevents, must not fork the chain."""
        versions = self._vault.versions(key)
        return self._vault.read(key, versions[0]) if versions else None

    def _retention(self) -> Retention:
        return Retention.model_validate({"mode": self._mode, "until": self._now() + KEPT})


def _sequence(key: str) -> int:
    return int(key.rpartition("/")[2].removesuffix(".json"))
