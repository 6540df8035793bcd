"""Ask for every model's serving state to be looked at: what no event told of is found then (law 5)."""

from __future__ import annotations

from mldr.events import detail_types
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Bus


def request_captures(*, catalog: Catalog, bus: Bus) -> int:
    """Return how many models were asked for. Harmless: a state that has not changed is not written again."""
    models = catalog.models()
    for model in models:
        bus.put(detail_types.SERVING_CAPTURE_REQUESTED, {"model": str(model), "reason": "reconciliation"})
    return len(models)
