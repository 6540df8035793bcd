"""What the model's own endpoint of this region was made of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from mldr.domain.prediction_cache import Look
from mldr.domain.serving_state import IN_SERVICE
from mldr.sdk import code, translated

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

MISSING = "Missing"


class SageMakerOwnEndpoints:
    """Needs sagemaker:DescribeEndpoint, DescribeEndpointConfig and DescribeModel."""

    def __init__(self, sagemaker: Callable[[], SageMakerClient]) -> None:
        self._sagemaker = sagemaker
        self._made_of: dict[str, tuple[str, dt.datetime, int, frozenset[str]]] = {}

    def contents(self, endpoint: str) -> frozenset[str]:
        try:
            with translated(f"look into endpoint {endpoint}"):
                return frozenset(self._contents(endpoint))
        except ClientError as error:
            if code(error) not in ("ValidationException", "ResourceNotFound"):
                raise
            return frozenset()

    def look(self, endpoint: str) -> Look:
        try:
            with translated(f"look at endpoint {endpoint}"):
                return self._look(endpoint)
        except ClientError as error:
            if code(error) not in ("ValidationException", "ResourceNotFound"):
                raise
            return Look(status=MISSING)

    def _look(self, endpoint: str) -> Look:
        """A configuration is never changed, so it and its models are described once for each change of the endpoint."""
        found = self._sagemaker().describe_endpoint(EndpointName=endpoint)
        config, changed = found["EndpointConfigName"], found["LastModifiedTime"]
        told = {"status": found["EndpointStatus"], "made_at": found["CreationTime"], "changed_at": changed}
        if found["EndpointStatus"] != IN_SERVICE:
            return Look(config=config, **told)
        held = self._made_of.get(endpoint)
        if held is None or held[:2] != (config, changed):
            held = self._made_of[endpoint] = (config, changed, *self._describe(config))
        return Look(config=config, models=held[2], contents=held[3], **told)

    def _describe(self, config: str) -> tuple[int, frozenset[str]]:
        """Return how many models a configuration has, one that hosts components counted as many, and their contents."""
        variants = self._sagemaker().describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        named = {variant.get("ModelName") for variant in variants}
        contents = frozenset(one for name in named if name for one in self._of_model(name))
        return (len(named), contents) if None not in named else (len(variants) + 1, frozenset())

    def _contents(self, endpoint: str) -> Iterator[str]:
        found = self._sagemaker().describe_endpoint(EndpointName=endpoint)
        if found["EndpointStatus"] != "InService":
            return
        config = self._sagemaker().describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
        for variant in config["ProductionVariants"]:
            # A variant that hosts inference components names no model; those are not looked into.
            name = variant.get("ModelName")
            yield from self._of_model(name) if name else (f"components of {variant['VariantName']}",)

    def _of_model(self, name: str) -> Iterator[str]:
        model: Any = self._sagemaker().describe_model(ModelName=name)
        for one in [model.get("PrimaryContainer"), *model.get("Containers", [])]:
            if one and one.get("ModelPackageName"):
                yield one["ModelPackageName"]
            elif one:
                source = one.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri")
                yield from (value for value in (one.get("Image"), one.get("ModelDataUrl"), source) if value)
