"""Read what this region can carry before it has to: recovery reads only what was kept."""

from __future__ import annotations

from mldr.domain.capacity import Capacity, capacity_of
from mldr.ports.catalog import Catalog
from mldr.ports.serving import Quotas
from mldr.ports.stack import Clock


def refresh_quotas(*, quotas: Quotas, catalog: Catalog, clock: Clock, side_by_side: int) -> Capacity:
    """Return what was read, and keep it in the catalog with its time. Raises NotAllowed, Throttled."""
    capacity = capacity_of(quotas.limits(), quotas.held(), side_by_side=side_by_side, read_at=clock.now())
    catalog.put_capacity(capacity)
    return capacity
