"""Let stand in this region what each model's tier wants, and let go of what none wants any more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from mldr.domain.endpoint_status import IN_SERVICE, stands
from mldr.domain.execution_roles import ExecutionRoles
from mldr.domain.failover import Epoch
from mldr.domain.health import Sight
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Beside, Leadership, Role, home_of, role
from mldr.domain.model_rules import Tier
from mldr.domain.owed import owed
from mldr.domain.policy import ModelPolicy, Policy
from mldr.domain.recovery_point import Manifest, Points, Record
from mldr.domain.routing import Route
from mldr.domain.serving import ServingPlan, plan_serving, refused_roles
from mldr.domain.serving_state import ServingState
from mldr.domain.setbacks import DAMAGED, Hindrance
from mldr.domain.tiers import (
    Action,
    Convergence,
    Held,
    Leaving,
    Situation,
    Verb,
    Wanted,
    at_floor,
    at_rest,
    converge,
    counts_beside,
    for_both,
    may_be_ours,
    wanted_of,
)
from mldr.errors import ChecksNotReported, LostRace, MldrError, NotAllowed, Permanent
from mldr.events.serving import TiersWish
from mldr.ports.catalog import Catalog
from mldr.ports.health import Survivors
from mldr.ports.serving import Reminders, Serving, ServingCaptures, Setbacks, StandingEndpoints
from mldr.ports.stack import Clock, Pager, PolicyStore
from mldr.ports.vault import Copier, Vault
from mldr.steps.answer_beside import Answering, Candidate, settling
from mldr.steps.know_leader import known_route
from mldr.steps.materialise_serving import lay_out
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.standing_name import others_of
from mldr.steps.tell_setbacks import forget_setback, tell_setback

REPLACED = dt.timedelta(minutes=1)  # for how long what answered beside the home until now may still be asked
SOON = dt.timedelta(seconds=30)  # Route 53 needs about as long to see what is true of a region
TRIES = 8  # looks so soon after one another; then the schedule's next one has come


class Converged(Frozen):
    """What became of one model in this region."""

    model: str
    actions: tuple[Action, ...]
    reason: str
    beside: str = ""  # what answers beside the home, and since this look if it does
    stands: bool = False  # all that its tier wants, and nothing is left to do for it
    met: Hindrance | None = None  # what keeps it from standing


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
        roles: ExecutionRoles,
        catalog: Catalog,
        vault: Vault,
        copier: Copier,
        policies: PolicyStore,
        captures: ServingCaptures,
        serving: Serving,
        endpoints: StandingEndpoints,
        answering: Answering,
        survivors: Survivors,
        setbacks: Setbacks,
        reminders: Reminders,
        pager: Pager,
        clock: Clock,
    ) -> None:
        self._region, self._bucket, self._roles = region, bucket, roles
        self._catalog, self._vault, self._copier, self._policies = catalog, vault, copier, policies
        self._captures, self._serving, self._endpoints, self._clock = captures, serving, endpoints, clock
        self._answering, self._survivors, self._setbacks = answering, survivors, setbacks
        self._reminders, self._pager = reminders, pager

    def converge(self, wish: TiersWish, remaining: Callable[[], int]) -> list[Converged]:
        """Return what became of each model that the message means. Raises the first error, once all were looked at.

        What another look cannot mend, and what Route 53 does not say yet, is no error but what became of the model.
        """
        if wish.endpoint and not may_be_ours(wish.endpoint):
            return []
        policy, _ = self._policies.load()
        held = tuple(self._endpoints.held())
        done: list[Converged] = []
        failed: list[MldrError] = []
        for model in self._meant(wish, held):
            try:
                found = self._looked(model, policy, held, remaining)
                self._follow(model, found, wish.tries)
                done.append(found)
            except MldrError as error:
                failed.append(error)
        if failed:
            raise failed[0]
        return done

    def _meant(self, wish: TiersWish, held: tuple[Held, ...]) -> list[ModelKey]:
        if wish.endpoint:
            return [ModelKey.parse(one.model) for one in held if one.name == wish.endpoint]
        return [wish.model] if wish.model else self._catalog.models()

    def _looked(
        self, model: ModelKey, policy: Policy, held: tuple[Held, ...], remaining: Callable[[], int]
    ) -> Converged:
        points = Points.of(self._catalog.records(model))
        try:
            return self._one(model, owed(policy, model, points.ruling), points, held, remaining)
        except (ChecksNotReported, Permanent) as error:
            kind, passing = type(error).__name__, isinstance(error, ChecksNotReported)
            version = points.ruling.recovery_point if points.ruling else ""
            met = Hindrance(kind=kind, version=version, reason=str(error), passing=passing)
            return Converged(model=str(model), actions=(), reason=f"{kind}: {error}", met=met)

    def _follow(self, model: ModelKey, found: Converged, tries: int) -> None:
        """Tell a person what keeps it from standing, once, and look again soon where that goes away by itself."""
        if found.met:
            tell_setback(
                model, found.met, region=self._region, setbacks=self._setbacks, pager=self._pager, clock=self._clock
            )
            if found.met.passing and tries < TRIES:
                self._reminders.remind(model, tries + 1, SOON)
        elif found.stands:
            forget_setback(model, self._setbacks)

    def _one(
        self,
        model: ModelKey,
        rules: ModelPolicy,
        points: Points,
        held: tuple[Held, ...],
        remaining: Callable[[], int],
    ) -> Converged:
        epoch, knowledge = self._catalog.epoch(model), self._catalog.leadership(model)
        route = known_route(model, knowledge, self._catalog)
        home = home_of(self._region, knowledge, route)
        if not home:
            return Converged(model=str(model), actions=(), reason="it is not onboarded yet")
        now = role(self._region, home, knowledge, now=self._clock.now(), drain=rules.failover.drain)
        waits = _stands_by(rules, now, self._region, home)
        bad, ready = (points.damaged, self._ready(model, rules, points)) if waits else (None, None)
        both, busy = (ready or bad) is not None and rules.spread is not None, _busy(epoch)
        at, alone = self._clock.now(), knowledge.beside is not None and self._alone(model)
        seen = _Seen(knowledge=knowledge, role=now, route=route, rules=rules, at=at, alone=alone, damaged=bad)
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
        found = converge(situation)
        met = self._came_to_nothing(found, wanted, held) or _hindered(seen, model, held)
        done = self._act(model, epoch, found, ready, remaining).model_copy(update={"met": met})
        if busy or done.actions or ready is None:
            return done.model_copy(update={"stands": not busy and ready is None})
        if both:
            return self._let(model, epoch, ready, seen, held, done)
        return self._at_rest(model, epoch, ready, situation, done)

    def _at_rest(
        self, model: ModelKey, epoch: Epoch | None, ready: Ready, situation: Situation, done: Converged
    ) -> Converged:
        """What stands by has its components, and does not scale by itself, also where its counts are right already."""
        name, held = ready.wanted.name, situation.held
        if ready.plan.components:
            self._finish(ready.plan)
        counts = next((one.counts for one in held if one.name == name and one.status == IN_SERVICE), None)
        if counts and name not in situation.used and self._catalog.epoch(model) == epoch:
            self._endpoints.settle(name, tuple(counts))
        return done.model_copy(update={"stands": counts is not None})

    def _came_to_nothing(self, found: Convergence, wanted: Wanted | None, held: tuple[Held, ...]) -> Hindrance | None:
        """Return why what is to stand is made anew: once it is deleted, nobody can tell."""
        gone = {one.endpoint for one in found.actions if one.verb is Verb.DELETE}
        if wanted is None or wanted.name not in gone or _in_service(wanted.name, held):
            return None
        status, why = self._serving.status(wanted.name)
        reason = f"endpoint {wanted.name} is {status}: {why or 'SageMaker does not say why'}; it is made anew"
        return Hindrance(kind=status, version=wanted.recovery_point, reason=reason)

    def _alone(self, model: ModelKey) -> bool:
        unwell = self._catalog.health(model).verdict is not Sight.HEALTHY
        return unwell or self._survivors.of(model).growth is not None

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
            grown=seen.grown,
        )
        beside = self._answering.let(model, seen.beside, candidate, held)
        return done.model_copy(update={"beside": beside, "stands": bool(beside)})

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

    def _ready(self, model: ModelKey, rules: ModelPolicy, points: Points) -> Ready | None:
        """Return what should stand: the newest version that is sealed, as the active region serves, at the floor.

        While that one is damaged, an older one may stand by, for recovery chooses it; but it answers beside no newer.
        """
        point = points.sound
        if point is None or (points.damaged and rules.spread):
            return None
        state, manifest = self._captures.newest(model), read_manifest(self._vault, point)
        others = others_of(model, manifest.recovery_point, state, self._catalog, self._vault)
        full = _plan(manifest, state, others)
        floor = rules.serving.floor if rules.tier is Tier.WARM_STANDBY else sum(full.capacity.values(), start=1)
        wanted = wanted_of(full, model, manifest.recovery_point, floor)
        plan = _plan(manifest, state, others, self._roles.own, wanted.name)
        return Ready(
            wanted=wanted.model_copy(update={"counts": at_rest(plan, floor)}),
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
            if action.verb is Verb.DELETE:
                if not self._delete(model, action.endpoint, before):
                    why = f"a failover began, or another look deletes {action.endpoint}; nothing more is done"
                    return Converged(model=str(model), actions=(), reason=why)
            elif self._catalog.epoch(model) != before:
                return Converged(
                    model=str(model), actions=(), reason="a failover began meanwhile; nothing more is done"
                )
            elif action.verb is Verb.SCALE:
                self._endpoints.resize(action.endpoint, action.counts)
            elif ready and not self._create(ready, remaining):
                return Converged(model=str(model), actions=(), reason="its objects are being laid out; it goes on")
        return Converged(model=str(model), actions=found.actions, reason=found.reason)

    def _delete(self, model: ModelKey, endpoint: str, before: Epoch | None) -> bool:
        """Return whether it was this look's to delete: a failover that claims later is told that it leaves."""
        known, now = self._catalog.leaving(model, endpoint), self._clock.now()
        if known and known.held(now):
            return False
        leaving, gone = Leaving(endpoint=endpoint, since=now), False
        try:
            self._catalog.leave(model, leaving, known, before)
        except LostRace:
            return False
        try:
            gone = self._endpoints.delete(endpoint)
        finally:
            self._catalog.left(model, leaving, gone=gone)
        return True

    def _create(self, ready: Ready, remaining: Callable[[], int]) -> bool:
        """Raises NotAllowed: there is time to allow a role, and what would stand as another one would stay so."""
        if refused := refused_roles(ready.plan, self._roles):
            raise NotAllowed("; ".join(self._roles.refused(one, self._region) for one in refused))
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


