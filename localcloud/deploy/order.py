"""The order in which a template's resources must be created."""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from localcloud.deploy.errors import DeployError
from localcloud.deploy.intrinsics import names_used


def creation_order(resources: Mapping[str, Any]) -> list[str]:
    """Names so that everything a resource refers to or depends on comes before it."""
    graph = {name: _needs(name, resource, resources) for name, resource in resources.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as cycle:
        raise DeployError(
            "resources refer to each other in a circle: " + " -> ".join(reversed(cycle.args[1]))
        ) from None


def _needs(name: str, resource: Mapping[str, Any], resources: Mapping[str, Any]) -> list[str]:
    explicit = resource.get("DependsOn", [])
    wanted = [explicit] if isinstance(explicit, str) else list(explicit)
    for missing in (other for other in wanted if other not in resources):
        raise DeployError(f"{name}: DependsOn names {missing}, which is not a resource of this stack")
    return sorted(
        {*wanted, *(used for used in names_used(resource.get("Properties", {})) if used in resources)} - {name}
    )
