"""A model version as its registry describes it."""

from __future__ import annotations

from typing import Any, Self

from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.policy import ModelPolicy
from mldr.domain.secrets import without
from mldr.domain.serving_references import find_secrets

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
    withheld: tuple[str, ...] = ()  # why values of the document were left out: they look like secrets

    @classmethod
    def of(cls, entry: RegistryEntry, policy: ModelPolicy, policy_version: str) -> Self:
        """Return what is kept of a version. No secret is, not even until an inventory refuses it."""
        secrets = find_secrets(entry.document, policy.serving.not_secret)
        document = without(entry.document, {one.path for one in secrets})
        return cls(
            entry=entry.model_copy(update={"document": document}),
            policy=policy,
            policy_version=policy_version,
            withheld=tuple(map(str, secrets)),
        )