def _busy(epoch: Epoch | None) -> str:
    """Return which claim is open. One whose execution died does not stay so: see resume_failovers."""
    open_ = epoch is not None and not epoch.concluded
    return f"epoch {epoch.number} is being claimed; its endpoints are left alone" if epoch and open_ else ""


class _Seen(Frozen):
    """What one look at a model found. `beside` is what answers beside the home after it."""

    knowledge: Leadership
    role: Role
    route: Route | None
    rules: ModelPolicy
    at: dt.datetime
    damaged: Record | None = None  # the newest point, while its bytes in the vault are bad
    alone: bool = False  # the home is not seen well, or what answers beside it was scaled because of that

    @property
    def beside(self) -> Beside | None:
        return self.knowledge.beside

    def after(self, beside: Beside | None) -> _Seen:
        return self.model_copy(update={"knowledge": self.knowledge.model_copy(update={"beside": beside})})

    @property
    def settling(self) -> bool:
        """Whether clients may still come here alone, because the home took its epoch back a moment ago."""
        return settling(self.knowledge, self.role, self.rules.failover.drain, self.route, self.at)

    @property
    def grown(self) -> bool:
        """Whether what answers has, or soon will have, the instances of both regions, or did a moment ago."""
        return self.alone or self.settling


def _made_of(damaged: Record | None, model: ModelKey, held: tuple[Held, ...]) -> frozenset[str]:
    """Return what stands of a damaged point: it was made of sound bytes, or was proven."""
    point = damaged.recovery_point if damaged else None
    mine = (one for one in held if one.model == str(model) and one.recovery_point == point)
    return frozenset(one.name for one in mine if stands(one.status))


