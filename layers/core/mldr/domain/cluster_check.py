"""Find the mistakes in a policy's clusters, and in what names them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from mldr.domain.kserve_rules import LABEL, ClusterRule
from mldr.domain.policy_explain import explain, nearest
from mldr.domain.policy_text import Path

Found = tuple[Path, str]


def wrong_clusters(clusters: dict[str, Any], regions: list[str]) -> Iterator[Found]:
    """Yield what is wrong in the clusters; what is no group of fields is a mistake of the file."""
    for name, own in clusters.items():
        here: Path = ("clusters", name)
        if not re.fullmatch(LABEL, name):
            yield here, "is not a name; give small letters, digits and hyphens, 63 at the most"
        if not isinstance(own, dict):
            continue
        if lacking := [region for region in regions if region not in own]:
            yield here, f"{', '.join(lacking)} is missing; a model is restored there, so say how the cluster is reached"
        for region, rule in own.items():
            yield from _wrong_cluster(rule, region, (*here, region), regions)


def _wrong_cluster(rule: Any, region: str, here: Path, regions: list[str]) -> Iterator[Found]:
    if region not in regions:
        hint = nearest(region, regions, f"the regions are {', '.join(regions)}")
        yield here, f"{region!r} is not one of the policy's regions; {hint}"
    if not isinstance(rule, dict):
        return
    try:
        ClusterRule.model_validate(rule)
    except ValidationError as wrong:
        for error in wrong.errors(include_url=False):
            yield (*here, *error["loc"]), explain(ClusterRule, error)


def unknown_cluster(entry: dict[str, Any], here: Path, clusters: dict[str, Any]) -> Iterator[Found]:
    """Yield a mistake when the entry names a cluster that the policy does not know."""
    serving = entry.get("serving")
    kserve = serving.get("kserve") if isinstance(serving, dict) else None
    named = kserve.get("cluster") if isinstance(kserve, dict) else None
    if isinstance(named, str) and named not in clusters:
        hint = nearest(named, clusters, "add it under clusters, with how it is reached in each region")
        yield (*here, "serving", "kserve", "cluster"), f"{named!r} is not under clusters; {hint}"
