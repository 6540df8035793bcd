"""Let stand in this region what each model's tier wants, and let go of what none wants any more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from mldr.domain.failover import Epoch
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Beside, Leadership, Role, home_of, role
from mldr.domain.model_rules import Tier
from mldr.domain.owed import owed
from mldr.domain.policy import ModelPolicy
from mldr.domain.recovery_point import Manifest, newest_restorable
from mldr.domain.routing import Route
from mldr.domain.serving import ServingPlan, plan_serving
from mldr.domain.serving_state import IN_SERVICE, ServingState
from mldr.domain.tiers import (
    Action,
    Convergence,
    Held,
    Situation,
    Verb,
    Wanted,
    at_floor,
    converge,
    counts_beside,
    for_both,
    wanted_of,
)
from mldr.errors import MldrError
from mldr.events.serving import TiersWish
from mldr.ports.catalog import Catalog
from mldr.ports.serving import Serving, ServingCaptures, StandingEndpoints
from mldr.ports.stack import Clock, PolicyStore
from mldr.ports.vault import Copier, Vault
from mldr.steps.answer_beside import Answering, Candidate, lingering
from mldr.steps.know_leader import known_route
from mldr.steps.materialise_serving import lay_out
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.standing_name import others_of

LONGEST = dt.timedelta(hours=4)  # the state machine's own limit: an older claim that was never concluded is dead
REPLACED = dt.timedelta(minutes=1)  # for how long what answered beside the home until now may still be asked


class Converged(Frozen):
    """What became of one model in this region."""

    model: str
    actions: tuple[Action, ...]
    reason: str
    beside: str = ""  # what answers beside the home, and since this look if it does


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
        answering: Answering,
        clock: Clock,
    ) -> None:
        self._region, self._bucket, self._role_arn = region, bucket, default_role
        self._catalog, self._vault, self._copier, self._policies = catalog, vault, copier, policies
        self._captures, self._serving, self._endpoints, self._clock = captures, serving, endpoints, clock
        self._answering = answering

    def converge(self, wish: TiersWish, remaining: Callable[[], int]) -> list[Converged]:
        """Return what became of each model that the message means. Raises the first error, once all were looked at."""
        policy, _ = self._policies.load()
        held = tuple(self._endpoints.held())
        done: list[Converged] = []
        failed: list[MldrError] = []
        for model in [wish.model] if wish.model else self._catalog.models():
            try:
                rules = owed(policy, model, newest_restorable(self._catalog.records(model)))
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
        route = known_route(model, knowledge, self._catalog)
        home = home_of(self._region, knowledge, route)
        if not home:
            return Converged(model=str(model), actions=(), reason="it is not onboarded yet")
        now = role(self._region, home, knowledge, now=self._clock.now(), drain=rules.failover.drain)
        ready = self._ready(model, rules) if _stands_by(rules, now, self._region, home) else None
        both, busy = ready is not None and rules.spread is not None, self._busy(epoch)
        seen = _Seen(knowledge=knowledge, role=now, route=route, rules=rules, at=self._clock.now())
        if not busy and not now.serving and home != self._region:
            seen = seen.after(self._beside(model, seen, both=both))
        wanted = _sized(ready, seen, held) if ready and both else ready.wanted if ready else None
        situation = Situation(
            model=model,
            region=self._region,
            tier=rules.tier,
            busy=busy,
            used=_used(seen, model, wanted, held),
            wanted=wanted,
            held=held,
        )
        done = self._act(model, epoch, converge(situation), ready, remaining)
        if ready is None or done.actions or busy:
            return done
        if both:
            return self._let(model, epoch, ready, seen, held, done)
        if ready.plan.components:
            self._finish(ready.plan)
        return done

    def _let(
        self, model: ModelKey, epoch: Epoch | None, ready: Ready, seen: _Seen, held: tuple[Held, ...], done: Converged
    ) -> Converged:
        if self._catalog.epoch(model) != epoch:
            return done
        candidate = Candidate(
            home=seen.role.holder,
            plan=ready.plan,
            manifest=ready.manifests[0],
            rules=seen.rules,
            settling=seen.settling,
        )
        return done.model_copy(update={"beside": self._answering.let(model, seen.beside, candidate, held)})

    def _beside(self, model: ModelKey, seen: _Seen, *, both: bool) -> Beside | None:
        """Return what goes on answering beside the home, if that is to go on, or still has to."""
        if not both:
            shared = seen.beside or (seen.route and seen.route.spread)
            return self._answering.leave(model, seen.beside, seen.rules) if shared else None
        return self._answering.keep(model, seen.beside) if seen.beside else None

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
            plan=for_both(plan) if rules.spread else at_floor(plan, floor),
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
                self._endpoints.resize(action.endpoint, action.counts)
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


class _Seen(Frozen):
    """What one look at a model found. `beside` is what answers beside the home after it."""

    knowledge: Leadership
    role: Role
    route: Route | None
    rules: ModelPolicy
    at: dt.datetime

    @property
    def beside(self) -> Beside | None:
        return self.knowledge.beside

    def after(self, beside: Beside | None) -> _Seen:
        return self.model_copy(update={"knowledge": self.knowledge.model_copy(update={"beside": beside})})

    @property
    def settling(self) -> bool:
        """Whether clients may still come here alone, because the home holds its epoch only since a moment ago."""
        standing = self.knowledge.standing
        taken_back = self.role.beside and self.role.epoch and standing
        return bool(taken_back and self.at - taken_back.learned_at < lingering(self.rules, self.route))


def _sized(ready: Ready, seen: _Seen, held: tuple[Held, ...]) -> Wanted:
    """Return what is to stand with the counts to ask for: none of what answers, while it may have to answer alone."""
    answers = seen.beside is not None and seen.beside.endpoint == ready.wanted.name
    there = next((one.counts for one in held if one.name == ready.wanted.name), {})
    counts = {} if answers and seen.settling else counts_beside(ready.plan, there, answers=answers)
    return ready.wanted.model_copy(update={"counts": counts})


def _plan(
    manifest: Manifest, state: ServingState | None, others: dict[str, Manifest], default_role: str, name: str = "name"
) -> ServingPlan:
    return plan_serving(manifest, epoch=0, default_role=default_role, state=state, others=others, name=name)


def _stands_by(rules: ModelPolicy, now: Role, region: str, home: str) -> bool:
    """Return whether an endpoint of mldr's is to stand here. KServe scales by itself, and has one name everywhere."""
    waits = home != region and not now.serving
    return waits and rules.tier is not Tier.COLD_STANDBY and rules.serving.kserve is None


def _used(seen: _Seen, model: ModelKey, wanted: Wanted | None, held: tuple[Held, ...]) -> frozenset[str]:
    """Return the endpoints that may answer a client.

    The one that took over, and the old one after a planned move or beside the home; what answers there, and what did
    until a moment ago. What is wanted and answers beside the home may be made larger or anew.
    """
    takeover, former, beside = seen.knowledge.takeover, seen.knowledge.former, seen.beside
    found = {takeover.endpoint} if takeover else set()
    if former and (seen.role.draining or seen.settling):
        found.add(former.endpoint)
    if beside:
        found.add(beside.endpoint)
        if seen.at - beside.since < REPLACED:
            found |= {one.name for one in held if one.model == str(model)}
        found -= {wanted.name} if wanted and not takeover and not beside.leaving else set()
    return frozenset(found)
