"""Watch what the peer serves: look at a model, decide whether it fails over, and act on the decision."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from mldr.domain.approvals import Approval
from mldr.domain.failover import ABANDONED, Epoch
from mldr.domain.health import (
    Action,
    Ask,
    Decision,
    Fate,
    HealthState,
    Observation,
    Sight,
    Standby,
    decide,
    looked,
)
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.joint_failovers import Turn, Wish, turn_of
from mldr.domain.model_rules import Criticality, Tier
from mldr.domain.policy import ModelPolicy
from mldr.domain.readiness import Known, Readiness, Stands, readiness
from mldr.domain.recovery_point import Record, newest_restorable
from mldr.domain.region_plan import missing, needed
from mldr.domain.serving_state import ServingState
from mldr.errors import LostRace, MldrError
from mldr.ports.stack import Status
from mldr.steps.executions import newest_status
from mldr.steps.log_decisions import log_decision
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.standing_name import name_of_standing, others_of
from mldr.steps.watching import Ports, Watch, Watched, policy_of, rules_of

TOKEN_BYTES = 12  # 96 bits, in hexadecimal: nobody guesses one within its minutes, and none looks like an option


class Stance(Frozen):
    """A model that the peer serves or is to serve, and what this region is to it."""

    model: ModelKey
    home: bool  # whether this region is the model's home, and the peer took it over
    serving: bool
    epoch: int
    known: int  # the highest epoch that was flipped anywhere, as this look began


def watch_peer(stance: Stance, look: Callable[[], list[Observation]], watch: Watch, ports: Ports) -> Watched:
    """Return what was decided and done; `look` returns what the vantage points see, and is not asked while we serve."""
    state = ports.catalog.health(stance.model)
    if looked(state, watch.pause, ports.clock.now()):
        return Watched(model=str(stance.model), action=Action.NONE, reason="looked at already in this round")
    observations = [] if stance.serving else look()
    troubled = any(seen.sight is not Sight.HEALTHY for seen in observations)
    policy, ready, reason = _readiness(stance, ports, troubled=troubled)
    standby = _standby(stance, state, ports).model_copy(update={"ready": ready, "reason": reason})
    decision = decide(state, observations, rules_of(policy), standby, ports.clock.now())
    if decision.action is Action.FAIL_OVER and ports.catalog.leadership(stance.model).epoch != stance.known:
        return Watched(model=str(stance.model), action=Action.NONE, reason="it was moved during this look")
    wish = _wish(stance.model, state, decision, policy, standby)
    if wish is None or wish.turn is Turn.COUNTING:
        _act(stance.model, state, decision, watch.region, ports)
    return Watched(model=str(stance.model), action=decision.action, reason=decision.reason, wish=wish)


def _wish(
    model: ModelKey, before: HealthState, decision: Decision, policy: ModelPolicy | None, standby: Standby
) -> Wish | None:
    """Return what the other models' failovers must know of this one, None where it competes with none."""
    rules = rules_of(policy)
    turn = turn_of(decision, standby, rules.mode)
    if turn is None:
        return None
    return Wish(
        model=model,
        turn=turn,
        mode=rules.mode,
        criticality=policy.criticality if policy else Criticality.NON_CRITICAL,
        waited=decision.state.unhealthy_rounds - rules.consecutive,
        before=before,
        decision=decision,
    )


def _readiness(stance: Stance, ports: Ports, *, troubled: bool) -> tuple[ModelPolicy | None, bool, str]:
    """Return the policy in force, whether this region could take over, and why not or what to expect.

    What cannot be told is no readiness: a lost permission pages and moves nothing. While all is well nobody asks.
    """
    try:
        point = newest_restorable(ports.catalog.records(stance.model)) if troubled else None
        policy = policy_of(stance.model, ports, point)
        known = _known(stance, policy, point, ports) if troubled else None
        found = readiness(known, ports.clock.now()) if known else Readiness(ready=False)
    except MldrError as error:
        return None, False, f"its readiness cannot be told: {type(error).__name__}: {error}"
    return policy, found.ready, found.reason


