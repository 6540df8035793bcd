"""Promotion decides what is served, the captured state how: put the chosen version where it is not served yet."""

from __future__ import annotations

from collections.abc import Mapping

from mldr.domain.recovery_point import Manifest
from mldr.domain.serving_state import Carried, ServingState


def promoted(state: ServingState, manifest: Manifest, others: Mapping[str, Manifest]) -> ServingState:
    """Return the state with the chosen version where most of the traffic goes, unless it is served already.

    It was approved and not yet rolled out when the state was captured. A model that the chosen point does not hold
    under the same field of its record stays as it was; the golden inferences say whether that is good enough.
    """
    if manifest.recovery_point in state.points:
        return state
    part = "stable." if state.document["stable"] else "service."
    moved = tuple(_moved(one, manifest, others) if one.path.startswith(part) else one for one in state.carried)
    return state.model_copy(update={"carried": moved})


def _moved(carried: Carried, manifest: Manifest, others: Mapping[str, Manifest]) -> Carried:
    held = others.get(carried.point or "")
    targets = {one.path: one.target.rstrip("/") for one in manifest.rewrites}
    for rewrite in held.rewrites if held else ():
        before = rewrite.target.rstrip("/")
        rest = str(carried.target).removeprefix(before)
        if rewrite.path in targets and str(carried.target).startswith(before) and rest[:1] in ("", "/"):
            target = targets[rewrite.path] + rest
            return carried.model_copy(update={"target": target, "point": manifest.recovery_point})
    return carried
