"""One round of watching: look at every model that the peer answers, decide, and act on the decision.

The peer serves a model whose home it is, and one whose home this region is after it took that over: both are watched.
Where both regions answer, the home watches the peer as well: alone it has the load of both.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mldr.domain.approvals import Approval
from mldr.domain.failover import ABANDONED, Epoch
from mldr.domain.health import (
    Action,
    Ask,
    Decision,
    Fate,
    HealthState,
    Observation,
    Rules,
    Sight,
    Standby,
    decide,
    looked,
    read_canary,
    read_switch,
)
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Leadership, Role, home_of, role
from mldr.domain.model_rules import FailoverMode, FailoverRule, Tier
from mldr.domain.policy import ModelPolicy
from mldr.domain.recovery_point import Record, newest_restorable
from mldr.domain.routing import Route
from mldr.domain.serving_state import IN_SERVICE
from mldr.errors import BadPolicy, LostRace, MldrError
from mldr.events import detail_types
from mldr.ports.catalog import Catalog
from mldr.ports.health import Decisions, Survivors
from mldr.ports.outside import Outside, Tokens
from mldr.ports.serving import ScalingLimits, Serving, ServingCaptures
from mldr.ports.stack import Bus, Clock, Pager, PolicyStore, Status, Workflows
from mldr.ports.vault import Vault
from mldr.steps.executions import newest_status
from mldr.steps.know_leader import front_of, known_route
from mldr.steps.log_decisions import log_decision
from mldr.steps.scale_survivor import Home, Scaling, scale_survivor
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.standing_name import name_of_standing, others_of

THREADS = 64  # most of them wait for a gateway that does not answer
TOKEN_BYTES = 12  # 96 bits: nobody guesses one within its minutes
AT_ONCE = dt.timedelta(0)


class Watched(Frozen):
    """What was decided for one model in this round."""

    model: str
    action: Action
    reason: str


class Subject(Frozen):
    """A model, and the gateway that is looked at: the peer's, by the canary that speaks of it."""

    model: ModelKey
    home: bool  # whether this region is the model's home, and the peer took it over
    serving: bool
    host: str
    canary: str
    epoch: int


class Watch(Frozen):
    """Where, by whom and how often is watched. Without a witness its host is empty."""

    region: str
    peer: str
    witness: str
    pause: dt.timedelta  # between two rounds


@dataclass(frozen=True)
class Ports:
    """What a round reads and acts through. The witness's token is fetched only where there is a witness."""

    catalog: Catalog
    decisions: Decisions
    vault: Vault
    policies: PolicyStore
    outside: Outside
    serving: Serving
    captures: ServingCaptures
    survivors: Survivors
    limits: ScalingLimits
    workflows: Workflows
    witness_token: Callable[[], Tokens]
    bus: Bus
    pager: Pager
    clock: Clock


def watch_models(watch: Watch, ports: Ports) -> list[Watched]:
    """Return every decision, also the ones not to act. A model without a route cannot be switched: not watched."""
    known = {str(model): model for model in ports.catalog.models()}
    known |= {str(model): model for model, _ in ports.catalog.standings()}

    # An error about one model must not cancel the looks at others, as the pool's own `map` would.
    with ThreadPoolExecutor(THREADS) as pool:
        looks = [pool.submit(_one, model, watch, ports) for model in known.values()]
    return [watched for look in looks for watched in look.result()]


def _one(model: ModelKey, watch: Watch, ports: Ports) -> list[Watched]:
    knowledge = ports.catalog.leadership(model)
    route = known_route(model, knowledge, ports.catalog)
    if route is None:
        return []
    now = role(watch.region, home_of(watch.region, knowledge, route), knowledge, now=ports.clock.now(), drain=AT_ONCE)
    subject = _subject(model, route, now, watch)
    looks = [_look(subject, watch, ports)] if subject else []
    survivor = _survive(model, knowledge, route, watch, ports) if route.active.region == watch.region else None
    return [*looks, survivor] if survivor else looks


def _subject(model: ModelKey, route: Route, now: Role, watch: Watch) -> Subject | None:
    abroad = route.active.region == watch.region
    if abroad and now.serving and now.epoch == 0:
        return None
    return Subject(
        model=model,
        home=abroad,
        serving=now.serving,
        host=front_of(route, watch.peer).host,
        canary=route.switch_name if abroad else route.verdict_name,
        epoch=now.epoch,
    )


