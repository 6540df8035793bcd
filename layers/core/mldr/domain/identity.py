"""What a model, its version and its recovery point are called."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from mldr.errors import BadEvent

_MODEL_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}")
_REGISTRY = re.compile(r"[a-z]{1,32}")


class Frozen(BaseModel):
    """Base of every domain object: immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def stored(cls, content: str | bytes) -> Self:
        """Read what a region wrote for itself or its peer. What a newer release added, at any depth, is ignored.

        What people write is validated strictly instead. Raises ValidationError.
        """
        return cls.model_validate_json(content, extra="ignore")


class ModelKey(Frozen):
    """One model of one registry: `sagemaker/churn`."""

    registry: str
    name: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `registry/name`, or `name` alone for SageMaker. Raises BadEvent."""
        registry, slash, name = text.rpartition("/")
        if not _MODEL_NAME.fullmatch(name):
            raise BadEvent(f"model: {text!r} is not a model name; give letters, digits and hyphens, 63 at the most")
        if slash and not _REGISTRY.fullmatch(registry):
            raise BadEvent(f"model: {text!r} does not begin with a registry; write it like sagemaker/{name}")
        return cls(registry=registry or "sagemaker", name=name)

    @property
    def label(self) -> str:
        """The DNS label that clients resolve (names are case-insensitive there)."""
        return self.name.lower()


def recovery_point_id(version: str, arn: str, document: dict[str, Any]) -> str:
    """Return the id of the recovery point of one version: the same record gives the same id, however often it is told.

    A model package is not immutable, so the id holds a digest of what it says; an edit makes another recovery point.
    """
    canonical = json.dumps([arn, document], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"v{version}-{hashlib.sha256(canonical.encode()).hexdigest()[:12]}"
