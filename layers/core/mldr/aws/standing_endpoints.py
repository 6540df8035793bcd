"""mldr's own endpoints of this region: found by name and tag, made smaller or larger, and taken away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from mldr.domain.serving import MODEL_TAG, OWNER, POINT_TAG
from mldr.domain.tiers import Held
from mldr.domain.warming import Count
from mldr.errors import EndpointFailed, NotAllowed
from mldr.sdk import code, translated

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_sagemaker import SageMakerClient

_OURS = re.compile(r".+-.{8}-(e\d+|s[0-9a-f]{6})")  # a claimed one, and one that stands: the tags decide
_GONE = ("ValidationException", "ResourceNotFound")
DIMENSION: Literal["sagemaker:variant:DesiredInstanceCount"] = "sagemaker:variant:DesiredInstanceCount"


class SageMakerStandingEndpoints:
    """Needs sagemaker:ListEndpoints, ListTags, DescribeEndpoint, DescribeEndpointConfig, ListInferenceComponents and
    UpdateEndpointWeightsAndCapacities; DeleteEndpoint, DeleteEndpointConfig, DeleteModel and DeleteInferenceComponent
    of what is tagged mldr:owner=mldr; application-autoscaling:DeregisterScalableTarget.
    """

    def __init__(
        self, sagemaker: Callable[[], SageMakerClient], autoscaling: Callable[[], ApplicationAutoScalingClient]
    ) -> None:
        self._clients = sagemaker, autoscaling

    @property
    def _sagemaker(self) -> SageMakerClient:
        return self._clients[0]()

    def held(self) -> list[Held]:
        with translated("list the endpoints of this region"):
            pages = self._sagemaker.get_paginator("list_endpoints").paginate()
            listed = [one for page in pages for one in page["Endpoints"] if _OURS.fullmatch(one["EndpointName"])]
            return [found for one in listed for found in self._held(one["EndpointName"], one["EndpointArn"])]

    def _held(self, name: str, arn: str) -> Iterator[Held]:
        tags = self._tags(arn)
        if tags.get(OWNER["Key"]) != OWNER["Value"] or MODEL_TAG not in tags:
            return
        described = self._described(name)
        if described is not None:
            yield Held(
                name=name,
                model=tags[MODEL_TAG],
                recovery_point=tags.get(POINT_TAG, ""),
                status=described["EndpointStatus"],
                counts={
                    one["VariantName"]: Count(
                        current=one.get("CurrentInstanceCount", 0), desired=one.get("DesiredInstanceCount", 0)
                    )
                    for one in described.get("ProductionVariants", [])
                    if "DesiredInstanceCount" in one
                },
                components=len(self._components(name)),
            )

    def _tags(self, arn: str) -> dict[str, str]:
        pages = self._sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def _described(self, name: str) -> Any:
        try:
            return self._sagemaker.describe_endpoint(EndpointName=name)
        except ClientError as error:
            if code(error) not in _GONE:
                raise
            return None

    def _components(self, endpoint: str) -> list[str]:
        pages = self._sagemaker.get_paginator("list_inference_components").paginate(EndpointNameEquals=endpoint)
        return [one["InferenceComponentName"] for page in pages for one in page["InferenceComponents"]]

    def resize(self, endpoint: str, counts: dict[str, int]) -> None:
        try:
            with translated(f"scale {endpoint}"):
                for variant in counts:
                    self._unregister(f"endpoint/{endpoint}/variant/{variant}")
                self._sagemaker.update_endpoint_weights_and_capacities(
                    EndpointName=endpoint,
                    DesiredWeightsAndCapacities=[
                        {"VariantName": name, "DesiredInstanceCount": count} for name, count in counts.items()
                    ],
                )
        except ClientError as error:
            raise EndpointFailed(f"endpoint {endpoint} cannot be changed: {error}; it is tried again") from error

    def _unregister(self, resource: str) -> None:
        try:
            self._clients[1]().deregister_scalable_target(
                ServiceNamespace="sagemaker", ResourceId=resource, ScalableDimension=DIMENSION
            )
        except ClientError as error:
            # The API reference names the first code for a target that is not there, servers in its likeness the second.
            if code(error) not in ("ObjectNotFoundException", "ValidationException"):
                raise

    def delete(self, endpoint: str) -> None:
        """The endpoint goes before its configuration, which costs nothing; models first, as only it names them."""
        described = self._described_to_delete(endpoint)
        if described is None:
            return
        with translated(f"delete endpoint {endpoint}"):
            for component in self._components(endpoint):
                self._gone(partial(self._sagemaker.delete_inference_component, InferenceComponentName=component))
            config = described["EndpointConfigName"]
            for model in self._models(config):
                self._gone(partial(self._sagemaker.delete_model, ModelName=model))
            self._gone(partial(self._sagemaker.delete_endpoint, EndpointName=endpoint))
            self._gone(partial(self._sagemaker.delete_endpoint_config, EndpointConfigName=config))

    def _described_to_delete(self, endpoint: str) -> Any:
        with translated(f"look at endpoint {endpoint}"):
            described = self._described(endpoint)
            if described and self._tags(described["EndpointArn"]).get(OWNER["Key"]) != OWNER["Value"]:
                raise NotAllowed(f"endpoint {endpoint} is not mldr's: it has no tag mldr:owner=mldr, so it stays")
            return described

    def _models(self, config: str) -> list[str]:
        try:
            found = self._sagemaker.describe_endpoint_config(EndpointConfigName=config)
        except ClientError as error:
            if code(error) not in _GONE:
                raise
            return []
        named = [one.get("ModelName") for one in found["ProductionVariants"]]
        return list(dict.fromkeys(name for name in named if name))

    def _gone(self, delete: Callable[[], object]) -> None:
        try:
            delete()
        except ClientError as error:
            if code(error) not in _GONE:
                raise
