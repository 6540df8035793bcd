"""What a runbook of one model rests on: its policy, who serves it, what is sealed, what stands ready, who is paged."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.outcomes import Ended, Exit, unreachable
from cli.regions import Place, look, route_in, silence
from cli.standing import manifest_of, standing_for
from cli.status import serving_of
from cli.unkept import unkept_in
from mldr.aws.evidence import VaultEvidence
from mldr.domain.endpoint_status import IN_SERVICE
from mldr.domain.evidence import Evidence
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Beside, Leadership, Role, home_of, role
from mldr.domain.model_rules import ModelRules, Tier
from mldr.domain.owed import owed
from mldr.domain.recovery_point import Record, newest_restorable
from mldr.domain.routing import Route
from mldr.domain.tiers import Held

LOOKED_BACK = 20  # records of evidence


class Measured(Frozen):
    """What a recovery took before: its phases in seconds."""

    at: dt.datetime
    kind: str
    region: str
    phases: dict[str, float]


class Facts(Frozen):
    """All that a runbook says about a model. `other` is the region that serves or last served, `here` takes over."""

    model: ModelKey
    environment: str
    bus: str
    partition: str
    account: str
    vault: str
    read_at: dt.datetime
    home: str
    standby: str
    serving: str
    serves: dict[str, str]  # by region, in its words
    here: str
    rules: ModelRules
    sealed: ModelRules | None  # the rules of its point, by which that is restored; None when they cannot be read
    matched: str | None
    route: Route | None
    point: Record | None
    golden: bool | None  # whether recorded answers are sealed with the point; None when that cannot be read
    datasets: tuple[str, ...]
    captured: dict[str, Any]
    stands: tuple[Held, ...]
    fits: str | None  # what the endpoint would be called that a failover could use as it stands
    measured: Measured | None
    topics: dict[str, str]  # where pages go, by region
    pages: dict[str, tuple[str, ...]]  # who is subscribed to them
    silent: dict[str, str]
    policy: str = ""  # where the policy lies that is in force in the region that would take over
    unkept: tuple[str, ...] = ()  # what the model does not get, though its policy says it
    beside: Beside | None = None  # what answers in the standby while the home serves

    @property
    def restored_by(self) -> ModelRules:
        """The rules of a recovery: those that were sealed with the point, until there is one those of the next."""
        return self.sealed or self.rules

    @property
    def shared(self) -> bool:
        """Whether both regions answer clients while all is well, and do so today."""
        return bool(self.beside and self.route and self.route.spread)

    @property
    def other(self) -> str:
        """The region whose loss this runbook is about."""
        return self.standby if self.here == self.home else self.home

    @property
    def ready(self) -> str | None:
        """The endpoint that stands in service for exactly what would be restored; None when there is none."""
        held = (one.name for one in self.stands if one.name == self.fits and one.status == IN_SERVICE)
        return next(held, None)

    @property
    def troubles(self) -> list[str]:
        """Why a failover would not help today, or less than its tier promises; empty when all is well."""
        tier = self.rules.tier
        waits_warm = tier is not Tier.COLD_STANDBY and self.here == self.standby and not self.rules.serving.kserve
        refused = self.captured.get("refused")
        checks = {
            f"there is no sealed recovery point in {self.here}: it cannot be recovered": self.point is None,
            "it has no name yet: its traffic cannot be switched": self.route is None,
            f"nothing stands in service in {self.here}, as {tier} wants it: a failover takes as long as a cold one":
                waits_warm and self.ready is None,
            f"{self.home} answers alone, not both regions as {tier} wants it: `mldr status` says what stands ready":
                tier is Tier.ACTIVE_ACTIVE and self.here == self.standby and not self.shared,
            "the manifest of its newest point cannot be read: docs/runbooks/bad-object.md":
                self.point is not None and self.golden is None,
            "no golden inferences are sealed: a restored model's answers are not proven": self.golden is False,
            f"how it is served could not be captured: {(refused or {}).get('reason', '')}": bool(refused),
            f"nobody is subscribed to the pages of {self.here}": not self.pages.get(self.here),
        }  # fmt: skip
        return [sentence for sentence, holds in checks.items() if holds] + list(self.unkept)

    @property
    def recoverable(self) -> bool:
        """Whether a failover could be carried out now."""
        return self.point is not None and self.route is not None


def gather(model: ModelKey, where: Sequence[Place]) -> Facts:
    """Return what the regions know; one that is down is left out, and named. Ends the command without the model."""
    looked = look(where, lambda place: _known(model, place))
    found: dict[str, tuple[Leadership, Route | None]] = looked.answers
    route = next((route for _, route in found.values() if route), None)
    by_region = {place.region: place for place in where}
    home, standby = _pair(model, route, found, by_region, silence(looked))
    roles = {region: _role(region, *answer) for region, answer in found.items()}
    serving = _serving(roles, home)
    here = home if serving == standby else standby
    if here not in found:
        raise unreachable(
            f"{here}, which would take {model} over, does not answer; {silence(looked)}", "look again from elsewhere"
        )
    return Facts(
        model=model,
        read_at=dt.datetime.now(dt.UTC),
        home=home,
        standby=standby,
        serving=serving,
        serves={region: now.reason for region, now in roles.items()},
        here=here,
        route=route,
        topics={region: by_region[region].pages for region in found},
        pages={region: _subscribed(by_region[region]) for region in found},
        silent={region: str(ended) for region, ended in looked.silent.items()},
        beside=found[standby][0].beside if standby in found else None,
        **_held(model, by_region[here]),
    )


def _serving(roles: dict[str, Role], home: str) -> str:
    """Return who serves. A home that has not heard of a takeover believes that it does, too: the higher epoch does."""
    serving = [region for region, now in roles.items() if now.serving]
    return max(serving, key=lambda region: roles[region].epoch, default=home)


def _held(model: ModelKey, place: Place) -> dict[str, Any]:
    """Return what the region that would take over has and knows."""
    policy, _ = place.policies.load()
    point = newest_restorable(place.catalog.records(model))
    rules = owed(policy, model, point)
    manifest = manifest_of(place, point)
    return {
        "environment": place.environment,
        "bus": place.bus_name,
        "partition": place.partition,
        "account": place.account,
        "vault": place.vault,
        "rules": rules,
        "sealed": manifest.policy if manifest else None,
        "matched": rules.matched,
        "policy": place.policy_location,
        "unkept": unkept_in(place, model, policy),
        "point": point,
        "golden": manifest.golden is not None if manifest else None,
        "datasets": rules.datasets,
        "captured": serving_of(place, model),
        "fits": standing_for(place, manifest) if manifest else None,
        "stands": tuple(one for one in place.standing.held() if one.model == str(model)),
        "measured": _measured(place, model),
    }


def _known(model: ModelKey, place: Place) -> tuple[Leadership, Route | None]:
    knowledge = place.catalog.leadership(model)
    return knowledge, route_in(place, model, knowledge)


def _pair(
    model: ModelKey, route: Route | None, found: dict[str, Any], by_region: dict[str, Place], silent: str
) -> tuple[str, str]:
    """Return home and standby: the route says them; before there is one, the region with points is the standby."""
    if route:
        return route.active.region, route.standby.region
    with_points = [region for region in found if by_region[region].catalog.records(model)]
    others = [region for region in by_region if region not in with_points]
    if len(with_points) == 1 and len(others) == 1:
        return others[0], with_points[0]
    advice = f"approve a version in the registry, or run `mldr protect {model.name}`"
    if silent:
        raise unreachable(f"no region that answers knows {model}; {silent}", advice)
    raise Ended(Exit.DOES_NOT_HOLD, f"{model} was never captured", advice)


def _role(region: str, knowledge: Leadership, route: Route | None) -> Role:
    home = home_of(region, knowledge, route)
    return role(region, home, knowledge, now=dt.datetime.now(dt.UTC), drain=dt.timedelta(0))


def _measured(place: Place, model: ModelKey) -> Measured | None:
    """Return the newest completed recovery that this region has evidence of."""
    store = VaultEvidence(place.sealed, lambda: dt.datetime.now(dt.UTC))
    done = [one for one in store.newest(model, LOOKED_BACK) if _counts(one)]
    if not done:
        return None
    newest = max(done, key=lambda one: one.sequence)
    phases = {phase.name: phase.seconds for phase in newest.phases}
    return Measured(at=newest.recorded_at, kind=newest.kind, region=newest.region, phases=phases)


def _counts(evidence: Evidence) -> bool:
    return evidence.outcome == "completed" and evidence.kind != "clear"


def _subscribed(place: Place) -> tuple[str, ...]:
    """Return who gets the pages of a region and has confirmed it; what cannot be read is said in their place."""
    sns = place.client("sns")
    try:
        pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=place.pages)
        held = [one for page in pages for one in page["Subscriptions"]]
    except (ClientError, BotoCoreError) as error:
        return (f"(cannot be read: {type(error).__name__}: {error})",)
    return tuple(f"{one['Protocol']} {one['Endpoint']}" for one in held if one["SubscriptionArn"].startswith("arn:"))
