"""What a captured state lacks to be restored: a description says only what the AWS SDK that asked for it knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mldr.domain.components import BASE, specifications
from mldr.domain.serving_references import Problem

_PLACES = ("ProductionVariants", "ShadowProductionVariants")
_HARDWARE = ("InstanceType", "ServerlessConfig", "InstancePools")
_MADE_OF = ("ModelName", "Container", BASE)
NEWER = (
    "SageMaker says it by a field that the AWS SDK of this function does not know; put boto3 into "
    "layers/core/requirements.in, `make lock` and deploy: the layer's is used before that of Lambda's runtime"
)


def find_undescribed(document: Mapping[str, Any]) -> list[Problem]:
    """Return what each variant runs on and each component is made of, where the document does not say it."""
    return [*_variants(document.get("Config", {})), *_components(document.get("Components", []))]


def _variants(config: Mapping[str, Any]) -> Iterator[Problem]:
    for place in _PLACES:
        for index, one in enumerate(config.get(place, [])):
            if not any(one.get(field) for field in _HARDWARE):
                yield _problem(f"Config.{place}[{index}]", f"variant {one['VariantName']}", _HARDWARE)


def _components(components: list[dict[str, Any]]) -> Iterator[Problem]:
    for index, one in enumerate(components):
        name = f"component {one['InferenceComponentName']}"
        made = specifications(one)
        if not made:
            yield _problem(f"Components[{index}]", name, ("Specification", "Specifications"))
        elif not all(any(said.get(field) for field in _MADE_OF) for said in made):
            yield _problem(f"Components[{index}].Specification", name, _MADE_OF)


def _problem(path: str, whose: str, fields: tuple[str, ...]) -> Problem:
    return Problem(path=f"{path}.{fields[0]}", text=f"{whose} is described with none of {', '.join(fields)}: {NEWER}")
