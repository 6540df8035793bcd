"""The plan of a whole region, drawn from what the region that takes over knows: the same for a person and for mldr."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from mldr.domain.capacity import Capacity
from mldr.domain.evacuation import Candidate, Evacuation, Refused, arrange_recoveries, expected, instances_of
from mldr.domain.evidence import Evidence
from mldr.domain.failover import Kind
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Leadership, home_of, role
from mldr.domain.policy import ModelPolicy, Policy
from mldr.domain.recovery_point import Manifest, Record
from mldr.domain.routing import Route
from mldr.domain.serving_state import ServingState

SIDE_BY_SIDE = 10  # recoveries at once, where the stack was never asked


class Direction(Frozen):
    """From where to where: `here` takes over what `there` serves; of a failback only what is at home here."""

    here: str
    there: str
    kind: Kind


class ModelFacts(Frozen):
    """What a region knows of a model that it is to take over. `home` is empty where nobody told it."""

    model: ModelKey
    home: str
    point: Record | None  # the newest that can be restored
    sealed: Manifest | None
    earlier: tuple[Evidence, ...]  # the newest first
    state: ServingState | None


class Draft(Frozen):
    """A plan, and what it was made from."""

    made_at: dt.datetime
    side_by_side: int
    capacity: Capacity | None
    plan: Evacuation

    @property
    def rest(self) -> tuple[Refused, ...]:
        """What the quotas seem to leave no room for: they may have been raised since they were read."""
        return tuple(one for one in self.plan.refused if one.tried)


def leaving(direction: Direction, knowledge: Leadership, route: Route | None, now: dt.datetime) -> str | None:
    """Return the home of a model that the other region serves, '' where nobody told it; None when it stays."""
    home = home_of(direction.here, knowledge, route)
    held = role(direction.here, home or direction.there, knowledge, now=now, drain=dt.timedelta(0))
    if held.serving or held.holder != direction.there:
        return None
    return None if direction.kind is Kind.FAILBACK and home != direction.here else home


def retired(records: Sequence[Record]) -> bool:
    """Return whether the approval of every version was taken back: such a model is in production nowhere."""
    return bool(records) and all(one.withdrawn for one in records)


def draw(
    facts: Iterable[ModelFacts],
    direction: Direction,
    *,
    policy: tuple[Policy | None, str],
    capacity: Capacity | None,
    began_at: dt.datetime,
    now: dt.datetime,
    side_by_side: int,
) -> Draft:
    """Return the plan. Recovery times count from `began_at`; `policy` is the one in force, and its version."""
    plan = arrange_recoveries(
        [_candidate(one, direction, policy, began_at) for one in facts],
        now=now,
        side_by_side=side_by_side,
        free=capacity.free if capacity else {},
    )
    return Draft(made_at=now, side_by_side=side_by_side, capacity=capacity, plan=plan)


def _candidate(
    facts: ModelFacts, direction: Direction, policy: tuple[Policy | None, str], began_at: dt.datetime
) -> Candidate:
    owed = _owed(facts, *policy)
    duration, measured = expected(facts.earlier, owed.tier, facts.point.bytes if facts.point else 0)
    at_home = facts.home == direction.here
    return Candidate(
        model=facts.model,
        criticality=owed.criticality,
        deadline=began_at + owed.rto,
        duration=duration,
        measured=measured,
        kind=_kind(direction.kind, at_home=at_home),
        # At home the model's own endpoint serves, which still runs and is counted.
        instances={} if at_home else _instances(facts, owed),
        obstacle=_obstacle(facts),
    )


def _kind(asked: Kind, *, at_home: bool) -> Kind:
    """A planned move of a region takes home what is at home here."""
    if asked is Kind.FAILOVER:
        return asked
    return Kind.FAILBACK if at_home else Kind.MOVE


def _obstacle(facts: ModelFacts) -> str:
    if facts.point is None:
        return f"no sealed recovery point; look at `mldr status {facts.model.name}`"
    if not facts.home:
        return f"never onboarded, so no traffic can be switched; `mldr protect {facts.model.name}` finishes that"
    return ""


def _owed(facts: ModelFacts, policy: Policy | None, version: str) -> ModelPolicy:
    """The sealed policy knows the tags of the model's group, which lie in the region that is left."""
    if facts.sealed and (policy is None or facts.sealed.policy_version == version):
        return facts.sealed.policy
    if policy is None:
        return ModelPolicy(matched=None)
    return policy.for_model(facts.model.registry, facts.model.name, {})


def _instances(facts: ModelFacts, owed: ModelPolicy) -> dict[str, int]:
    """Return what the model's endpoint starts: as captured, or as the policy says. KServe has quotas of its own."""
    if owed.serving.kserve:
        return {}
    if facts.state:
        return instances_of(facts.state)
    return {owed.serving.instance_type: owed.serving.instance_count}
