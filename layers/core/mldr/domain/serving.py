"""What is created in the standby region to serve a recovery point."""

from __future__ import annotations

from typing import Any

from mldr.domain.identity import Frozen
from mldr.domain.recovery_point import Manifest
from mldr.domain.references import rewrite_document
from mldr.errors import NotRestorable


class ServingPlan(Frozen):
    """Names and settings of a SageMaker model, endpoint configuration and endpoint: the same for the same epoch."""

    name: str
    containers: tuple[dict[str, Any], ...]
    role: str
    instance_type: str
    instance_count: int


_CREATE_MODEL_FIELDS = {"Image", "ModelDataUrl", "ModelDataSource", "Environment", "ContainerHostname"}


def plan_serving(manifest: Manifest, *, epoch: int, default_role: str) -> ServingPlan:
    """Return what to create for a cold-standby recovery. Raises NotRestorable when the record names no container."""
    document = rewrite_document(manifest.registry_document, manifest.rewrites)
    containers = document.get("InferenceSpecification", {}).get("Containers", [])
    if not containers:
        raise NotRestorable(
            f"{manifest.model}: version {manifest.origin.version} has no InferenceSpecification.Containers, "
            "so there is nothing to serve; register a version that says how it is served"
        )
    serving = manifest.policy.serving
    return ServingPlan(
        name=f"{manifest.model.name[:40]}-{manifest.recovery_point[-8:]}-e{epoch}",
        containers=tuple({k: v for k, v in one.items() if k in _CREATE_MODEL_FIELDS} for one in containers),
        role=serving.role or default_role,
        instance_type=serving.instance_type,
        instance_count=serving.instance_count,
    )
