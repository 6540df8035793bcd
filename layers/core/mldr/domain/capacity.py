"""What a region can carry: the instances that its quotas leave to endpoints, read beforehand, kept with their age."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Mapping

from mldr.domain.identity import Frozen
from mldr.domain.tiers import may_be_ours

# So Service Quotas names the quotas of hosting, one for each instance type.
_USAGE = re.compile(r"(ml\.[a-z0-9-]+\.[a-z0-9]+) for endpoint usage")
ALL_TYPES = "instances of all types"
_ALL = "Number of instances across active endpoints"  # one quota (L-7A3DF611) for all types together
STALE = dt.timedelta(hours=2)  # several rounds of the schedule were missed


class Capacity(Frozen):
    """What was read at one time: quotas and what endpoints held of them, by instance type and of all types."""

    limits: dict[str, int]
    used: dict[str, int]
    standing: dict[str, dict[str, int]] = {}  # what mldr's own endpoints hold, by name: it is among what is used
    side_by_side: int  # recoveries at once, as the stack says
    read_at: dt.datetime

    @property
    def free(self) -> dict[str, int]:
        """Return how many more instances of each type endpoints may have; not below zero."""
        return {kind: max(0, limit - self.used.get(kind, 0)) for kind, limit in self.limits.items()}


def capacity_of(
    limits: dict[str, int], held: Mapping[str, Mapping[str, int]], *, side_by_side: int, read_at: dt.datetime
) -> Capacity:
    """Return what a region can carry, of its quotas and of what each of its endpoints holds, by instance type."""
    used: Counter[str] = Counter()
    for counts in held.values():
        used.update(counts)
        used[ALL_TYPES] += sum(counts.values())
    standing = {name: dict(counts) for name, counts in held.items() if may_be_ours(name)}
    return Capacity(limits=limits, used=dict(used), standing=standing, side_by_side=side_by_side, read_at=read_at)


def with_total(instances: Mapping[str, int]) -> dict[str, int]:
    """Return what so many instances take of each quota."""
    return {**instances, ALL_TYPES: sum(instances.values())} if instances else {}


def quota_name(kind: str) -> str:
    """Return what Service Quotas calls the quota of an instance type, or of all."""
    return _ALL if kind == ALL_TYPES else f"{kind} for endpoint usage"


def instance_type(quota_name: str) -> str | None:
    """Return the instance type whose endpoints a SageMaker quota limits, or all types; None for any other quota."""
    if quota_name == _ALL:
        return ALL_TYPES
    found = _USAGE.fullmatch(quota_name)
    return found[1] if found else None
