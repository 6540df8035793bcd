"""One round of watching: look at every model's active region, decide, and act on the decision."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from mldr import events
from mldr.domain.failover import automatic_id
from mldr.domain.health import Action, Decision, Observation, Rules, Standby, decide, read_canary
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.policy import ModelPolicy
from mldr.domain.recovery_point import newest_restorable
from mldr.domain.routing import Route
from mldr.errors import BadPolicy
from mldr.ports import Bus, Catalog, Clock, Outside, Pager, PolicyStore, Vault
from mldr.steps.seal_recovery_point import read_manifest

THREADS = 32


class Watched(Frozen):
    """What was decided for one model in this round."""

    model: str
    action: Action
    reason: str


def watch_models(
    *, catalog: Catalog, vault: Vault, policies: PolicyStore, outside: Outside, bus: Bus, pager: Pager, clock: Clock
) -> list[Watched]:
    """Return every decision, also the ones not to act. A model without a route cannot be switched: not watched."""
    routes = [(model, route) for model in catalog.models() if (route := catalog.route(model))]

    def one(pair: tuple[ModelKey, Route]) -> Watched:
        model, route = pair
        decision = _decide(model, route, catalog, vault, policies, outside, clock)
        _act(model, decision, catalog, bus, pager)
        return Watched(model=str(model), action=decision.action, reason=decision.reason)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, routes))


def _decide(
    model: ModelKey, route: Route, catalog: Catalog, vault: Vault, policies: PolicyStore, outside: Outside, clock: Clock
) -> Decision:
    state = catalog.health(model)
    serving = catalog.takeover(model) is not None
    observations = [] if serving else _observe(model, route, outside)
    policy = _policy(model, catalog, vault, policies)
    ready = policy is not None
    rules = Rules(
        automatic=policy is not None and policy.failover.mode == "automatic",
        consecutive=policy.health.consecutive_failures if policy else 3,
    )
    standby = Standby(ready=ready, serving=serving, reason="" if ready else "no sealed recovery point")
    return decide(state, observations, rules, standby, clock.now())


def _observe(model: ModelKey, route: Route, outside: Outside) -> list[Observation]:
    canary = read_canary(route.verdict_name, outside.text(route.verdict_name))
    return [canary, outside.probe(route.active.host, f"/models/{model.name}/health")]


def _policy(model: ModelKey, catalog: Catalog, vault: Vault, policies: PolicyStore) -> ModelPolicy | None:
    """Return the policy in force, or the sealed one while that has mistakes; None without a point to recover from."""
    point = newest_restorable(catalog.records(model))
    if point is None:
        return None
    try:
        policy, _ = policies.load()
    except BadPolicy:
        return read_manifest(vault, point).policy
    return policy.for_model(model.registry, model.name, {})


def _act(model: ModelKey, decision: Decision, catalog: Catalog, bus: Bus, pager: Pager) -> None:
    """Act before remembering: a crash between the two repeats the act, and the request carries the same id."""
    if decision.action is Action.FAIL_OVER:
        bus.put(events.FAILOVER_REQUESTED, _request(model, decision, catalog))
    if decision.action is Action.PAGE:
        pager.page(
            f"mldr: {model} {decision.state.verdict}",
            f"{decision.reason}\n\nTo fail over by hand: mldr failover {model.name} --reason 'why'",
        )
    catalog.put_health(model, decision.state)


def _request(model: ModelKey, decision: Decision, catalog: Catalog) -> dict[str, object]:
    epoch = catalog.epoch(model)
    first = decision.state.first_unhealthy_at
    return {
        "model": str(model),
        "reason": decision.reason,
        "requested_by": "decide_failover",
        "failover_id": automatic_id(model, epoch, first) if first else None,
        "first_failure_at": first.isoformat() if first else None,
    }