def _survive(model: ModelKey, knowledge: Leadership, route: Route, watch: Watch, ports: Ports) -> Watched | None:
    """Return what was decided about the region beside a home, None where there is nothing to decide."""
    before = ports.survivors.of(model)
    if route.spread is None and before.growth is None:
        return None
    policy, unclear = _told(model, ports)
    rule = policy.failover if policy else FailoverRule()
    now = role(watch.region, watch.region, knowledge, now=ports.clock.now(), drain=rule.drain)
    if now.draining or (before.growth is None and not now.serving):
        return None
    own = policy.serving.endpoint or model.name if policy else ""
    home = Home(
        model=model,
        answers=knowledge.takeover.endpoint if knowledge.takeover else own,
        spread=route.spread is not None,
        idle=not now.serving,
        unclear=unclear,
    )
    peer = Subject(
        model=model,
        home=False,  # what is read is the health of an endpoint, no switch
        serving=False,
        host=front_of(route, watch.peer).host,
        canary=route.beside_name or "",
        epoch=now.epoch,
    )
    found = scale_survivor(
        home, before, lambda: _look_beside(peer, watch, ports), _rules(policy), watch.pause, _scaling(ports)
    )
    return Watched(model=str(model), action=found[0], reason=found[1])


def _scaling(ports: Ports) -> Scaling:
    return Scaling(
        survivors=ports.survivors,
        limits=ports.limits,
        serving=ports.serving,
        decisions=ports.decisions,
        pager=ports.pager,
        clock=ports.clock,
    )


def _look_beside(peer: Subject, watch: Watch, ports: Ports) -> tuple[list[Observation], dict[str, int] | None]:
    """Return what the vantage points see, and the instances that the peer announces; None while it is silent."""
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(ports.outside.announcement, peer.host, peer.model)
        seen, said = _observe(peer, watch, ports), listening.result()
    return seen, said.beside_counts if said and said.model == str(peer.model) else None


def _told(model: ModelKey, ports: Ports) -> tuple[ModelPolicy | None, str]:
    """Return the policy in force, or why it cannot be told."""
    try:
        return _policy(model, ports), ""
    except MldrError as error:
        return None, f"its policy cannot be told: {type(error).__name__}: {error}"


def _look(subject: Subject, watch: Watch, ports: Ports) -> Watched:
    state = ports.catalog.health(subject.model)
    if looked(state, watch.pause, ports.clock.now()):
        return Watched(model=str(subject.model), action=Action.NONE, reason="looked at already in this round")
    observations = [] if subject.serving else _observe(subject, watch, ports)
    troubled = any(seen.sight is not Sight.HEALTHY for seen in observations)
    policy, ready, reason = _readiness(subject, ports, troubled=troubled)
    standby = _standby(subject, state, ports).model_copy(update={"ready": ready, "reason": reason})
    decision = decide(state, observations, _rules(policy), standby, ports.clock.now())
    _act(subject.model, state, decision, watch.region, ports)
    return Watched(model=str(subject.model), action=decision.action, reason=decision.reason)


def _observe(subject: Subject, watch: Watch, ports: Ports) -> list[Observation]:
    """Look from every vantage point at once: one that waits must not delay the next round."""
    model, outside = subject.model, ports.outside

    def canary() -> Observation:
        read = read_switch if subject.home else read_canary
        return read(subject.canary, outside.text(subject.canary))

    def probe() -> Observation:
        return outside.probe(subject.host, f"/models/{model.name}/health")

    def witness() -> Observation:
        try:
            return outside.ask_witness(watch.witness, subject.host, model, ports.witness_token().present())
        except MldrError as error:
            return Observation(vantage="witness", sight=Sight.UNKNOWN, detail=f"{type(error).__name__}: {error}")

    looks = [canary, probe, *([witness] if watch.witness else [])]
    with ThreadPoolExecutor(len(looks)) as pool:
        return [seen.result() for seen in [pool.submit(look) for look in looks]]


def _readiness(subject: Subject, ports: Ports, *, troubled: bool) -> tuple[ModelPolicy | None, bool, str]:
    """Return the policy in force, whether this region could take over, and why not or what to expect.

    What cannot be told is no readiness: a lost permission pages and moves nothing. While all is well nobody asks.
    """
    try:
        policy = _policy(subject.model, ports)
        ready, reason = _ready(subject, policy, ports) if troubled else (False, "")
    except MldrError as error:
        return None, False, f"its readiness cannot be told: {type(error).__name__}: {error}"
    return policy, ready, reason


def _ready(subject: Subject, policy: ModelPolicy | None, ports: Ports) -> tuple[bool, str]:
    point = newest_restorable(ports.catalog.records(subject.model))
    if point is None:
        return False, "no sealed recovery point"
    tier = point.tier_tag or (policy.tier if policy else Tier.COLD_STANDBY)
    if subject.home or policy is None or tier == Tier.COLD_STANDBY:
        return True, ""
    endpoint = _standing(subject.model, point, policy, ports)
    status, why = ports.serving.status(endpoint)
    if status == IN_SERVICE:
        return True, ""
    # Slower than promised is better than not at all: it is restored as a cold standby is.
    return True, f"its {tier} endpoint {endpoint} is {status} ({why}): a failover takes as long as a cold one"


