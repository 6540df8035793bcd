"""Read what this region can carry before it has to: recovery reads only what was kept."""

from __future__ import annotations

from mldr.domain.capacity import Capacity
from mldr.ports import Catalog, Clock, Quotas


def refresh_quotas(*, quotas: Quotas, catalog: Catalog, clock: Clock, side_by_side: int) -> Capacity:
    """Return what was read, and keep it in the catalog with its time. Raises NotAllowed, Throttled."""
    capacity = Capacity(limits=quotas.limits(), used=quotas.used(), side_by_side=side_by_side, read_at=clock.now())
    catalog.put_capacity(capacity)
    return capacity
