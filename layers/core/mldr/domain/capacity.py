"""What a region can carry: the instances that its quotas leave to endpoints, read beforehand, kept with their age."""

from __future__ import annotations

import datetime as dt
import re

from mldr.domain.identity import Frozen

# So Service Quotas names the quotas of hosting, one for each instance type.
_USAGE = re.compile(r"(ml\.[a-z0-9-]+\.[a-z0-9]+) for endpoint usage")
STALE = dt.timedelta(hours=2)  # several rounds of the schedule were missed


class Capacity(Frozen):
    """What was read at one time: quotas and what endpoints held of them, by instance type."""

    limits: dict[str, int]
    used: dict[str, int]
    side_by_side: int  # recoveries at once, as the stack says
    read_at: dt.datetime

    @property
    def free(self) -> dict[str, int]:
        """Return how many more instances of each type endpoints may have; not below zero."""
        return {kind: max(0, limit - self.used.get(kind, 0)) for kind, limit in self.limits.items()}


def instance_type(quota_name: str) -> str | None:
    """Return the instance type whose endpoints a SageMaker quota limits, None for a quota of anything else."""
    found = _USAGE.fullmatch(quota_name)
    return found[1] if found else None
