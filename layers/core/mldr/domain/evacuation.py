"""The order in which the models of a failed region are recovered, so that the most recovery times hold.

What is scarce: recoveries that run side by side, and instances that the standby region may start. The order is that of
Moore and Hodgson (J. M. Moore, "An n job, one machine sequencing algorithm", Management Science 15, 1968): the earliest
deadline first, and when one would be late, the longest of those before it goes to the end. It is optimal for one
recovery at a time and a good rule for several. More critical models are planned first, whatever the less critical lose.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import heapq
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from mldr.domain.capacity import quota_name, with_total
from mldr.domain.evidence import Evidence
from mldr.domain.failover import Kind
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.model_rules import Criticality, Tier
from mldr.domain.serving_state import ServingState

_URGENCY = {Criticality.REVENUE_CRITICAL: 0, Criticality.IMPORTANT: 1, Criticality.NON_CRITICAL: 2}

# What is assumed of a model that was never recovered here: SageMaker's own words for a new endpoint are "several
# minutes" (sagemaker/latest/dg/endpoint-auto-scaling-zero-instances), and its bytes are loaded before it answers.
ASSUMED = {
    Tier.COLD_STANDBY: dt.timedelta(minutes=10),
    Tier.WARM_STANDBY: dt.timedelta(minutes=5),
    Tier.ACTIVE_ACTIVE: dt.timedelta(minutes=1),
}
ASSUMED_RATE = 100 * 2**20  # bytes in a second
EARLIER = 3  # recoveries that are looked at: the longest of them is expected again
_NOT_ITS_OWN = {"detect", "gate", "decide"}  # how long it waited says nothing of how long it takes


class Candidate(Frozen):
    """One model of the failed region: how soon it must answer, how long that takes, and what it needs to run."""

    model: ModelKey
    criticality: Criticality
    deadline: dt.datetime
    duration: dt.timedelta
    measured: int  # how many earlier recoveries say so; 0: an assumption
    kind: Kind = Kind.FAILOVER
    instances: dict[str, int] = {}  # instance type -> how many must be started
    unread: str = ""  # why nothing is known of it
    obstacle: str = ""  # why it cannot be recovered at all
    beside: bool = False  # clients are answered here already; what follows makes this region carry all of them
    failover_id: str = ""  # where it was asked for under one of its own


class Planned(Frozen):
    """One line of the plan. `wave` counts from 1; `in_time` says whether its deadline is expected to hold."""

    model: ModelKey
    kind: Kind
    criticality: Criticality
    wave: int
    starts_after: dt.timedelta
    duration: dt.timedelta
    measured: int
    ready_at: dt.datetime
    deadline: dt.datetime
    in_time: bool
    reason: str
    failover_id: str = ""


class Refused(Frozen):
    """A model that the plan has no place for, and why.

    `tried` says that it is recovered after all others nevertheless: what only seems to lack instances, or is not known.
    """

    model: ModelKey
    kind: Kind
    criticality: Criticality
    tried: bool
    reason: str
    duration: dt.timedelta = ASSUMED[Tier.COLD_STANDBY]
    failover_id: str = ""


class Listed(Frozen):
    """One model of an evacuation that is asked for some models of a region, each under an id of its own."""

    model: ModelKey
    failover_id: str
    reason: str
    first_failure_at: dt.datetime | None = None


class Listing(Frozen):
    """The models that an evacuation is asked for."""

    models: tuple[Listed, ...]


class Evacuation(Frozen):
    """The plan of a whole region, in the order in which recoveries start."""

    planned: tuple[Planned, ...]
    refused: tuple[Refused, ...]

    @property
    def late(self) -> int:
        """Return how many models are expected to miss their recovery time."""
        return sum(not one.in_time for one in self.planned)

    @property
    def holds(self) -> bool:
        """Return whether every model is expected to be recovered in time."""
        return not self.late and not self.refused


def region_key(region: str) -> ModelKey:
    """Return under which name a region has its chain of evidence."""
    return ModelKey(registry="region", name=region)


def recovery_id(evacuation: str, model: ModelKey) -> str:
    """Return the id under which one model is recovered in the evacuation: the same, however often that is started."""
    digest = hashlib.sha256(f"{evacuation} {model}".encode()).hexdigest()[:12]
    return f"{evacuation[:24]}-{model.name[:20]}-{digest}"


def id_of(evacuation: str, line: Planned | Refused) -> str:
    """Return the id under which a line of the plan is recovered: the one that it was asked for by, or the plan's."""
    return line.failover_id or recovery_id(evacuation, line.model)


def patience(line: Planned | Refused) -> dt.timedelta:
    """Return for how long a recovery keeps its slot: one that hangs must not hold up what could be recovered."""
    return 2 * line.duration


def urgency(criticality: Criticality) -> int:
    """Return which models are planned first: the lower the sooner."""
    return _URGENCY[criticality]


def work_key(evacuation: str, name: str) -> str:
    """Return the vault key of a working file of an evacuation."""
    return f"in-progress/evacuations/{evacuation}/{name}"


