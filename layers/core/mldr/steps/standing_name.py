"""Find out how the endpoint is called that a tier lets stand for a recovery point."""

from __future__ import annotations

from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import Manifest
from mldr.domain.serving import plan_serving
from mldr.domain.serving_state import ServingState
from mldr.domain.tiers import standing_name
from mldr.ports.catalog import Catalog
from mldr.ports.vault import Vault
from mldr.steps.seal_recovery_point import read_manifest


def name_of_standing(manifest: Manifest, state: ServingState | None, others: dict[str, Manifest] | None = None) -> str:
    """Return the name; it says nothing of whether there is such an endpoint. Raises NotRestorable."""
    plan = plan_serving(manifest, epoch=0, state=state, others=others, name="name")
    return standing_name(plan, manifest.model, manifest.recovery_point)


def others_of(
    model: ModelKey, point: str, state: ServingState | None, catalog: Catalog, vault: Vault
) -> dict[str, Manifest]:
    """Return the manifests of the points besides this one that the state names and that can be restored."""
    named = [one for one in state.points if one != point] if state else []
    records = [record for one in named if (record := catalog.record(model, one)) and record.restorable]
    return {record.recovery_point: read_manifest(vault, record) for record in records}
