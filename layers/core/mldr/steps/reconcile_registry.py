"""Find what events missed: approved versions without a sealed recovery point, and approvals taken back in silence."""

from __future__ import annotations

from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import newest_restorable
from mldr.events import detail_types
from mldr.ports.catalog import Catalog
from mldr.ports.registry import Registry
from mldr.ports.stack import Bus
from mldr.steps.begin_protection import wanted_here


def reconcile_registry(*, region: str, registry: Registry, catalog: Catalog, bus: Bus) -> list[str]:
    """Return the versions that were told again. Harmless: the capture describes each as it is now (law 5)."""
    told = []
    for model in registry.models():
        for arn in _forgotten(model, region, registry, catalog):
            bus.put(detail_types.PROMOTED, {"model": str(model), "arn": arn})
            told.append(arn)
    return told


def _forgotten(model: ModelKey, region: str, registry: Registry, catalog: Catalog) -> list[str]:
    approved = registry.newest_approved(model)
    records = catalog.records(model)
    # A damaged point cannot be made again by telling of it: its source is gone, and a person was paged.
    finished = {
        record.origin.arn
        for record in records
        if record.phase.restorable and not record.withdrawn and not record.reason
    }
    newest = newest_restorable(records)
    forgotten = []
    if approved and approved not in finished and wanted_here(registry.describe(approved), region, catalog):
        forgotten.append(approved)
    if newest and newest.origin.arn != approved:
        # Recovery would choose a version that the registry no longer calls the newest approved one.
        forgotten.append(newest.origin.arn)
    return forgotten
