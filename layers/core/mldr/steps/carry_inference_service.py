"""Give everything region-bound in a captured InferenceService its counterpart in the standby region (law 9)."""

from __future__ import annotations

from mldr.domain.kserve_references import Binding, Bound, carried, find_bound, find_refused
from mldr.domain.model_rules import ServingRule
from mldr.domain.recovery_point import Manifest, Record
from mldr.domain.region_words import reworded, unmapped
from mldr.domain.serving_references import Problem
from mldr.domain.serving_state import Carried, Kind, Observed
from mldr.ports.registry import Images
from mldr.ports.vault import Vault
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.standby_images import standby_image

_KINDS = {Binding.S3: Kind.MODEL_DATA, Binding.IMAGE: Kind.IMAGE, Binding.REGION: Kind.REGION}
_ADVICE = {
    Binding.S3: "is in no sealed recovery point of the model: approve and protect the version that it belongs to, "
    "or write where it is in the standby into the policy: serving.references",
    Binding.CLUSTER: "is a volume of the cluster in {region}, and no recovery point holds its bytes: "
    "serve the model from S3",
    Binding.OTHER: "is bound to {region}: let it come from a ConfigMap or a Secret of each cluster, "
    "or write its counterpart into the policy: serving.references",
}


def carry_inference_service(
    observed: Observed,
    *,
    rules: ServingRule,
    region: str,
    standby: str,
    records: list[Record],
    vault: Vault,
    images: Images,
) -> tuple[tuple[Carried, ...], tuple[Problem, ...]]:
    """Return what is carried, and a problem for each value that has no counterpart or must not be captured.

    A model's bytes stand in its sealed points, looked for from the newest on: an older revision's in an older point.
    """
    documents = {name: observed.document[name] for name in ("service", "stable", "runtime")}
    problems = find_refused(documents, rules.not_secret)
    secret = {one.path for one in problems}  # nothing else is said of these: it would say what stands there
    bound = [one for one in find_bound(documents, region) if one.path not in secret]
    manifests = _sealed(records, vault) if any(one.binding is Binding.S3 for one in bound) else []
    found: list[Carried] = []
    for one in bound:
        counterpart = _counterpart(one, rules, region, standby, manifests, images)
        if counterpart is None:
            said = ", ".join(unmapped(one.words, rules.references)) or one.value
            said = f"{said} {_ADVICE[one.binding].format(region=region)}"
            problems.append(Problem(path=one.path, text=said, kind=_KINDS.get(one.binding, Kind.ARN)))
        else:
            found.append(_carried(one, *counterpart))
    return tuple(found), tuple(problems)


def _carried(bound: Bound, target: str, point: str | None) -> Carried:
    kind = _KINDS.get(bound.binding, Kind.ARN)
    return Carried(path=bound.path, kind=kind, source=bound.value, target=target, point=point)


def _counterpart(
    bound: Bound, rules: ServingRule, region: str, standby: str, manifests: list[Manifest], images: Images
) -> tuple[str, str | None] | None:
    """Return (target, recovery point); the policy's own word comes first."""
    if (named := reworded(bound.value, bound.words, rules.references)) is not None:
        return named, None
    match bound.binding:
        case Binding.REGION:
            return standby, None
        case Binding.IMAGE:
            return standby_image(bound.path, bound.value, region, standby, images), None
        case Binding.S3:
            return carried(bound.value, manifests)
    return None


def _sealed(records: list[Record], vault: Vault) -> list[Manifest]:
    newest = sorted(
        (one for one in records if one.restorable),
        key=lambda one: (one.origin.promoted_at, one.recovery_point),
        reverse=True,
    )
    return [read_manifest(vault, one) for one in newest]
