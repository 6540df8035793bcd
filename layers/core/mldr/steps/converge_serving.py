"""Let stand in this region what each model's tier wants, and let go of what none wants any more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from mldr.domain.failover import Epoch
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Leadership, Role, role
from mldr.domain.model_rules import Tier
from mldr.domain.policy import ModelPolicy
from mldr.domain.recovery_point import Manifest, newest_restorable
from mldr.domain.serving import ServingPlan, plan_serving
from mldr.domain.serving_state import IN_SERVICE, ServingState
from mldr.domain.tiers import Action, Convergence, Held, Situation, Verb, Wanted, at_floor, converge, wanted_of
from mldr.errors import MldrError
from mldr.events import TiersWish
from mldr.ports import (
    Catalog,
    Clock,
    Copier,
    PolicyStore,
    Serving,
    ServingCaptures,
    StandingEndpoints,
    Vault,
)
from mldr.steps.know_leader import home_known
from mldr.steps.materialise_serving import lay_out
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.standing_name import others_of

LONGEST = dt.timedelta(hours=4)  # the state machine's own limit: an older claim that was never concluded is dead


class Converged(Frozen):
    """What became of one model in this region."""

    model: str
    actions: tuple[Action, ...]
    reason: str


class Ready(Frozen):
    """What a tier wants to stand, with all that it is made from."""

    wanted: Wanted
    plan: ServingPlan
    manifests: tuple[Manifest, ...]


class Tiers:
    """One region's endpoints, made to be what the policy in force wants."""

    def __init__(
        self,
        *,
        region: str,
        bucket: str,
        default_role: str,
        catalog: Catalog,
        vault: Vault,
        copier: Copier,
        policies: PolicyStore,
        captures: ServingCaptures,
        serving: Serving,
        endpoints: StandingEndpoints,
        clock: Clock,
    ) -> None:
        self._region, self._bucket, self._role_arn = region, bucket, default_role
        self._catalog, self._vault, self._copier, self._policies = catalog, vault, copier, policies
        self._captures, self._serving, self._endpoints, self._clock = captures, serving, endpoints, clock

    def converge(self, wish: TiersWish, remaining: Callable[[], int]) -> list[Converged]:
        """Return what became of each model that the message means. Raises the first error, once all were looked at."""
        policy, _ = self._policies.load()
        held = tuple(self._endpoints.held())
        done: list[Converged] = []
        failed: list[MldrError] = []
        for model in [wish.model] if wish.model else self._catalog.models():
            rules = policy.for_model(model.registry, model.name, {})
            try:
                done.append(self._one(model, rules, held, remaining))
            except MldrError as error:
                failed.append(error)
        if failed:
            raise failed[0]
        return done

    def _one(
        self, model: ModelKey, rules: ModelPolicy, held: tuple[Held, ...], remaining: Callable[[], int]
    ) -> Converged:
        epoch, knowledge = self._catalog.epoch(model), self._catalog.leadership(model)
        home = home_known(self._region, model, knowledge, self._catalog)
        if not home:
            return Converged(model=str(model), actions=(), reason="it is not onboarded yet")
        now = role(self._region, home, knowledge, now=self._clock.now(), drain=rules.failover.drain)
        ready = self._ready(model, rules) if _stands_by(rules, now, self._region, home) else None
        situation = Situation(
            model=model,
            region=self._region,
            tier=rules.tier,
            busy=self._busy(epoch),
            used=_used(knowledge, now),
            wanted=ready.wanted if ready else None,
            held=held,
        )
        done = self._act(model, epoch, converge(situation), ready, remaining)
        if ready and ready.plan.components and not done.actions and not situation.busy:
            self._finish(ready.plan)
        return done

    def _finish(self, plan: ServingPlan) -> None:
        """Inference components can only be made once their endpoint is in service."""
        if self._serving.status(plan.name)[0] == IN_SERVICE:
            self._serving.finish(plan)

    def _busy(self, epoch: Epoch | None) -> str:
        open_ = epoch is not None and not epoch.concluded and self._clock.now() - epoch.claimed_at < LONGEST
        return f"epoch {epoch.number} is being claimed; its endpoints are left alone" if epoch and open_ else ""

    def _ready(self, model: ModelKey, rules: ModelPolicy) -> Ready | None:
        """Return what should stand: the newest version that is sealed, as the active region serves, at the floor."""
        point = newest_restorable(self._catalog.records(model))
        if point is None:
            return None
        state, manifest = self._captures.newest(model), read_manifest(self._vault, point)
        others = others_of(model, manifest.recovery_point, state, self._catalog, self._vault)
        full = _plan(manifest, state, others, self._role_arn)
        floor = rules.serving.floor if rules.tier is Tier.WARM_STANDBY else sum(full.capacity.values(), start=1)
        wanted = wanted_of(full, model, manifest.recovery_point, floor)
        plan = _plan(manifest, state, others, self._role_arn, wanted.name)
        return Ready(
            wanted=wanted,
            plan=at_floor(plan, floor),
            manifests=(manifest, *(others[one] for one in sorted(others))),
        )

    def _act(
        self,
        model: ModelKey,
        before: Epoch | None,
        found: Convergence,
        ready: Ready | None,
        remaining: Callable[[], int],
    ) -> Converged:
        for action in found.actions:
            if self._catalog.epoch(model) != before:
                return Converged(
                    model=str(model), actions=(), reason="a failover began meanwhile; nothing more is done"
                )
            if action.verb is Verb.DELETE:
                self._endpoints.delete(action.endpoint)
            elif action.verb is Verb.SCALE:
                self._endpoints.shrink(action.endpoint, action.counts)
            elif ready and not self._create(ready, remaining):
                return Converged(model=str(model), actions=(), reason="its objects are being laid out; it goes on")
        return Converged(model=str(model), actions=found.actions, reason=found.reason)

    def _create(self, ready: Ready, remaining: Callable[[], int]) -> bool:
        laid = lay_out(
            ready.manifests,
            bucket=self._bucket,
            cursor="",
            vault=self._vault,
            copier=self._copier,
            remaining=remaining,
        )
        if not laid.more:
            self._serving.restore(ready.plan)
        return not laid.more


def _plan(
    manifest: Manifest, state: ServingState | None, others: dict[str, Manifest], default_role: str, name: str = "name"
) -> ServingPlan:
    return plan_serving(manifest, epoch=0, default_role=default_role, state=state, others=others, name=name)


def _stands_by(rules: ModelPolicy, now: Role, region: str, home: str) -> bool:
    """Return whether an endpoint of mldr's is to stand here. KServe scales by itself, and has one name everywhere."""
    waits = home != region and not now.serving
    return waits and rules.tier is not Tier.COLD_STANDBY and rules.serving.kserve is None


def _used(knowledge: Leadership, now: Role) -> frozenset[str]:
    """Return the endpoints that may answer a client: the one that took over, and after a planned move the old one."""
    takeover, former = knowledge.takeover, knowledge.former
    found = [takeover] if takeover else []
    found += [former] if former and now.draining else []
    return frozenset(one.endpoint for one in found)
