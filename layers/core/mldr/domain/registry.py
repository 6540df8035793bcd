"""A model version as its registry describes it."""

from __future__ import annotations

from typing import Any

from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.policy import ModelPolicy

PENDING = "PendingManualApproval"


class RegistryEntry(Frozen):
    """One model version as its registry describes it, and what of it can be registered again."""

    model: ModelKey
    version: str
    arn: str
    status: str  # Approved | Rejected | PendingManualApproval
    document: dict[str, Any]
    tags: dict[str, str]
    copied_from: str | None  # set when mldr registered this version itself
    golden: str | None = None  # then also where its golden inferences are

    @property
    def approved(self) -> bool:
        """Whether this version is in production."""
        return self.status == "Approved"


class Capture(Frozen):
    """What was known when a version was captured; all later steps read this, so an edit changes nothing midway."""

    entry: RegistryEntry
    policy: ModelPolicy
    policy_version: str
