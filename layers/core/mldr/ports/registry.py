"""Model registries and container images, which have a side in each region."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mldr.domain.identity import ModelKey
from mldr.domain.images import Image
from mldr.domain.registry import RegistryEntry


class Registry(Protocol):
    """A model registry that has a side in each region."""

    def describe(self, arn: str) -> RegistryEntry:
        """Return a version of the active region. Raises MissingArtifact."""

    def own(self, arn: str) -> RegistryEntry:
        """Return a version of this region. Raises MissingArtifact."""

    def models(self) -> Iterator[ModelKey]:
        """Yield every model of the active region."""

    def newest_approved(self, model: ModelKey) -> str | None:
        """Return the ARN of the newest approved version in the active region, or None."""

    def register(self, entry: RegistryEntry, recovery_point: str) -> str:
        """Register a version in the standby region and return its ARN there. Registering twice gives the same ARN."""

    def set_status(self, arn: str, status: str) -> None:
        """Set the approval of a version in the standby region."""


class Images(Protocol):
    """Container images in ECR, in both regions."""

    def digest(self, image: Image) -> str | None:
        """Return the image's digest in its region, or None when it is not there."""
