"""The plan of a whole region, drawn from what the region that takes over knows: the same for a person and for mldr."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

from mldr.domain.capacity import Capacity
from mldr.domain.draining import too_short
from mldr.domain.evacuation import Candidate, Evacuation, Refused, arrange_recoveries, expected, instances_of
from mldr.domain.evidence import Evidence
from mldr.domain.failover import Kind
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Leadership, home_of, role
from mldr.domain.model_rules import Tier
from mldr.domain.owed import owed
from mldr.domain.policy import ModelPolicy, Policy
from mldr.domain.recovery_point import Manifest, Record
from mldr.domain.routing import Route
from mldr.domain.serving import plan_serving
from mldr.domain.serving_state import ServingState
from mldr.domain.tiers import standing_name
from mldr.errors import NotRestorable

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
    others: dict[str, Manifest] = {}  # of the points besides `sealed` that the state names
    route: Route | None = None
    beside: bool = False  # what stands here answers clients already


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
    policy: Policy | None,
    capacity: Capacity | None,
    began_at: dt.datetime,
    now: dt.datetime,
    side_by_side: int,
) -> Draft:
    """Return the plan. Recovery times count from `began_at`; `policy` is the one in force, if it is valid."""
    plan = arrange_recoveries(
        [_candidate(one, direction, policy, began_at, capacity.standing if capacity else {}) for one in facts],
        now=now,
        side_by_side=side_by_side,
        free=capacity.free if capacity else {},
    )
    return Draft(made_at=now, side_by_side=side_by_side, capacity=capacity, plan=plan)


def _candidate(
    facts: ModelFacts,
    direction: Direction,
    policy: Policy | None,
    began_at: dt.datetime,
    standing: Mapping[str, Mapping[str, int]],
) -> Candidate:
    rules = _rules(facts, policy)
    duration, measured = expected(facts.earlier, rules.tier, facts.point.bytes if facts.point else 0)
    at_home = facts.home == direction.here
    return Candidate(
        model=facts.model,
        criticality=rules.criticality,
        deadline=began_at + rules.rto,
        duration=duration,
        measured=measured,
        kind=_kind(direction.kind, at_home=at_home),
        # At home the model's own endpoint serves, which still runs and is counted.
        instances={} if at_home else _missing(_instances(facts, rules), _standing(facts, rules, standing)),
        obstacle=_obstacle(facts, rules, direction.kind),
        beside=facts.beside and not at_home,
    )


def _kind(asked: Kind, *, at_home: bool) -> Kind:
    """A planned move of a region takes home what is at home here."""
    if asked is Kind.FAILOVER:
        return asked
    return Kind.FAILBACK if at_home else Kind.MOVE


def _obstacle(facts: ModelFacts, rules: ModelPolicy, kind: Kind) -> str:
    if facts.point is None:
        return f"no sealed recovery point; look at `mldr status {facts.model.name}`"
    if not facts.home:
        return f"never onboarded, so no traffic can be switched; `mldr protect {facts.model.name}` finishes that"
    return too_short(rules.failover.drain, facts.route) if kind.planned and facts.route else ""


def _rules(facts: ModelFacts, policy: Policy | None) -> ModelPolicy:
    """While the policy in force has mistakes the sealed one holds."""
    if policy:
        return owed(policy, facts.model, facts.point)
    return facts.sealed.policy if facts.sealed else ModelPolicy(matched=None)


def _instances(facts: ModelFacts, rules: ModelPolicy) -> dict[str, int]:
    """Return what the model's endpoint needs: as captured, or as the policy says. KServe has quotas of its own."""
    if rules.serving.kserve:
        return {}
    if facts.state:
        return instances_of(facts.state)
    return {rules.serving.instance_type: rules.serving.instance_count}


def _standing(facts: ModelFacts, rules: ModelPolicy, standing: Mapping[str, Mapping[str, int]]) -> Mapping[str, int]:
    """Return what stands already of what a failover would use. What answers clients has its own load to carry."""
    if facts.sealed is None or facts.beside or rules.tier is Tier.COLD_STANDBY or not standing:
        return {}
    try:
        plan = plan_serving(facts.sealed, epoch=0, default_role="", state=facts.state, others=facts.others, name="name")
    except NotRestorable:
        return {}  # its own failover says why
    return standing.get(standing_name(plan, facts.model, facts.sealed.recovery_point), {})


def _missing(wanted: Mapping[str, int], standing: Mapping[str, int]) -> dict[str, int]:
    """Return how many instances of each type must still be started."""
    left = {kind: count - standing.get(kind, 0) for kind, count in wanted.items()}
    return {kind: count for kind, count in left.items() if count > 0}
