"""What the model's own endpoint of this region was made of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from mldr.aws.capacities import component_names
from mldr.domain.components import sole, specifications
from mldr.domain.endpoint_status import IN_SERVICE, MISSING
from mldr.domain.prediction_cache import Look
from mldr.sdk import is_absent, translated

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient


class SageMakerOwnEndpoints:
    """Needs sagemaker:DescribeEndpoint, DescribeEndpointConfig and DescribeModel; of components also
    ListInferenceComponents and DescribeInferenceComponent.
    """

    def __init__(self, sagemaker: Callable[[], SageMakerClient]) -> None:
        self._sagemaker = sagemaker
        self._made_of: dict[str, tuple[str, dt.datetime, int, frozenset[str]]] = {}

    def contents(self, endpoint: str, component: str = "") -> frozenset[str]:
        try:
            with translated(f"look into endpoint {endpoint}"):
                return frozenset(self._contents(endpoint, component))
        except ClientError as error:
            if not is_absent(error):
                raise
            return frozenset()

    def look(self, endpoint: str, component: str = "") -> Look:
        try:
            with translated(f"look at endpoint {endpoint}"):
                found = self._look(endpoint)
                return (
                    self._look_inside(found, endpoint, component) if found.models > 1 and not found.contents else found
                )
        except ClientError as error:
            if not is_absent(error):
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

    def _look_inside(self, look: Look, endpoint: str, component: str) -> Look:
        """Of an endpoint of components the one that answers is looked at, each time: it can change without the rest."""
        name = component or sole(component_names(self._sagemaker(), endpoint))
        if not name:
            return look
        found: Any = self._sagemaker().describe_inference_component(InferenceComponentName=name)
        if found["EndpointName"] != endpoint:
            return look
        changed = max(found["LastModifiedTime"], look.changed_at or found["LastModifiedTime"])
        made = max(found["CreationTime"], look.made_at or found["CreationTime"])
        update = {"status": found["InferenceComponentStatus"], "changed_at": changed, "made_at": made, "models": 1}
        return look.model_copy(update={**update, "contents": frozenset(self._of_component(found))})

    def _of_component(self, component: Any) -> Iterator[str]:
        for one in specifications(component):
            if one.get("ModelName"):
                yield from self._of_model(one["ModelName"])
            container = one.get("Container", {})
            image = container.get("DeployedImage", {}).get("SpecifiedImage")
            yield from (value for value in (image, container.get("ArtifactUrl")) if value)

    def _contents(self, endpoint: str, component: str) -> Iterator[str]:
        found = self._sagemaker().describe_endpoint(EndpointName=endpoint)
        if found["EndpointStatus"] != "InService":
            return
        config = self._sagemaker().describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
        models = [one.get("ModelName") for one in config["ProductionVariants"]]
        if None in models:
            name = component or sole(component_names(self._sagemaker(), endpoint))
            made: Any = self._sagemaker().describe_inference_component(InferenceComponentName=name) if name else {}
            serves = made.get("EndpointName") == endpoint and made.get("InferenceComponentStatus") == IN_SERVICE
            yield from self._of_component(made) if serves else ()
            return
        for model in models:
            yield from self._of_model(str(model))

    def _of_model(self, name: str) -> Iterator[str]:
        model: Any = self._sagemaker().describe_model(ModelName=name)
        for one in [model.get("PrimaryContainer"), *model.get("Containers", [])]:
            if one and one.get("ModelPackageName"):
                yield one["ModelPackageName"]
            elif one:
                source = one.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri")
                yield from (value for value in (one.get("Image"), one.get("ModelDataUrl"), source) if value)
