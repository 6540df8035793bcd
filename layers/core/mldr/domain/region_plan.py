"""The plan of a whole region, drawn from what the region that takes over knows: the same for a person and for mldr."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mldr.domain.capacity import Capacity, with_total
from mldr.domain.draining import too_short
from mldr.domain.evacuation import Candidate, Evacuation, Listed, Refused, arrange_recoveries, expected, instances_of
from mldr.domain.evidence import Evidence
from mldr.domain.failover import Kind
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Leadership, home_of, role
from mldr.domain.model_rules import ServingRule, Tier
from mldr.domain.owed import owed
from mldr.domain.policy import ModelPolicy, Policy
from mldr.domain.recovery_point import Manifest, Record
from mldr.domain.routing import Route
from mldr.domain.serving import plan_serving
from mldr.domain.serving_state import ServingState
from mldr.domain.tiers import may_be_ours, standing_name
from mldr.errors import NotRestorable

SIDE_BY_SIDE = 10  # recoveries at once, where the stack was never asked


class Direction(Frozen):
    """From where to where: `here` takes over what `there` serves; of a failback only what is at home here."""

    here: str
    there: str
    kind: Kind


class ModelFacts(Frozen):
    """What a region knows of a model that it is to take over, or just took. `home` is empty where nobody told it.

    `unread` says why nothing could be known: the model is tried after all others.
    """

    model: ModelKey
    unread: str = ""
    home: str = ""
    point: Record | None = None  # the newest that can be restored
    sealed: Manifest | None = None
    earlier: tuple[Evidence, ...] = ()  # the newest first
    state: ServingState | None = None
    others: dict[str, Manifest] = {}  # of the points besides `sealed` that the state names
    route: Route | None = None
    beside: bool = False  # what stands here answers clients already
    begun: str = ""  # the endpoint of a failover that is under way here, or took over since the quotas were read
    moved: bool = False  # it took over: nothing is left to plan


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


def taken_since(knowledge: Leadership, read_at: dt.datetime | None) -> str:
    """Return the endpoint of a takeover that is younger than the quotas as they were read, '' for none."""
    takeover = knowledge.takeover
    return takeover.endpoint if takeover and read_at and takeover.flipped_at > read_at else ""


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
    asked: Mapping[str, Listed] | None = None,
) -> Draft:
    """Return the plan of all models, or of those `asked` for. `policy` is the one in force, if it is valid.

    Recovery times count from a model's own first failure, where that is told, else from `began_at`.
    """
    known = list(facts)
    standing = capacity.standing if capacity else {}
    wanted = [(one, asked.get(str(one.model)) if asked else None) for one in known if not one.moved]
    plan = arrange_recoveries(
        [_candidate(one, direction, policy, own, began_at, standing) for one, own in wanted if own or asked is None],
        now=now,
        side_by_side=side_by_side,
        free=left_by(known, direction, policy, capacity) if capacity else {},
    )
    return Draft(made_at=now, side_by_side=side_by_side, capacity=capacity, plan=plan)


def left_by(
    facts: Iterable[ModelFacts], direction: Direction, policy: Policy | None, capacity: Capacity
) -> dict[str, int]:
    """Return what the quotas leave besides what was begun: what of that the reading held already is counted once."""
    begun = [_missing(one, direction, _rules(one, policy), capacity.standing) for one in facts if one.begun]
    taken = Counter[str]()
    for instances in begun:
        taken.update(with_total(instances))
    return {kind: max(0, count - taken[kind]) for kind, count in capacity.free.items()}


def _missing(
    facts: ModelFacts, direction: Direction, rules: ModelPolicy, standing: Mapping[str, Mapping[str, int]]
) -> dict[str, int]:
    """Return the instances that were still to be started when the quotas were read.

    At home the model's own endpoint serves, which still runs and is counted, unless one was restored to take over. What
    answers beside the home is in the reading with its own share, and gets as many more.
    """
    if facts.home == direction.here and not (facts.moved and may_be_ours(facts.begun)):
        return {}
    held = {} if facts.beside else standing.get(facts.begun) or _standing(facts, rules, standing)
    return missing(_instances(facts, rules), held)


def _candidate(
    facts: ModelFacts,
    direction: Direction,
    policy: Policy | None,
    own: Listed | None,
    began_at: dt.datetime,
    standing: Mapping[str, Mapping[str, int]],
) -> Candidate:
    rules = _rules(facts, policy)
    duration, measured = expected(facts.earlier, rules.tier, facts.point.bytes if facts.point else 0)
    at_home = facts.home == direction.here
    return Candidate(
        model=facts.model,
        criticality=rules.criticality,
        deadline=((own.first_failure_at if own else None) or began_at) + rules.rto,
        duration=duration,
        measured=measured,
        kind=_kind(direction.kind, at_home=at_home),
        instances={} if facts.begun else _missing(facts, direction, rules, standing),
        unread=facts.unread,
        obstacle="" if facts.unread else _obstacle(facts, rules, direction.kind),
        beside=facts.beside and not at_home,
        failover_id=own.failover_id if own else "",
    )


def _kind(asked: Kind, *, at_home: bool) -> Kind:
    """A planned move of a region takes home what is at home here."""
    if asked is Kind.FAILOVER:
        return asked
    return Kind.FAILBACK if at_home else Kind.MOVE


def _obstacle(facts: ModelFacts, rules: ModelPolicy, kind: Kind) -> str:
    if facts.point is None and not kind.planned:  # the gate of a planned move asks for it, and waits
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
    """Return what the model's endpoint needs: as captured, or as its sealed policy says. KServe has its own quotas."""
    return needed(facts.sealed.policy.serving if facts.sealed else rules.serving, facts.state)


def needed(serving: ServingRule, state: ServingState | None) -> dict[str, int]:
    """Return the instances of an endpoint by type: as captured, or as the policy says; none of KServe."""
    if serving.kserve:
        return {}
    return instances_of(state) if state else {serving.instance_type: serving.instance_count}


def _standing(facts: ModelFacts, rules: ModelPolicy, standing: Mapping[str, Mapping[str, int]]) -> Mapping[str, int]:
    """Return what stands already of what a failover would use. What answers clients has its own load to carry."""
    if facts.sealed is None or facts.beside or rules.tier is Tier.COLD_STANDBY or not standing:
        return {}
    try:
        plan = plan_serving(facts.sealed, epoch=0, state=facts.state, others=facts.others, name="name")
    except NotRestorable:
        return {}  # its own failover says why
    return standing.get(standing_name(plan, facts.model, facts.sealed.recovery_point), {})


def missing(wanted: Mapping[str, int], standing: Mapping[str, int]) -> dict[str, int]:
    """Return how many instances of each type must still be started."""
    left = {kind: count - standing.get(kind, 0) for kind, count in wanted.items()}
    return {kind: count for kind, count in left.items() if count > 0}
