"""A model registry in memory, with a side in each region."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mldr.domain.identity import ModelKey
from mldr.domain.registry import RegistryEntry
from mldr.errors import MissingArtifact

ACCOUNT = "123456789012"


class FakeRegistry:
    """`promote` and `edit` are what a person does in the active region; `standby` is what mldr registered."""

    def __init__(self, active: str, standby: str) -> None:
        self._active, self._standby = active, standby
        self.entries: dict[str, RegistryEntry] = {}
        self.standby: dict[str, RegistryEntry] = {}
        self._points: dict[tuple[str, str], str] = {}

    def promote(
        self,
        group: str,
        document: dict[str, Any],
        *,
        status: str = "Approved",
        tags: dict[str, str] | None = None,
        copied_from: str | None = None,
    ) -> str:
        """Register a version in the active region and return its ARN."""
        version = str(1 + sum(entry.model.name == group for entry in self.entries.values()))
        arn = _arn(self._active, group, version)
        self.entries[arn] = RegistryEntry(
            model=ModelKey(registry="sagemaker", name=group),
            version=version,
            arn=arn,
            status=status,
            document=document,
            tags=tags or {},
            copied_from=copied_from,
        )
        return arn

    def edit(self, arn: str, **changes: Any) -> None:
        """Change a version in the active region."""
        self.entries[arn] = self.entries[arn].model_copy(update=changes)

    def describe(self, arn: str) -> RegistryEntry:
        if arn not in self.entries:
            raise MissingArtifact(f"{arn} does not exist in the active region")
        return self.entries[arn]

    def own(self, arn: str) -> RegistryEntry:
        if arn not in self.standby:
            raise MissingArtifact(f"{arn} does not exist in this region")
        return self.standby[arn]

    def models(self) -> Iterator[ModelKey]:
        yield from dict.fromkeys(entry.model for entry in self.entries.values())

    def newest_approved(self, model: ModelKey) -> str | None:
        approved = [arn for arn, entry in self.entries.items() if entry.model == model and entry.approved]
        return approved[-1] if approved else None

    def register(self, entry: RegistryEntry, recovery_point: str) -> str:
        place = (entry.arn, recovery_point)
        if place not in self._points:
            versions = sum(one.model == entry.model for one in self.standby.values())
            arn = _arn(self._standby, entry.model.name, str(versions + 1))
            self.standby[arn] = entry.model_copy(update={"arn": arn, "copied_from": entry.arn})
            self._points[place] = arn
        return self._points[place]

    def set_status(self, arn: str, status: str) -> None:
        self.standby[arn] = self.standby[arn].model_copy(update={"status": status})


def _arn(region: str, group: str, version: str) -> str:
    return f"arn:aws:sagemaker:{region}:{ACCOUNT}:model-package/{group}/{version}"