def _known(stance: Stance, policy: ModelPolicy | None, point: Record | None, ports: Ports) -> Known:
    if point is None or stance.home or policy is None:
        return Known(point=point, own=True)
    state, capacity = ports.captures.newest(stance.model), ports.catalog.capacity()
    stands = _stands(stance.model, point, policy, state, ports)
    there = capacity.standing.get(stands.endpoint, {}) if capacity and stands else {}
    return Known(
        point=point,
        stands=stands,
        captured_at=state.captured_at if state else None,
        refusal=ports.captures.refusal(stance.model),
        instances=missing(needed(policy.serving, state), there),
        capacity=capacity,
    )


def _stands(
    model: ModelKey, point: Record, policy: ModelPolicy, state: ServingState | None, ports: Ports
) -> Stands | None:
    """Return what should stand for the newest version, None of a cold standby; an InferenceService keeps its own."""
    tier = point.tier_tag or policy.tier
    if tier == Tier.COLD_STANDBY:
        return None
    endpoint = policy.serving.endpoint
    if not policy.serving.kserve:
        others = others_of(model, point.recovery_point, state, ports.catalog, ports.vault)
        endpoint = name_of_standing(read_manifest(ports.vault, point), state, others)
    status, why = ports.serving.status(endpoint)
    return Stands(tier=tier, endpoint=endpoint, status=status, reason=why)


def _standby(stance: Stance, state: HealthState, ports: Ports) -> Standby:
    claimed = ports.catalog.epoch(stance.model)
    return Standby(
        model=stance.model,
        ready=False,
        serving=stance.serving,
        claimed=claimed,
        epoch=stance.epoch,
        under_way=_under_way(claimed, ports),
        fate=_fate(state, claimed, ports),
        approved=_approved(stance.model, state.ask, ports),
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
            return _in_line(state.request.within, ports)
        case Status.RUNNING:
            return Fate.RUNNING
        case Status.FAILED if claimed is None or claimed.failover_id != state.request.id:
            return Fate.REFUSED
    return Fate.OVER


def _in_line(evacuation: str, ports: Ports) -> Fate:
    """Return the fate of what has no execution; what its evacuation could not even start counts as refused."""
    match newest_status(ports.evacuations, evacuation) if evacuation else None:
        case Status.RUNNING:
            return Fate.QUEUED
        case Status.SUCCEEDED | Status.FAILED:
            return Fate.REFUSED
    return Fate.UNSEEN


def _approved(model: ModelKey, ask: Ask | None, ports: Ports) -> bool:
    approval = ports.decisions.approval(model) if ask else None
    return bool(ask and approval and approval.used_at and approval.failover_id == ask.id)


def _act(model: ModelKey, before: HealthState, decision: Decision, region: str, ports: Ports) -> None:
    """Act before remembering: a crash between the two repeats the act. A failover is asked for with the others'."""
    state = decision.state
    if decision.action is Action.PAGE:
        ports.pager.page(
            f"mldr: {model} {state.verdict}",
            f"{decision.reason}\n\nTo fail over by hand: mldr failover {model.name} --reason 'why' --region {region}",
        )
    if decision.action is Action.ASK and state.ask:
        _ask(model, state.ask, decision, region, ports)
    if before.ask and not state.ask and not state.request:
        _withdraw(model, before.ask, decision, ports)
    log_decision(model, before, state, ports.decisions)
    ports.catalog.put_health(model, state)


def _ask(model: ModelKey, ask: Ask, decision: Decision, region: str, ports: Ports) -> None:
    """Remember the digest, then send the token: one that was lost on its way is worth nothing, the next one counts."""
    token = secrets.token_hex(TOKEN_BYTES)
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
