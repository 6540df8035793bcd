"""What stands ready in a region for a model before anything has failed, and how to come from what runs to that.

An endpoint that stands is named by what it was made of: the recovery point, and the shape of what was captured. So a
new version or another shape is another endpoint, the old one goes only when the new one is in service, and a failover
finds the one that fits by its name alone.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from mldr.domain.components import copies_key, copies_of, specifications
from mldr.domain.endpoint_status import IN_SERVICE, MISSING
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.model_rules import Tier
from mldr.domain.serving import ServingPlan
from mldr.domain.warming import Count

_OURS = re.compile(r".+-.{8}-(e\d+|s[0-9a-f]{6})")  # a claimed one, and one that stands
SHADOWS = "ShadowProductionVariants"
VARIANTS = "ProductionVariants"
# What is changed while it serves, by people and by autoscaling: what stands for it stays the same.
_LIVE = {"InitialInstanceCount", "InitialVariantWeight", "ModelName", "ProvisionedConcurrency"}
_SETTLED = {IN_SERVICE, "Failed", "OutOfService", "UpdateRollbackFailed"}  # others cannot be changed or deleted
DELETES = dt.timedelta(minutes=20)  # longer than any function runs: what has not ended by then is dead
FROM_ZERO = "serving.floor is 0, but only an endpoint of inference components scales to zero; it stands with 1"

_SIZE = {
    False: "and nobody is served by it: it stands at the floor of its policy",
    True: "and stands as large as it serves at home",
}


class Verb(StrEnum):
    """What is done to an endpoint."""

    CREATE = "create"
    SCALE = "scale"
    DELETE = "delete"


class Action(Frozen):
    """One thing to do, and why."""

    verb: Verb
    endpoint: str
    reason: str
    counts: dict[str, int] = {}


class Held(Frozen):
    """An endpoint of mldr's in this region, as its tags and SageMaker tell of it."""

    name: str
    model: str
    recovery_point: str
    status: str
    counts: dict[str, Count] = {}
    components: int = 0  # inference components on it


class Leaving(Frozen):
    """An endpoint that a look deletes, or did not end with. A failover does not take it: it may go any moment."""

    endpoint: str
    since: dt.datetime  # when the last look at it began
    open: bool = True  # that look has not ended, as far as is known

    @property
    def mark(self) -> str:
        """Return what tells this state of it from any other."""
        return f"{self.since.isoformat()} {self.open}"

    def going(self, now: dt.datetime) -> bool:
        """Return whether something may still delete it."""
        return now - self.since < DELETES

    def held(self, now: dt.datetime) -> bool:
        """Return whether another look may be at it, which must not find what was made anew under its name."""
        return self.open and self.going(now)


class Wanted(Frozen):
    """The endpoint that a tier wants to stand."""

    name: str
    recovery_point: str
    counts: dict[str, int]
    from_zero: bool = False  # without inference components until a failover makes them
    remark: str = ""


class Situation(Frozen):
    """All that decides what happens to a model's endpoints in one region.

    `busy` says why nothing may be touched now; `used` are the endpoints that answer clients, or still may.
    """

    model: ModelKey
    region: str
    tier: Tier
    busy: str = ""
    used: frozenset[str] = frozenset()
    wanted: Wanted | None = None
    held: tuple[Held, ...] = ()


class Convergence(Frozen):
    """What to do, and the sentence that sums it up."""

    actions: tuple[Action, ...]
    reason: str


def standing_name(plan: ServingPlan, model: ModelKey, recovery_point: str) -> str:
    """Return the name of the endpoint that stands for a plan; weights, counts and names do not count."""
    said = {
        "models": [[list(one.containers), one.settings, one.role] for one in plan.models],
        "config": _shape(plan.config),
        "components": [_shape(list(specifications(one))) for one in plan.components],
    }
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
    return f"{model.name[:40]}-{recovery_point[-8:]}-s{digest[:6]}"


def may_be_ours(endpoint: str) -> bool:
    """Return whether an endpoint has a name such as mldr gives. Its tags decide."""
    return _OURS.fullmatch(endpoint) is not None


