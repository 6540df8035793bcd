"""Which endpoint a failover could use as it stands: one made of the newest point, in the shape that was captured."""

from __future__ import annotations

from cli.regions import Place
from mldr.domain.golden import UNPROVEN
from mldr.domain.recovery_point import Manifest, Record, manifest_key
from mldr.domain.serving import ServingPlan, plan_serving
from mldr.domain.tiers import standing_name


def manifest_of(place: Place, point: Record | None) -> Manifest | None:
    """Return the sealed statement of a point; None without a point, or when the vault does not have it any more."""
    if point is None:
        return None
    content = place.sealed.read(manifest_key(point.model, point.recovery_point), point.manifest_version)
    return Manifest.model_validate_json(content) if content else None


def standing_for(place: Place, manifest: Manifest) -> str | None:
    """Return how that endpoint is called, whether it is there or not; None for KServe, which has one name."""
    if manifest.policy.serving.kserve:
        return None
    return standing_name(_plan(place, manifest), manifest.model, manifest.recovery_point)


def foreseen(place: Place, point: Record | None) -> tuple[str, ...]:
    """Return what of a model that is restored from this point will not be as it was, as far as it is known by day."""
    manifest = manifest_of(place, point) if point and point.manifest_version else None
    if manifest is None:
        return ()
    unproven = () if manifest.golden else (UNPROVEN.reason,)
    return (*_plan(place, manifest).warnings, *unproven)


def _plan(place: Place, manifest: Manifest) -> ServingPlan:
    state, others = place.captures.newest(manifest.model), {}
    for name in state.points if state else ():
        other = manifest_of(place, place.catalog.record(manifest.model, name))
        if other and name != manifest.recovery_point:
            others[name] = other
    return plan_serving(manifest, epoch=0, state=state, others=others, name="name")
