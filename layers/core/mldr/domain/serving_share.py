"""What of a takeover's endpoint is the home's, where that endpoint answered beside the home until it took over.

It carries the load of both, with instances for both, and its autoscaling may reach twice as far (`tiers.for_both`).
Once the home has its model back both regions answer again: what comes home is the home's part, or each cycle would add
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mldr.domain.components import MANAGED, NAME, VARIANTS, copies_key, copies_of, counted_component, sole
from mldr.domain.serving_state import Live, Observed


def without_share(observed: Observed, share: Mapping[str, int]) -> Observed:
    """Return what was observed without the instances, copies and limits of the region that answered beside the home.

    `share` is what that region had while both answered. What did not grow by it, because instances were refused, was as
    large as the home (0024), so what comes home is never less than the share, as far as that is there.
    """
    document = _limited(observed.document)
    limits = _limits(document)
    live = tuple(_live(one, share, limits) for one in observed.live)
    components = [_component(one, share, document, limits) for one in document.get("Components", [])]
    kept = {**document, "Components": components} if components else document
    return observed.model_copy(update={"document": kept, "live": live})


def _part(count: int, share: int, most: int | None) -> int:
    part = max(count - share, min(count, share))
    return part if most is None else min(part, max(1, most))


def _live(one: Live, share: Mapping[str, int], limits: Mapping[str, int]) -> Live:
    if one.instances is None or one.shadow or one.variant not in share:
        return one
    part = _part(one.instances, share[one.variant], limits.get(f"variant/{one.variant}"))
    return one.model_copy(update={"instances": part})


def _component(
    one: dict[str, Any], share: Mapping[str, int], document: Mapping[str, Any], limits: Mapping[str, int]
) -> dict[str, Any]:
    """A component is called otherwise in the other region: the only one whose copies are counted is the same."""
    counted = [str(other[NAME]) for other in document["Components"] if copies_of(other) is not None]
    own, alone = copies_key(one[NAME]), sole([name for name in share if counted_component(name)])
    key = own if own in share else alone if counted == [one[NAME]] else ""
    copies = copies_of(one)
    if not key or copies is None:
        return one
    part = _part(copies, share[key], limits.get(f"inference-component/{one[NAME]}"))
    return {**one, "RuntimeConfig": {**one["RuntimeConfig"], "CopyCount": part}}


def _limited(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with the limits of autoscaling that `tiers.for_both` had doubled."""
    halved = dict(document)
    config = document.get("Config", {})
    if VARIANTS in config:
        halved["Config"] = {**config, VARIANTS: [_managed(one) for one in config[VARIANTS]]}
    for kind, change in (("ScalableTargets", _half), ("ScheduledActions", _rescheduled)):
        if kind in document:
            halved[kind] = [change(one) for one in document[kind]]
    return halved


def _managed(variant: dict[str, Any]) -> dict[str, Any]:
    managed = variant.get(MANAGED, {})
    if "MaxInstanceCount" not in managed:
        return variant
    most = max(_halved(managed["MaxInstanceCount"]), managed.get("MinInstanceCount", 0))
    return {**variant, MANAGED: {**managed, "MaxInstanceCount": most}}


def _rescheduled(schedule: dict[str, Any]) -> dict[str, Any]:
    action = schedule.get("ScalableTargetAction")
    return {**schedule, "ScalableTargetAction": _half(action)} if action else schedule


def _half(target: dict[str, Any]) -> dict[str, Any]:
    if "MaxCapacity" not in target:
        return target
    return {**target, "MaxCapacity": max(_halved(target["MaxCapacity"]), target.get("MinCapacity", 0))}


def _halved(most: int) -> int:
    return -(-most // 2)


def _limits(document: Mapping[str, Any]) -> dict[str, int]:
    """Return the highest count that autoscaling allows, by what is scaled, without the endpoint's name."""
    found = {}
    for one in document.get("ScalableTargets", []):
        kind, _, rest = one["ResourceId"].partition("/")
        if "MaxCapacity" in one:
            found[rest.partition("/")[2] if kind == "endpoint" else one["ResourceId"]] = one["MaxCapacity"]
    return found
