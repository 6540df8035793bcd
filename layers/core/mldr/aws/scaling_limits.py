"""The highest counts to which Application Auto Scaling may bring the variants of an endpoint of this region."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from mldr.aws.serving_source import RESOURCES, batched
from mldr.aws.standing_endpoints import scaled_by
from mldr.errors import EndpointFailed
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient


class AutoScalingLimits:
    """Needs application-autoscaling:DescribeScalableTargets and RegisterScalableTarget.

    Application Auto Scaling asks for sagemaker:DescribeEndpoint, DescribeEndpointConfig and
    UpdateEndpointWeightsAndCapacities in the caller's name.
    """

    def __init__(self, autoscaling: Callable[[], ApplicationAutoScalingClient]) -> None:
        self._autoscaling = autoscaling

    def limits(self, endpoint: str, variants: Sequence[str]) -> dict[str, int]:
        named = {scaled_by(endpoint, variant): variant for variant in variants}
        found: list[Any] = []
        with translated(f"look at the autoscaling of {endpoint}"):
            for some in batched([resource for resource, _ in named], RESOURCES):
                answer = self._autoscaling().describe_scalable_targets(
                    ServiceNamespace="sagemaker", ResourceIds=list(some)
                )
                found += answer["ScalableTargets"]
        targets = {(one["ResourceId"], one["ScalableDimension"]): one["MaxCapacity"] for one in found}
        return {name: targets[place] for place, name in named.items() if place in targets}

    def allow(self, endpoint: str, limits: dict[str, int]) -> None:
        """What is not named keeps its value.

        Source: autoscaling/application/APIReference/API_RegisterScalableTarget (to update a target).
        """
        for variant, limit in limits.items():
            resource, dimension = scaled_by(endpoint, variant)
            try:
                with translated(f"change the autoscaling of {endpoint}"):
                    self._autoscaling().register_scalable_target(
                        ServiceNamespace="sagemaker",
                        ResourceId=resource,
                        ScalableDimension=dimension,
                        MaxCapacity=limit,
                    )
            except ClientError as error:
                raise EndpointFailed(f"the autoscaling of {endpoint} cannot be changed: {error}") from error