def expected(earlier: Sequence[Evidence], tier: Tier, size: int) -> tuple[dt.timedelta, int]:
    """Return how long a recovery takes, and how many measurements say so; 0 for an assumption by tier and bytes."""
    done = [one for one in earlier if one.outcome == "completed" and one.phases]
    spans = [sum(phase.seconds for phase in one.phases if phase.name not in _NOT_ITS_OWN) for one in done[:EARLIER]]
    if spans:
        return dt.timedelta(seconds=max(spans)), len(spans)
    load = 0.0 if tier is Tier.ACTIVE_ACTIVE else size / ASSUMED_RATE
    return ASSUMED[tier] + dt.timedelta(seconds=round(load)), 0


def instances_of(state: ServingState) -> dict[str, int]:
    """Return how many instances of each type a captured state holds, its shadow variants among them."""
    config = state.document.get("Config", {})
    found: dict[str, int] = {}
    for place, shadow in (("ProductionVariants", False), ("ShadowProductionVariants", True)):
        types = {one["VariantName"]: one.get("InstanceType") for one in config.get(place, [])}
        for one in state.live:
            if one.shadow is shadow and one.instances and (kind := types.get(one.variant)):
                found[kind] = found.get(kind, 0) + one.instances
    return found


def arrange_recoveries(
    candidates: Iterable[Candidate], *, now: dt.datetime, side_by_side: int, free: Mapping[str, int]
) -> Evacuation:
    """Return the plan for at most `side_by_side` recoveries at once; `free` are instances that may start, by type.

    A type that `free` does not name is not limited. Equal input gives an equal plan.
    """
    left, able, refused = dict(free), [], []
    for one in sorted(candidates, key=_importance):
        if why := one.obstacle or one.unread or lack(one.instances, left):
            refused.append(_refused(one, why))
            continue
        for kind, count in with_total(one.instances).items():
            if kind in left:
                left[kind] -= count
        able.append(one)
    return Evacuation(
        planned=tuple(_schedule(_order(able, now, side_by_side), now, side_by_side)), refused=tuple(refused)
    )


def _refused(one: Candidate, reason: str) -> Refused:
    return Refused(
        model=one.model,
        kind=one.kind,
        criticality=one.criticality,
        tried=not one.obstacle,
        reason=reason,
        duration=one.duration,
        failover_id=one.failover_id,
    )


def _importance(one: Candidate) -> tuple[int, dt.datetime, str]:
    return _URGENCY[one.criticality], one.deadline, str(one.model)


def lack(wanted: Mapping[str, int], free: Mapping[str, int]) -> str:
    """Return which instances a region has no room for, '' for none. A type that `free` does not name is not limited."""
    for kind, count in sorted(with_total(wanted).items()):
        if kind in free and count > free[kind]:
            return (
                f"it needs {count} x {kind} and the quota of this region leaves {max(free[kind], 0)}; "
                f'raise the quota "{quota_name(kind)}", or lower another model\'s count'
            )
    return ""


def _order(able: list[Candidate], now: dt.datetime, side_by_side: int) -> list[Candidate]:
    """Return the candidates, class by class, those that can be in time first; the order holds for one slot exactly."""
    ordered: list[Candidate] = []
    late: list[Candidate] = []
    used = dt.timedelta()
    for _, members in groupby(able, key=lambda one: _URGENCY[one.criticality]):
        kept, lost, used = _moore_hodgson(list(members), now, used, side_by_side)
        ordered += kept
        late += lost
    return ordered + late


def _moore_hodgson(
    members: list[Candidate], now: dt.datetime, used: dt.timedelta, slots: int
) -> tuple[list[Candidate], list[Candidate], dt.timedelta]:
    """Return (in time, late, time used after them): `used` is the time that each slot has spent on average."""
    kept: list[tuple[dt.timedelta, int]] = []
    lost: set[int] = set()
    for number, one in enumerate(members):
        heapq.heappush(kept, (-one.duration, number))
        used += one.duration / slots
        if now + max(used, one.duration) > one.deadline:
            longest, dropped = heapq.heappop(kept)
            used += longest / slots
            lost.add(dropped)
    return (
        [one for number, one in enumerate(members) if number not in lost],
        sorted((members[number] for number in lost), key=lambda one: (one.duration, str(one.model))),
        used,
    )


def _schedule(ordered: list[Candidate], now: dt.datetime, slots: int) -> Iterable[Planned]:
    """Yield the lines: each recovery starts when a slot is free."""
    ends = [dt.timedelta()] * min(slots, max(1, len(ordered)))
    for number, one in enumerate(ordered):
        start = heapq.heappop(ends)
        heapq.heappush(ends, start + one.duration)
        ready = now + start + one.duration
        yield Planned(
            model=one.model,
            kind=one.kind,
            criticality=one.criticality,
            wave=number // slots + 1,
            starts_after=start,
            duration=one.duration,
            measured=one.measured,
            ready_at=ready,
            deadline=one.deadline,
            in_time=ready <= one.deadline,
            reason=_reason(one, ready),
            failover_id=one.failover_id,
        )


def _reason(one: Candidate, ready: dt.datetime) -> str:
    took = "measured" if one.measured else "assumed, never measured"
    margin = round((one.deadline - ready).total_seconds())
    verdict = f"{margin} s before its deadline" if margin >= 0 else f"{-margin} s too late"
    told = f"{one.criticality}, {round(one.duration.total_seconds())} s ({took}): {verdict}"
    return f"{told}; both regions answer it, so no client waits for this" if one.beside else told