def _shape(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {name: _shape(value) for name, value in node.items() if name not in _LIVE}
    return [_shape(one) for one in node] if isinstance(node, list | tuple) else node


def at_floor(plan: ServingPlan, floor: int) -> ServingPlan:
    """Return what is created to stand: each variant at the floor, no shadows, and no autoscaling that would raise it.

    A floor of zero needs inference components: then no copy of any is made, and the instances go by themselves. Above
    it each component has no more copies than the floor, which is what its instances have room for.
    """
    variants = [_floored(one, floor, bool(plan.components)) for one in plan.config[VARIANTS]]
    config = {name: value for name, value in plan.config.items() if name not in (VARIANTS, SHADOWS)}
    kept = () if floor == 0 else tuple(_fewer(one, floor) for one in plan.components)
    nothing: tuple[dict[str, Any], ...] = ()
    update = {"config": {**config, VARIANTS: variants}, "components": kept}
    return plan.model_copy(update={**update, "targets": nothing, "policies": nothing, "schedules": nothing})


def _fewer(component: dict[str, Any], floor: int) -> dict[str, Any]:
    copies = copies_of(component)
    return component if copies is None else {**component, "RuntimeConfig": {"CopyCount": max(1, min(floor, copies))}}


def _floored(variant: dict[str, Any], floor: int, components: bool) -> dict[str, Any]:
    if "InitialInstanceCount" not in variant:
        return variant
    made = {**variant, "InitialInstanceCount": max(1, min(floor, variant["InitialInstanceCount"]))}
    managed = variant.get("ManagedInstanceScaling", {})
    if floor and managed.get("MinInstanceCount", 0) > floor:
        made["ManagedInstanceScaling"] = {**managed, "MinInstanceCount": floor}
    if floor == 0 and components:
        most = managed.get("MaxInstanceCount", variant["InitialInstanceCount"])
        zero = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": most}
        made["ManagedInstanceScaling"] = {**managed, **zero}
    return made


def for_both(plan: ServingPlan) -> ServingPlan:
    """Return what answers beside the home: each variant as large as there, and no shadows, which answer nobody.

    Autoscaling stays, and may reach twice as far: when one region is lost, the other grows to the load of both alone.
    """
    variants = [_twice(one) for one in plan.config[VARIANTS]]
    config = {name: value for name, value in plan.config.items() if name not in (VARIANTS, SHADOWS)}
    there = {f"endpoint/{plan.name}/variant/{one['VariantName']}" for one in variants}
    there |= {f"inference-component/{one['InferenceComponentName']}" for one in plan.components}
    return plan.model_copy(
        update={
            "config": {**config, VARIANTS: variants},
            "targets": tuple(_doubled(one) for one in plan.targets if one["ResourceId"] in there),
            "policies": tuple(one for one in plan.policies if one["ResourceId"] in there),
            "schedules": tuple(_rescheduled(one) for one in plan.schedules if one["ResourceId"] in there),
        }
    )


def without_shadows(plan: ServingPlan) -> tuple[str, ...]:
    """Return the warning that what stood by serves without the shadow variants of a plan, if that has any."""
    names = ", ".join(one["VariantName"] for one in plan.config.get(SHADOWS, []))
    if not names:
        return ()
    said = f"endpoint {plan.name} stood by without the shadow variants of what served ({names})"
    return (f"{said}: they answer nobody; to have them again, deploy them to it",)


def _twice(variant: dict[str, Any]) -> dict[str, Any]:
    managed = variant.get("ManagedInstanceScaling", {})
    if "MaxInstanceCount" not in managed:
        return variant
    return {**variant, "ManagedInstanceScaling": {**managed, "MaxInstanceCount": 2 * managed["MaxInstanceCount"]}}


def _doubled(target: dict[str, Any]) -> dict[str, Any]:
    return {**target, "MaxCapacity": 2 * target["MaxCapacity"]} if "MaxCapacity" in target else target


def _rescheduled(schedule: dict[str, Any]) -> dict[str, Any]:
    action = schedule.get("ScalableTargetAction")
    return {**schedule, "ScalableTargetAction": _doubled(action)} if action else schedule


def counts_beside(plan: ServingPlan, there: Mapping[str, Count], *, answers: bool) -> dict[str, int]:
    """Return the instances that what answers beside the home should have, without the variants that are left alone.

    What scales by itself is brought to the size of the home once, before it `answers`, and is then nobody's affair.
    """
    scaled = {_counted(one["ResourceId"]) for one in plan.targets}

    def left_alone(name: str, count: int) -> bool:
        return name in scaled and (answers or (name in there and there[name].desired >= count))

    return {name: count for name, count in plan.capacity.items() if not left_alone(name, count)}


def _counted(resource: str) -> str:
    """Return under which name what autoscaling counts is counted here."""
    kind, _, name = resource.partition("/")
    return copies_key(name) if kind == "inference-component" else resource.rpartition("/variant/")[2]


def at_rest(plan: ServingPlan, floor: int) -> dict[str, int]:
    """Return how many instances and copies stand at the floor; nothing is counted where all comes from zero."""
    if floor == 0 and plan.components:
        return {}
    return {name: max(1, min(floor, count)) for name, count in plan.capacity.items()}


def wanted_of(plan: ServingPlan, model: ModelKey, recovery_point: str, floor: int) -> Wanted:
    """Return what should stand. An endpoint without inference components never has less than one instance."""
    zero = floor == 0 and bool(plan.components)
    return Wanted(
        name=standing_name(plan, model, recovery_point),
        recovery_point=recovery_point,
        counts=at_rest(plan, floor),
        from_zero=zero,
        remark=FROM_ZERO if floor == 0 and not plan.components else "",
    )


def converge(now: Situation) -> Convergence:
    """Return what to do so that what runs is what the tier wants, one step at a time. Done already, it is nothing.

    What is not mldr's is not among what it is told, and what may answer clients is neither scaled nor deleted.
    """
    if now.busy:
        return Convergence(actions=(), reason=now.busy)
    mine = [one for one in now.held if one.model == str(now.model)]
    actions = (*_wanted(now, mine), *_surplus(now, mine))
    return Convergence(actions=actions, reason=_told(now, mine, actions))


def _wanted(now: Situation, held: Sequence[Held]) -> list[Action]:
    if now.wanted is None or now.wanted.name in now.used:
        return []
    found = next((one for one in held if one.name == now.wanted.name), None)
    point, name = now.wanted.recovery_point, now.wanted.name
    if found is None:
        why = f"{now.model} is {now.tier}: {point} is to stand in {now.region}"
        return [Action(verb=Verb.CREATE, endpoint=name, reason=_also(why, now), counts=now.wanted.counts)]
    if found.status in _SETTLED - {IN_SERVICE}:
        why = f"it is {found.status} and cannot stand by; it is made anew"
        return [Action(verb=Verb.DELETE, endpoint=name, reason=why)]
    if now.wanted.from_zero and found.status == IN_SERVICE and found.components:
        why = f"{now.model} is {now.tier} from zero, and nobody is served by its components; it is made anew"
        return [Action(verb=Verb.DELETE, endpoint=name, reason=why)]
    counts = now.wanted.counts
    off = {one: n for one, n in counts.items() if one in found.counts and found.counts[one].desired != n}
    if found.status == IN_SERVICE and off:
        why = f"{now.model} is {now.tier}, {_SIZE[now.tier is Tier.ACTIVE_ACTIVE]}"
        return [Action(verb=Verb.SCALE, endpoint=name, reason=_also(why, now), counts=off)]
    return []


def _also(why: str, now: Situation) -> str:
    return f"{why}; {now.wanted.remark}" if now.wanted and now.wanted.remark else why


def _surplus(now: Situation, held: Sequence[Held]) -> list[Action]:
    """An older endpoint stays until the newer one is in service: until then it is all that stands."""
    keep = now.wanted.name if now.wanted else ""
    ready = keep == "" or any(one.name == keep and one.status == IN_SERVICE for one in held)
    if not ready:
        return []
    instead = (
        f"{keep} stands in its place" if keep else f"{now.model} is {now.tier}: nothing is to stand in {now.region}"
    )
    return [
        Action(verb=Verb.DELETE, endpoint=one.name, reason=instead)
        for one in held
        if one.name != keep and one.name not in now.used and one.status in _SETTLED
    ]


def _told(now: Situation, held: Sequence[Held], actions: Sequence[Action]) -> str:
    if actions:
        return "; ".join(f"{one.verb} {one.endpoint}: {one.reason}" for one in actions)
    if now.wanted:
        found = next((one.status for one in held if one.name == now.wanted.name), MISSING)
        return f"{now.wanted.name} is {found}, as {now.tier} wants it"
    return f"nothing of {now.model} is to stand in {now.region}, and nothing does" if not held else "nothing to do"
