"""What was decided about the health of models, and what proves it."""

from __future__ import annotations

from typing import Protocol

from mldr.domain.approvals import Approval
from mldr.domain.deep_health import Proof
from mldr.domain.golden import GoldenInference
from mldr.domain.health import Decided
from mldr.domain.identity import ModelKey
from mldr.domain.survivor import Survivor


class Decisions(Protocol):
    """What was decided about each model's health, and what persons were asked."""

    def log(self, model: ModelKey, decided: Decided) -> None:
        """Write a line, in place of the line that began at the same time. It is kept for a month."""

    def newest(self, model: ModelKey, limit: int) -> list[Decided]:
        """Return the newest lines, the newest first."""

    def approval(self, model: ModelKey) -> Approval | None:
        """Return what a person was asked last, and what came of it, or None."""

    def ask(self, model: ModelKey, approval: Approval) -> None:
        """Remember a question in place of the one before, whose token counts no more."""

    def settle(self, model: ModelKey, approval: Approval) -> None:
        """Write what came of a question, once. Raises LostRace when it is settled already, or another was asked."""


class Survivors(Protocol):
    """What the home of a model that both regions answer remembers of the region beside it."""

    def of(self, model: ModelKey) -> Survivor:
        """Return what the last round left."""

    def put(self, model: ModelKey, survivor: Survivor) -> None:
        """Write what follows the revision before. Raises LostRace when another round wrote in between."""


class Proofs(Protocol):
    """When each model last answered a golden request of the gateway, and what it said."""

    def newest(self, model: ModelKey) -> Proof | None:
        """Return the last proof, or None."""

    def put(self, model: ModelKey, proof: Proof, previous: Proof | None) -> None:
        """Write a proof if `previous` is still the last one. Raises LostRace."""


class Goldens(Protocol):
    """Golden inferences of this region."""

    def first(self, uri: str, version_id: str | None = None) -> GoldenInference:
        """Return the first inference of a file. Raises MissingArtifact, BadGolden, NotAllowed."""
