"""Watch the other region of a model that both answer, and have this one carry the load of both while it is alone.

The home hears from its standby how many instances answer there; the standby knows the home's from what it captured.
"""

from __future__ import annotations

from collections.abc import Callable

from mldr.domain.health import Observation, Sight
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Beside, Leadership, role
from mldr.domain.model_rules import FailoverRule
from mldr.domain.policy import ModelPolicy
from mldr.domain.routing import Route
from mldr.domain.serving import ServingPlan, plan_serving
from mldr.errors import MissingArtifact, MldrError
from mldr.steps.answer_beside import settling
from mldr.steps.know_leader import front_of
from mldr.steps.observe_peer import Subject, observe_and_hear
from mldr.steps.scale_survivor import Looked, Side, scale_survivor
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.standing_name import others_of
from mldr.steps.watching import Ports, Watch, Watched, policy_of, rules_of

Look = Callable[[], list[Observation]]


class Known(Frozen):
    """A model, and what this region's catalog knows of who answers it."""

    model: ModelKey
    leadership: Leadership
    route: Route


def watch_beside(known: Known, look_at_home: Look, watch: Watch, ports: Ports) -> Watched | None:
    """Return what was decided about the other region, None where there is nothing to decide.

    `look_at_home` returns what a standby's vantage points see in this round; a home looks for itself.
    """
    home, beside = known.route.active.region == watch.region, known.leadership.beside
    before = ports.survivors.of(known.model)
    if before.growth is None and (known.route.spread if home else beside) is None:
        return None
    policy, unclear = _told(known.model, ports)
    find = _home if home else _standby
    side = find(known, policy, watch, ports)
    if side is None or (before.growth is None and (side.idle or not side.spread)):
        return None
    clear = side.model_copy(update={"unclear": unclear})

    def look() -> Looked:
        return _captured(known, look_at_home(), ports) if clear.tended else _heard(known, watch, ports)

    action, reason = scale_survivor(clear, before, look, rules_of(policy), watch.pause, ports)
    return Watched(model=str(known.model), action=action, reason=reason)


def _told(model: ModelKey, ports: Ports) -> tuple[ModelPolicy | None, str]:
    """Return the policy in force, or why it cannot be told."""
    try:
        return policy_of(model, ports), ""
    except MldrError as error:
        return None, f"its policy cannot be told: {type(error).__name__}: {error}"


def _home(known: Known, policy: ModelPolicy | None, watch: Watch, ports: Ports) -> Side | None:
    """Return how the home answers, None while it drains: clients still come."""
    takeover, rule = known.leadership.takeover, policy.failover if policy else FailoverRule()
    now = role(watch.region, watch.region, known.leadership, now=ports.clock.now(), drain=rule.drain)
    if now.draining:
        return None
    own = policy.serving.endpoint or known.model.name if policy else ""
    return Side(
        model=known.model,
        answers=takeover.endpoint if takeover else own,
        spread=known.route.spread is not None,
        idle=not now.serving,
    )


def _standby(known: Known, policy: ModelPolicy | None, watch: Watch, ports: Ports) -> Side | None:
    """Return how the standby answers beside the home, None while it serves alone, and until clients have gone back.

    A failover asks for the same sum; what it asked for stays until then.
    """
    rule, at = policy.failover if policy else FailoverRule(), ports.clock.now()
    beside = known.leadership.beside
    now = role(watch.region, known.route.active.region, known.leadership, now=at, drain=rule.drain)
    if now.serving or now.draining or settling(known.leadership, now, rule.drain, known.route, at):
        return None
    return Side(
        model=known.model,
        answers=beside.endpoint if beside else "",
        spread=beside is not None and beside.leaving is None,
        tended=True,
    )


def _heard(known: Known, watch: Watch, ports: Ports) -> Looked:
    """What a home looks at is the health of the endpoint beside it."""
    canary = known.route.beside_name or ""
    subject = Subject(model=known.model, host=front_of(known.route, watch.peer).host, canary=canary)
    seen, counts = observe_and_hear(subject, watch, ports)
    return Looked(seen=tuple(seen), peer=counts)


def _captured(known: Known, seen: list[Observation], ports: Ports) -> Looked:
    """Return what is seen of the home; what it was captured with, and what stands here while it is well, as warming
    adds them up. Only trouble asks for that.
    """
    beside = known.leadership.beside
    if beside is None or all(one.sight is Sight.HEALTHY for one in seen):
        return Looked(seen=tuple(seen))
    try:
        plan = _plan(known.model, beside, ports)
    except MldrError:
        return Looked(seen=tuple(seen))
    share = {name: beside.counts.get(plan.sources.get(name, name), 0) for name in plan.capacity}
    return Looked(seen=tuple(seen), peer=plan.capacity, share=share)


def _plan(model: ModelKey, beside: Beside, ports: Ports) -> ServingPlan:
    record = ports.catalog.record(model, beside.recovery_point)
    if record is None:
        raise MissingArtifact(f"the catalog does not know {beside.recovery_point} of {model}, which answers")
    state = ports.captures.newest(model)
    others = others_of(model, beside.recovery_point, state, ports.catalog, ports.vault)
    return plan_serving(read_manifest(ports.vault, record), epoch=0, state=state, others=others, name=beside.endpoint)