def _standing(model: ModelKey, point: Record, policy: ModelPolicy, ports: Ports) -> str:
    """Return the name of what should stand for the newest version; an InferenceService keeps its own."""
    if policy.serving.kserve:
        return policy.serving.endpoint
    state = ports.captures.newest(model)
    others = others_of(model, point.recovery_point, state, ports.catalog, ports.vault)
    return name_of_standing(read_manifest(ports.vault, point), state, others)


def _policy(model: ModelKey, ports: Ports) -> ModelPolicy | None:
    """Return the policy in force, or the newest sealed one while that has mistakes."""
    try:
        policy, _ = ports.policies.load()
    except BadPolicy:
        point = newest_restorable(ports.catalog.records(model))
        return read_manifest(ports.vault, point).policy if point else None
    return policy.for_model(model.registry, model.name, {})


def _rules(policy: ModelPolicy | None) -> Rules:
    if policy is None:
        return Rules(mode=FailoverMode.MANUAL, consecutive=3)
    health, failover = policy.health, policy.failover
    return Rules(
        mode=failover.mode,
        consecutive=health.consecutive_failures,
        quorum=health.quorum,
        cool_down=health.cool_down,
        flaps=health.flaps,
        flap_window=health.flap_window,
        approve_within=failover.approve_within,
    )


def _standby(subject: Subject, state: HealthState, ports: Ports) -> Standby:
    claimed = ports.catalog.epoch(subject.model)
    return Standby(
        model=subject.model,
        ready=False,
        serving=subject.serving,
        claimed=claimed,
        epoch=subject.epoch,
        under_way=_under_way(claimed, ports),
        fate=_fate(state, claimed, ports),
        approved=_approved(subject.model, state.ask, ports),
    )


def _under_way(claimed: Epoch | None, ports: Ports) -> str:
    """Return the failover that holds the epoch; one whose execution died holds nothing up."""
    if claimed is None or claimed.concluded or ports.clock.now() - claimed.claimed_at >= ABANDONED:
        return ""
    lost = newest_status(ports.workflows, claimed.failover_id) is Status.LOST
    return "" if lost else claimed.failover_id


def _fate(state: HealthState, claimed: Epoch | None, ports: Ports) -> Fate:
    if state.request is None:
        return Fate.UNSEEN
    match newest_status(ports.workflows, state.request.id):
        case None | Status.LOST:
            return Fate.UNSEEN
        case Status.RUNNING:
            return Fate.RUNNING
        case Status.FAILED if claimed is None or claimed.failover_id != state.request.id:
            return Fate.REFUSED
    return Fate.OVER


def _approved(model: ModelKey, ask: Ask | None, ports: Ports) -> bool:
    approval = ports.decisions.approval(model) if ask else None
    return bool(ask and approval and approval.used_at and approval.failover_id == ask.id)


def _act(model: ModelKey, before: HealthState, decision: Decision, region: str, ports: Ports) -> None:
    """Act before remembering: a crash between the two repeats the act, and the request carries the same id."""
    state = decision.state
    if decision.action is Action.FAIL_OVER:
        ports.bus.put(detail_types.FAILOVER_REQUESTED, _request(model, decision))
    if decision.action is Action.PAGE:
        ports.pager.page(
            f"mldr: {model} {state.verdict}",
            f"{decision.reason}\n\nTo fail over by hand: mldr failover {model.name} --reason 'why'",
        )
    if decision.action is Action.ASK and state.ask:
        _ask(model, state.ask, decision, region, ports)
    if before.ask and not state.ask and not state.request:
        _withdraw(model, before.ask, decision, ports)
    log_decision(model, before, state, ports.decisions)
    ports.catalog.put_health(model, state)


def _request(model: ModelKey, decision: Decision) -> dict[str, object]:
    first, request = decision.state.first_unhealthy_at, decision.state.request
    return {
        "model": str(model),
        "reason": decision.reason,
        "requested_by": "decide_failover",
        "failover_id": request.id if request else None,
        "first_failure_at": first.isoformat() if first else None,
    }


def _ask(model: ModelKey, ask: Ask, decision: Decision, region: str, ports: Ports) -> None:
    """Remember the digest, then send the token: one that was lost on its way is worth nothing, the next one counts."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    approval = Approval.ask(
        token,
        failover_id=ask.id,
        reason=decision.reason,
        now=ports.clock.now(),
        until=ask.until,
        first=decision.state.first_unhealthy_at,
    )
    ports.decisions.ask(model, approval)
    ports.pager.page(
        f"mldr: {model} waits for your approval",
        f"{decision.reason}\n\nTo approve, until {ask.until:%Y-%m-%d %H:%M:%S} UTC and once: "
        f"mldr approve {model.name} {token} --region {region}",
    )


def _withdraw(model: ModelKey, ask: Ask, decision: Decision, ports: Ports) -> None:
    approval = ports.decisions.approval(model)
    if approval and approval.open and approval.failover_id == ask.id:
        try:
            ports.decisions.settle(model, approval.withdraw(f"the outage ended ({decision.reason})"))
        except LostRace:
            return
