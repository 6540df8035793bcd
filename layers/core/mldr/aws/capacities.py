"""How much of an endpoint there is, and asking for more or less: instances and weights of variants, components' copies.

Copies are counted beside the instances, under the name of their component.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from mldr.domain.components import base_of, copies_key, counted_component, managed
from mldr.domain.warming import Count
from mldr.sdk import code, is_absent

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient


def component_names(client: SageMakerClient, endpoint: str) -> list[str]:
    """Return the inference components of an endpoint, also those that are being made or deleted."""
    pages = client.get_paginator("list_inference_components").paginate(EndpointNameEquals=endpoint)
    return sorted(one["InferenceComponentName"] for page in pages for one in page["InferenceComponents"])


def copies(client: SageMakerClient, components: list[str]) -> dict[str, Count]:
    """Return how many copies each component has; an adapter has those of its base, and is not counted."""
    found = {}
    for name in components:
        try:
            described: Any = client.describe_inference_component(InferenceComponentName=name)
        except ClientError as error:
            if not is_absent(error):
                raise
            continue  # it was deleted meanwhile
        runs = described.get("RuntimeConfig", {})
        if "DesiredCopyCount" in runs and not base_of(described):
            found[copies_key(name)] = Count(current=runs.get("CurrentCopyCount", 0), desired=runs["DesiredCopyCount"])
    return found


def instances(described: Any) -> dict[str, Count]:
    """Return what each production variant of a described endpoint has; not of one whose instances follow its copies."""
    return {
        one["VariantName"]: Count(
            current=one.get("CurrentInstanceCount", 0),
            desired=one.get("DesiredInstanceCount", one.get("CurrentInstanceCount", 0)),
            weight=one.get("CurrentWeight", 1.0),
        )
        for one in described.get("ProductionVariants", [])
        if ("CurrentInstanceCount" in one or "DesiredInstanceCount" in one) and not managed(one)
    }


def ask(
    client: SageMakerClient, endpoint: str, counts: Mapping[str, int], weights: Mapping[str, float] | None = None
) -> tuple[str, ...]:
    """Ask for counts and weights; return the variants that have to be asked for once the endpoint is in service again.

    The API reference has "weight of one or more variants, or capacity of one variant", the Service Authorization
    Reference "weight, capacity, or both of one or more variants". So all is asked for at once, and what is refused so
    one variant after another: each change makes the endpoint Updating, and whoever asks looks again anyway.
    """
    for key, count in counts.items():
        if component := counted_component(key):
            client.update_inference_component_runtime_config(
                InferenceComponentName=component, DesiredRuntimeConfig={"CopyCount": count}
            )
    wanted: dict[str, dict[str, Any]] = {
        name: {"DesiredInstanceCount": count} for name, count in counts.items() if not counted_component(name)
    }
    alone = [{"VariantName": name, **asked} for name, asked in wanted.items()]
    for name, weight in (weights or {}).items():
        wanted.setdefault(name, {})["DesiredWeight"] = weight
    return _asked(client, endpoint, [{"VariantName": name, **asked} for name, asked in wanted.items()], alone)


def _asked(client: SageMakerClient, endpoint: str, together: Any, alone: Any) -> tuple[str, ...]:
    if not together:
        return ()
    try:
        client.update_endpoint_weights_and_capacities(EndpointName=endpoint, DesiredWeightsAndCapacities=together)
    except ClientError as error:
        if code(error) != "ValidationException" or len(together) == 1 or not alone:
            raise
    else:
        return ()
    client.update_endpoint_weights_and_capacities(EndpointName=endpoint, DesiredWeightsAndCapacities=alone[:1])
    return tuple(one["VariantName"] for one in together if one["VariantName"] != alone[0]["VariantName"])
