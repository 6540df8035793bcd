"""Let an endpoint of the standby answer beside the home once it is proven, and stop it again without a failed request.

Each look does what is left to do, so one that died is repeated. Order: the row before the name, when both are to
answer; the name before the row, and the row before the endpoint, when one is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from mldr.domain.draining import least_drain
from mldr.domain.endpoint_status import IN_SERVICE, stands
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Beside, Leadership, Role
from mldr.domain.policy import ModelPolicy
from mldr.domain.recovery_point import Manifest
from mldr.domain.routing import Route
from mldr.domain.serving import ServingPlan
from mldr.domain.tiers import Held
from mldr.ports.catalog import Catalog
from mldr.ports.serving import Serving
from mldr.ports.stack import Clock
from mldr.ports.vault import Vault
from mldr.steps.onboard_model import Routes
from mldr.steps.prove_answers import golden_of, prove
from mldr.steps.warm_serving import replay


class Candidate(Frozen):
    """What is to answer beside the home, and what it is made from."""

    home: str
    plan: ServingPlan
    manifest: Manifest
    rules: ModelPolicy
    grown: bool  # it is as large as both regions' load, which comes to it alone, or did until now


class Answering:
    """Who answers beside the home in this region, as its catalog says and its names follow."""

    def __init__(self, *, catalog: Catalog, vault: Vault, serving: Serving, routes: Routes, clock: Clock) -> None:
        self._catalog, self._vault, self._serving = catalog, vault, serving
        self._routes, self._clock = routes, clock

    def keep(self, model: ModelKey, beside: Beside) -> Beside | None:
        """Return what goes on answering; what was to leave stays, and what does not stand any more is withdrawn.

        It answered nobody, and what is made anew under its name has to be proven anew.
        """
        if not stands(self._serving.status(beside.endpoint)[0]):
            self._catalog.withdraw_beside(model, beside)
            return None
        if beside.leaving is None:
            return beside
        return self._put(model, beside.model_copy(update={"leaving": None}), beside)

    def leave(self, model: ModelKey, beside: Beside | None, rules: ModelPolicy) -> Beside | None:
        """Return what still answers. It goes once DNS has been forgotten that named it. Raises ChecksNotReported."""
        route = self._routes.follow(model, None)
        if beside is None:
            return None
        now = self._clock.now()
        if beside.leaving is None:
            return self._put(model, beside.model_copy(update={"leaving": now}), beside)
        if now - beside.leaving < lingering(rules.failover.drain, route):
            return beside
        self._catalog.withdraw_beside(model, beside)
        return None

    def let(self, model: ModelKey, beside: Beside | None, wanted: Candidate, held: Sequence[Held]) -> str:
        """Return what was done so that a candidate answers: nothing while it is not in service.

        Raises WrongAnswers, and ChecksNotReported while Route 53 does not see it yet.
        """
        name = wanted.plan.name
        found = next((one for one in held if one.name == name and one.status == IN_SERVICE), None)
        told = []
        if found and beside and beside.endpoint == name:
            told.append(f"{name} answers beside {wanted.home}")
            if not wanted.grown:
                self._count(model, beside, _desired(found, wanted.plan))
        elif found and self._serving.finish(wanted.plan.model_copy(update=_NOTHING_SCALES)).status == IN_SERVICE:
            told.append(self._prove(model, beside, wanted, found))
        if told:  # no sooner: while nobody asks it, autoscaling would make it small
            told += self._serving.finish(wanted.plan).warnings
        if told or beside:
            self._routes.follow(model, wanted.rules.spread)
        return "; ".join(told)

    def _count(self, model: ModelKey, beside: Beside, counts: dict[str, int]) -> None:
        if beside.counts != counts:
            self._put(model, beside.model_copy(update={"counts": counts}), beside)

    def _prove(self, model: ModelKey, beside: Beside | None, wanted: Candidate, found: Held) -> str:
        """The golden check comes last, as in a failover: before it the endpoint is warmed, which nobody waits for."""
        golden = golden_of(wanted.manifest, self._vault)
        component = wanted.plan.component
        replay(found.name, component, golden, wanted.rules.warm.requests, self._serving, self._clock)
        verdict = prove(found.name, component, wanted.manifest, vault=self._vault, serving=self._serving)
        row = Beside(
            home=wanted.home,
            endpoint=found.name,
            recovery_point=wanted.manifest.recovery_point,
            counts=_desired(found, wanted.plan),
            since=self._clock.now(),
            component=component,
        )
        self._put(model, row, beside)
        return f"{found.name} answers beside {wanted.home} from now on: {verdict.reason}"

    def _put(self, model: ModelKey, row: Beside, previous: Beside | None) -> Beside:
        self._catalog.put_beside(model, row, previous)
        return row


_NOTHING_SCALES: Mapping[str, tuple[()]] = {"targets": (), "policies": (), "schedules": ()}


def _desired(found: Held, plan: ServingPlan) -> dict[str, int]:
    """Return what there is by the names of the home, which adds it to its own."""
    return {plan.sources.get(name, name): one.desired for name, one in found.counts.items()}


def lingering(drain: dt.timedelta, route: Route | None) -> dt.timedelta:
    """Return for how long clients may still come to what DNS named until now."""
    return max(drain, least_drain(route)) if route else drain


def settling(knowledge: Leadership, now: Role, drain: dt.timedelta, route: Route | None, at: dt.datetime) -> bool:
    """Return whether clients may still come here alone, because the home holds its epoch only since a moment ago."""
    standing = knowledge.standing
    taken_back = now.beside and now.epoch and standing
    return bool(taken_back and at - standing.learned_at < lingering(drain, route)) if standing else False
