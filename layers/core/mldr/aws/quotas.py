"""How many instances endpoints of this region may have, and how many they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from mldr.domain.capacity import instance_type
from mldr.sdk import is_absent, translated

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_service_quotas import ServiceQuotasClient

_VARIANTS = ("ProductionVariants", "ShadowProductionVariants")


class ServiceQuotas:
    """Needs servicequotas:ListServiceQuotas and ListAWSDefaultServiceQuotas; sagemaker:ListEndpoints, DescribeEndpoint
    and DescribeEndpointConfig.
    """

    def __init__(self, quotas: Callable[[], ServiceQuotasClient], sagemaker: Callable[[], SageMakerClient]) -> None:
        self._clients = quotas, sagemaker

    def limits(self) -> dict[str, int]:
        """A quota that was never raised is only among the defaults:
        docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html.
        """
        with translated("list the quotas of SageMaker"):
            defaults, applied = self._named("list_aws_default_service_quotas"), self._named("list_service_quotas")
            return dict([*defaults, *applied])

    def _named(self, operation: Any) -> Iterator[tuple[str, int]]:
        for page in self._clients[0]().get_paginator(operation).paginate(ServiceCode="sagemaker"):
            for quota in page["Quotas"]:
                if kind := instance_type(quota["QuotaName"]):
                    yield kind, int(quota["Value"])

    def held(self) -> dict[str, dict[str, int]]:
        with translated("list the endpoints of this region"):
            pages = self._clients[1]().get_paginator("list_endpoints").paginate()
            names = [one["EndpointName"] for page in pages for one in page["Endpoints"]]
        return {name: held for name in names if (held := self._held_by(name))}

    def _held_by(self, endpoint: str) -> dict[str, int]:
        """Return what its variants have or asked for. An endpoint that comes up is told only by its configuration."""
        sagemaker = self._clients[1]()
        try:
            with translated(f"describe endpoint {endpoint}"):
                described: Any = sagemaker.describe_endpoint(EndpointName=endpoint)
                config: Any = sagemaker.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
        except ClientError as error:
            if not is_absent(error):
                raise
            return {}
        held: Counter[str] = Counter()
        for place in _VARIANTS:
            live = {one["VariantName"]: one for one in described.get(place, [])}
            for variant in config.get(place, []):
                if kind := variant.get("InstanceType"):
                    held[kind] += _count(variant, live.get(variant["VariantName"]))
        return dict(held)


def _count(variant: dict[str, Any], live: dict[str, Any] | None) -> int:
    asked: int = variant.get("InitialInstanceCount", 0)
    if live is None:
        return asked
    current: int = live.get("CurrentInstanceCount", asked)
    desired: int = live.get("DesiredInstanceCount", 0)
    return max(current, desired)
