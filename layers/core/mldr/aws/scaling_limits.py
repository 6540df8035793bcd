"""The highest counts to which Application Auto Scaling may bring the variants of an endpoint of this region."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from mldr.aws.standing_endpoints import DIMENSION
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
        named = {_resource(endpoint, variant): variant for variant in variants}
        if not named:
            return {}
        with translated(f"look at the autoscaling of {endpoint}"):
            found = self._autoscaling().describe_scalable_targets(
                ServiceNamespace="sagemaker", ResourceIds=list(named), ScalableDimension=DIMENSION
            )
        return {named[one["ResourceId"]]: one["MaxCapacity"] for one in found["ScalableTargets"]}

    def allow(self, endpoint: str, limits: dict[str, int]) -> None:
        """What is not named keeps its value.

        Source: autoscaling/application/APIReference/API_RegisterScalableTarget (to update a target).
        """
        for variant, limit in limits.items():
            try:
                with translated(f"change the autoscaling of {endpoint}"):
                    self._autoscaling().register_scalable_target(
                        ServiceNamespace="sagemaker",
                        ResourceId=_resource(endpoint, variant),
                        ScalableDimension=DIMENSION,
                        MaxCapacity=limit,
                    )
            except ClientError as error:
                raise EndpointFailed(f"the autoscaling of {endpoint} cannot be changed: {error}") from error


def _resource(endpoint: str, variant: str) -> str:
    return f"endpoint/{endpoint}/variant/{variant}"
