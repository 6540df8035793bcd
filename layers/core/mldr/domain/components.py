"""Inference components: which of an endpoint's answers for a model, what it is made of, and how its copies are counted.

An endpoint whose variants name no model answers only requests that name a component. Of several, nobody but the owner
knows which one is the model; the others are other models' affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mldr.errors import BadReference

VARIANTS = "ProductionVariants"
NAME = "InferenceComponentName"
BASE = "BaseInferenceComponentName"
MANAGED = "ManagedInstanceScaling"
_OF_MODELS = {"InitialVariantWeight", "EnableSSMAccess"}
_SCALING = ("ScalableTargets", "ScalingPolicies", "ScheduledActions")
_COPIES = "component/"  # no variant has a slash in its name


def copies_key(component: str) -> str:
    """Return the name under which copies are counted beside the instances of variants."""
    return f"{_COPIES}{component}"


def counted_component(key: str) -> str:
    """Return the component whose copies are counted under this name, '' for a variant."""
    return key[len(_COPIES) :] if key.startswith(_COPIES) else ""


def managed(variant: Mapping[str, Any]) -> bool:
    """Return whether SageMaker itself decides how many instances a variant has: as many as its components need."""
    return bool(variant.get(MANAGED, {}).get("Status") == "ENABLED")


def from_zero(variant: Mapping[str, Any]) -> bool:
    """Return whether a variant may go down to no instance at all."""
    return managed(variant) and variant["ManagedInstanceScaling"].get("MinInstanceCount") == 0


def as_taken(variant: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a captured variant as CreateEndpointConfig takes it in any region, and what of it is not as it was.

    One without a model has no traffic of its own: it takes neither weight nor SSM access
    (github.com/hashicorp/terraform-provider-aws/pull/44977). Managed scaling is taken of no other one
    (github.com/hashicorp/terraform-provider-aws/pull/45926), and a minimum of zero not in every region
    (github.com/stdapi-ai/stdapi.ai/issues/43).
    """
    name = variant["VariantName"]
    if variant.get("ModelName"):
        if not managed(variant):
            return {key: value for key, value in variant.items() if key != MANAGED}, ()
        said = f"variant {name} has {MANAGED}, which SageMaker takes only of inference components now; it is left out"
        return {key: value for key, value in variant.items() if key != MANAGED}, (said,)
    made = {key: value for key, value in variant.items() if key not in _OF_MODELS}
    if not from_zero(made):
        return made, ()
    said = (
        f"variant {name} scales to zero instances where it was captured; what a failover makes keeps one, "
        "because not every region takes a minimum of 0"
    )
    return {**made, MANAGED: {**made[MANAGED], "MinInstanceCount": 1}}, (said,)


def sole(components: Sequence[str]) -> str:
    """Return the only component, '' of none or of several."""
    return components[0] if len(components) == 1 else ""


def hosts_components(document: Mapping[str, Any]) -> bool:
    """Return whether an endpoint is asked by the name of a component."""
    return any(not one.get("ModelName") for one in document.get("Config", {}).get(VARIANTS, []))


def specifications(component: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Return what a component is made of: one for all instance types, or one for each, whichever form says it."""
    several: Sequence[dict[str, Any]] = component.get("Specifications") or ()
    return several or ((component["Specification"],) if component.get("Specification") else ())


def base_of(component: Mapping[str, Any]) -> str:
    """Return the component that an adapter is loaded by, '' for what is none."""
    return next((one[BASE] for one in specifications(component) if one.get(BASE)), "")


def models_of(component: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the SageMaker models that a component names."""
    return tuple(one["ModelName"] for one in specifications(component) if one.get("ModelName"))


def copies_of(component: Mapping[str, Any]) -> int | None:
    """Return the copies of a component, None for an adapter, which has those of its base."""
    copies: int | None = component.get("RuntimeConfig", {}).get("CopyCount")
    return None if base_of(component) else copies


def answering(document: Mapping[str, Any], named: str) -> str:
    """Return the component that answers for a model, '' where none is asked. Raises BadReference with what to write.

    `named` is the policy's `serving.component`.
    """
    components = [one[NAME] for one in document.get("Components", [])]
    endpoint = document.get("Endpoint", {}).get("EndpointName", "")
    known = ", ".join(components) or "none that serves"
    if not hosts_components(document):
        if named:
            raise BadReference(
                f"serving.component: endpoint {endpoint} answers by its variants, not by inference components; "
                "take serving.component out of the policy"
            )
        return ""
    if named and named not in components:
        raise BadReference(
            f"serving.component: endpoint {endpoint} has no inference component {named} in service (it has {known}); "
            "write the one that answers for this model"
        )
    if named or len(components) == 1:
        return named or components[0]
    raise BadReference(
        f"endpoint {endpoint} answers only by inference components, and has {known}; "
        "write the one that answers for this model into the policy: serving.component"
    )


def needed(document: Mapping[str, Any], component: str) -> frozenset[str]:
    """Return the components without which one does not answer: itself, and what it is loaded by."""
    found = {one[NAME]: base_of(one) for one in document.get("Components", [])}
    return frozenset(_chain(component, found)) if component else frozenset()


def only(document: Mapping[str, Any], component: str) -> dict[str, Any]:
    """Return the document with what one component needs to answer, and none of the endpoint's other components.

    Those are other models: what they are made of is not of this model's points, and not this model's to restore.
    """
    if not component:
        return dict(document)
    kept = needed(document, component)
    components = [one for one in document["Components"] if one[NAME] in kept]
    dropped = {f"inference-component/{one[NAME]}" for one in document["Components"] if one[NAME] not in kept}
    places = (VARIANTS, "ShadowProductionVariants")
    named = {one.get("ModelName") for place in places for one in document["Config"].get(place, [])}
    named |= {model for one in components for model in models_of(one)}
    scaling = {kind: [one for one in document.get(kind, []) if one["ResourceId"] not in dropped] for kind in _SCALING}
    models = [one for one in document["Models"] if one["ModelName"] in named]
    return {**document, "Components": components, "Models": models, **scaling}


def _chain(component: str, bases: Mapping[str, str]) -> Iterator[str]:
    seen: set[str] = set()
    while component and component not in seen:
        seen.add(component)
        yield component
        component = bases.get(component, "")


def bases_first(components: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the components in an order in which they can be made: an adapter needs its base."""
    return sorted(components, key=lambda one: bool(base_of(one)))
