"""mldr's own endpoints of this region: found by name and tag, made smaller or larger, and taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from mldr.aws.capacities import ask, component_names, copies, instances
from mldr.aws.scaling_alarms import delete_alarms
from mldr.aws.serving_source import RESOURCES, batched
from mldr.domain.components import base_of, counted_component, models_of
from mldr.domain.serving import MODEL_TAG, OWNER, POINT_TAG
from mldr.domain.tiers import Held, may_be_ours
from mldr.errors import EndpointFailed, NotAllowed
from mldr.sdk import code, is_absent, translated

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sagemaker import SageMakerClient

_UNDER_WAY = ("Creating", "Deleting")  # of components: neither is deleted
Dimension = Literal["sagemaker:variant:DesiredInstanceCount", "sagemaker:inference-component:DesiredCopyCount"]
DIMENSION: Dimension = "sagemaker:variant:DesiredInstanceCount"
COPIES: Dimension = "sagemaker:inference-component:DesiredCopyCount"


class SageMakerStandingEndpoints:
    """Needs sagemaker:ListEndpoints, ListTags, DescribeEndpoint, DescribeEndpointConfig, DescribeModel,
    ListInferenceComponents, DescribeInferenceComponent, UpdateEndpointWeightsAndCapacities and
    UpdateInferenceComponentRuntimeConfig; DeleteEndpoint, DeleteEndpointConfig, DeleteModel and
    DeleteInferenceComponent of what is tagged mldr:owner=mldr; application-autoscaling:DescribeScalableTargets and
    DeregisterScalableTarget; cloudwatch:DescribeAlarms and DeleteAlarms.
    """

    def __init__(
        self,
        sagemaker: Callable[[], SageMakerClient],
        autoscaling: Callable[[], ApplicationAutoScalingClient],
        cloudwatch: Callable[[], CloudWatchClient],
    ) -> None:
        self._clients, self._cloudwatch = (sagemaker, autoscaling), cloudwatch

    @property
    def _sagemaker(self) -> SageMakerClient:
        return self._clients[0]()

    def held(self) -> list[Held]:
        with translated("list the endpoints of this region"):
            pages = self._sagemaker.get_paginator("list_endpoints").paginate()
            listed = [one for page in pages for one in page["Endpoints"] if may_be_ours(one["EndpointName"])]
            return [found for one in listed for found in self._held(one["EndpointName"], one["EndpointArn"])]

    def _held(self, name: str, arn: str) -> Iterator[Held]:
        tags = self._tags(arn)
        if tags.get(OWNER["Key"]) != OWNER["Value"] or MODEL_TAG not in tags:
            return
        described = self._described(name)
        if described is not None:
            components = component_names(self._sagemaker, name)
            yield Held(
                name=name,
                model=tags[MODEL_TAG],
                recovery_point=tags.get(POINT_TAG, ""),
                status=described["EndpointStatus"],
                counts=instances(described) | copies(self._sagemaker, components),
                components=len(components),
            )

    def _tags(self, arn: str) -> dict[str, str]:
        pages = self._sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def _described(self, name: str) -> Any:
        try:
            return self._sagemaker.describe_endpoint(EndpointName=name)
        except ClientError as error:
            if not is_absent(error):
                raise
            return None

    def resize(self, endpoint: str, counts: dict[str, int]) -> None:
        try:
            with translated(f"scale {endpoint}"):
                for name in counts:
                    self._unregister(*scaled_by(endpoint, name))
                delete_alarms(self._cloudwatch(), endpoint)
                ask(self._sagemaker, endpoint, counts)  # what has to be asked for later, the next look does
        except ClientError as error:
            raise EndpointFailed(f"endpoint {endpoint} cannot be changed: {error}; it is tried again") from error

    def settle(self, endpoint: str, names: Sequence[str]) -> None:
        with translated(f"look at the autoscaling of {endpoint}"):
            dimensions = dict(scaled_by(endpoint, name) for name in names)
            for some in batched(list(dimensions), RESOURCES):
                found = self._clients[1]().describe_scalable_targets(
                    ServiceNamespace="sagemaker", ResourceIds=list(some)
                )
                scaled = [one["ResourceId"] for one in found["ScalableTargets"]]
                for resource in scaled:
                    self._unregister(resource, dimensions[resource])
                if scaled:
                    delete_alarms(self._cloudwatch(), endpoint)

    def _unregister(self, resource: str, dimension: Dimension) -> None:
        try:
            self._clients[1]().deregister_scalable_target(
                ServiceNamespace="sagemaker", ResourceId=resource, ScalableDimension=dimension
            )
        except ClientError as error:
            # The API reference names the first code for a target that is not there, servers in its likeness the second.
            if code(error) not in ("ObjectNotFoundException", "ValidationException"):
                raise

    def delete(self, endpoint: str) -> bool:
        """The endpoint goes before its configuration, which costs nothing; models first, as only it names them.

        SageMaker deletes no endpoint that has inference components, and takes its time for them: the next look goes on.
        """
        described = self._described_to_delete(endpoint)
        if described is None:
            return True
        with translated(f"delete endpoint {endpoint}"):
            delete_alarms(self._cloudwatch(), endpoint)
            if self._let_components_go(endpoint):
                return False
            name = described["EndpointConfigName"]
            config = self._config(name)
            for model in _models(config) if config else ():
                self._delete_model(model)
            if described["EndpointStatus"] != "Deleting":
                self._gone(partial(self._sagemaker.delete_endpoint, EndpointName=endpoint))
            if config:
                self._gone(partial(self._sagemaker.delete_endpoint_config, EndpointConfigName=name))
            return True

    def _delete_model(self, name: str) -> None:
        """A right that rests on a tag refuses to delete what is not there any more: so it is looked for before."""
        try:
            self._sagemaker.describe_model(ModelName=name)
        except ClientError as error:
            if _missing(error):
                return
            raise
        self._gone(partial(self._sagemaker.delete_model, ModelName=name))

    def _let_components_go(self, endpoint: str) -> bool:
        """Delete the components, each after its models, a base after its adapters. Return whether any is left."""
        described = [one for name in component_names(self._sagemaker, endpoint) if (one := self._component(name))]
        adapters = [one for one in described if base_of(one)]
        for one in adapters or described:
            if one.get("InferenceComponentStatus") in _UNDER_WAY:
                continue
            for model in models_of(one):
                self._delete_model(model)
            name = one["InferenceComponentName"]
            self._gone(partial(self._sagemaker.delete_inference_component, InferenceComponentName=name))
        return bool(component_names(self._sagemaker, endpoint))

    def _component(self, name: str) -> Any:
        try:
            return self._sagemaker.describe_inference_component(InferenceComponentName=name)
        except ClientError as error:
            if not _missing(error):
                raise
            return None

    def _described_to_delete(self, endpoint: str) -> Any:
        with translated(f"look at endpoint {endpoint}"):
            described = self._described(endpoint)
            if described and self._tags(described["EndpointArn"]).get(OWNER["Key"]) != OWNER["Value"]:
                raise NotAllowed(f"endpoint {endpoint} is not mldr's: it has no tag mldr:owner=mldr, so it stays")
            return described

    def _config(self, name: str) -> Any:
        try:
            return self._sagemaker.describe_endpoint_config(EndpointConfigName=name)
        except ClientError as error:
            if not is_absent(error):
                raise
            return None

    def _gone(self, delete: Callable[[], object]) -> None:
        """SageMaker has one code for what is not there and for what it does not delete now: the message tells them."""
        try:
            delete()
        except ClientError as error:
            if _missing(error):
                return
            if code(error) == "ValidationException":
                raise EndpointFailed(f"{error}; it is deleted with a later look") from error
            raise


def _models(config: Any) -> list[str]:
    variants: list[Any] = [*config["ProductionVariants"], *config.get("ShadowProductionVariants", [])]
    named = [one.get("ModelName") for one in variants]
    return list(dict.fromkeys(name for name in named if name))


def _missing(error: ClientError) -> bool:
    return code(error) == "ResourceNotFound" or (
        code(error) == "ValidationException" and "Could not find" in str(error)
    )


def scaled_by(endpoint: str, name: str) -> tuple[str, Dimension]:
    """Return the resource and the dimension by which Application Auto Scaling counts a variant, or a component."""
    if component := counted_component(name):
        return f"inference-component/{component}", COPIES
    return f"endpoint/{endpoint}/variant/{name}", DIMENSION