def _hindered(seen: _Seen, model: ModelKey, held: tuple[Held, ...]) -> Hindrance | None:
    """Return that the newest point is damaged, and what becomes of its endpoint meanwhile."""
    if seen.damaged is None:
        return None
    names = ", ".join(sorted(_made_of(seen.damaged, model, held)))
    left = f"{names} has its own copy of the weights and is left as it is" if names else "nothing of it stands here"
    reason = f"{seen.damaged.recovery_point} is {seen.damaged.damaged}; {left}. Mend it: docs/runbooks/bad-object.md"
    return Hindrance(kind=DAMAGED, version=seen.damaged.recovery_point, reason=reason)


def _in_service(name: str, held: tuple[Held, ...]) -> bool:
    return any(one.name == name and one.status == IN_SERVICE for one in held)


def _sized(ready: Ready, seen: _Seen, held: tuple[Held, ...]) -> Wanted:
    """Return what is to stand with the counts to ask for: none of what answers, while it may have to answer alone."""
    answers = seen.beside is not None and seen.beside.endpoint == ready.wanted.name
    there = next((one.counts for one in held if one.name == ready.wanted.name), {})
    counts = {} if answers and seen.grown else counts_beside(ready.plan, there, answers=answers)
    return ready.wanted.model_copy(update={"counts": counts})


def _plan(
    manifest: Manifest, state: ServingState | None, others: dict[str, Manifest], role: str = "", name: str = "name"
) -> ServingPlan:
    return plan_serving(manifest, epoch=0, default_role=role, state=state, others=others, name=name)


def _stands_by(rules: ModelPolicy, now: Role, region: str, home: str) -> bool:
    """Return whether an endpoint of mldr's is to stand here. KServe scales by itself, and has one name everywhere."""
    waits = home != region and not now.serving
    return waits and rules.tier is not Tier.COLD_STANDBY and rules.serving.kserve is None


def _used(seen: _Seen, model: ModelKey, wanted: Wanted | None, held: tuple[Held, ...]) -> frozenset[str]:
    """Return the endpoints that may answer a client, or that could not be made again.

    The one that took over, and the old one after a planned move or beside the home; what answers there, and what did
    until a moment ago. What is wanted and answers beside the home may be made larger or anew.
    """
    takeover, former, beside = seen.knowledge.takeover, seen.knowledge.former, seen.beside
    found = {takeover.endpoint} if takeover else set()
    found |= _made_of(seen.damaged, model, held)
    if former and (seen.role.draining or seen.settling):
        found.add(former.endpoint)
    if beside:
        found.add(beside.endpoint)
        if seen.at - beside.since < REPLACED:
            found |= {one.name for one in held if one.model == str(model)}
        found -= {wanted.name} if wanted and not takeover and not beside.leaving else set()
    return frozenset(found)
