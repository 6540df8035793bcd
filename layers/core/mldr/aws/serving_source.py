"""SageMaker endpoints of the active region, described whole: read, never written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, Shape, StructureShape

from mldr.aws.scaling_alarms import ALARMS, alarms_of
from mldr.domain.components import base_of, models_of, specifications
from mldr.domain.endpoint_status import IN_SERVICE, MISSING
from mldr.domain.serving_state import Live, Observed
from mldr.domain.warming import Latency
from mldr.errors import LostRace
from mldr.sdk import is_absent, translated

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sagemaker import SageMakerClient

NAMESPACE: Literal["sagemaker"] = "sagemaker"
RESOURCES = 50  # that DescribeScalableTargets takes in one call
WINDOW = dt.timedelta(hours=3)  # of the latencies that are captured; one figure covers all of it
_LATENCIES = (
    *((metric, stat) for metric in ("ModelLatency", "OverheadLatency") for stat in ("p50", "p95")),
    ("ModelLatency", "SampleCount"),
)


class SageMakerServingSource:
    """Needs, in the active region: sagemaker:DescribeEndpoint, DescribeEndpointConfig, DescribeModel, ListTags,
    ListInferenceComponents and DescribeInferenceComponent; application-autoscaling:DescribeScalableTargets,
    DescribeScalingPolicies and DescribeScheduledActions; cloudwatch:GetMetricData and DescribeAlarms.
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

    @property
    def _autoscaling(self) -> ApplicationAutoScalingClient:
        return self._clients[1]()

    def observe(self, endpoint: str) -> Observed:
        described = self._endpoint(endpoint)
        if described is None:
            return Observed(endpoint=endpoint, status=MISSING)
        if described["EndpointStatus"] != IN_SERVICE:
            return Observed(endpoint=endpoint, status=described["EndpointStatus"])
        with translated(f"describe what serves at {endpoint}"):
            listed = self._listed(endpoint)
            if any(_coming(one) for one in listed):
                return Observed(endpoint=endpoint, status="Updating")
            document, images = self._document(described, listed)
            after = self._listed(endpoint)
        again = self._endpoint(endpoint)
        if again is None or (_moment(again), after) != (_moment(described), listed):
            raise LostRace(f"endpoint {endpoint} changed while it was described; it is described again")
        return Observed(
            endpoint=endpoint,
            status=described["EndpointStatus"],
            document=document,
            live=(
                *_live(described.get("ProductionVariants", []), shadow=False),
                *_live(described.get("ShadowProductionVariants", []), shadow=True),
            ),
            images={**_images(described), **images},
            latency=self._latency(described),
        )

    def _endpoint(self, endpoint: str) -> Any:
        try:
            with translated(f"describe endpoint {endpoint} of the active region"):
                return self._sagemaker.describe_endpoint(EndpointName=endpoint)
        except ClientError as error:
            if not is_absent(error):
                raise
            return None

    def _latency(self, described: Any) -> Latency | None:
        """Return how fast the variant with most traffic answered, as SageMaker saw it: the model and what is around it.

        docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html: both are in microseconds.
        """
        variants = described.get("ProductionVariants", [])
        if not variants:
            return None
        busiest = max(variants, key=lambda one: one.get("CurrentWeight", 1.0))["VariantName"]
        now = dt.datetime.now(dt.UTC)
        queries: Any = [_query(described["EndpointName"], busiest, metric, stat) for metric, stat in _LATENCIES]
        with translated(f"ask how fast {described['EndpointName']} answers"):
            answer = self._cloudwatch().get_metric_data(
                MetricDataQueries=queries, StartTime=now - WINDOW, EndTime=now, ScanBy="TimestampDescending"
            )
        found = {one["Id"]: one["Values"][0] for one in answer["MetricDataResults"] if one["Values"]}
        if "modellatency_p50" not in found or "modellatency_p95" not in found:
            return None
        p50, p95 = (
            (found[f"modellatency_{one}"] + found.get(f"overheadlatency_{one}", 0.0)) / 1000 for one in ("p50", "p95")
        )
        requests = int(found.get("modellatency_samplecount", 0))
        return Latency(p50=round(p50, 3), p95=round(p95, 3), requests=requests, source="CloudWatch")

    def _document(self, endpoint: Any, listed: list[Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the document, and the digests that the images of its components run by."""
        name = endpoint["EndpointName"]
        found: Any = self._sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
        config = self._taken("CreateEndpointConfig", found, {"EndpointConfigName"})
        described = [self._described(one["InferenceComponentName"]) for one in listed if _serves(one)]
        components = [self._component(one) for one in described]
        variants = [*config.get("ProductionVariants", []), *config.get("ShadowProductionVariants", [])]
        models = [one.get("ModelName") for one in variants]
        models += [model for one in components for model in models_of(one)]
        resources = [f"endpoint/{name}/variant/{one['VariantName']}" for one in variants]
        resources += [f"inference-component/{one['InferenceComponentName']}" for one in components]
        document: dict[str, Any] = {
            "Endpoint": {"EndpointName": name, "Tags": self._tags(endpoint["EndpointArn"])},
            "Config": {**config, "Tags": self._tags(found["EndpointConfigArn"])},
            "Models": [self._model(one) for one in dict.fromkeys(filter(None, models))],
            "Components": components,
            **self._scaling(resources),
        }
        return document, _resolved(_deployed_images(described))

    def _model(self, name: str) -> dict[str, Any]:
        """Return what CreateModel takes; one container and several are both a list."""
        found: Any = self._sagemaker.describe_model(ModelName=name)
        taken = self._taken("CreateModel", found, {"PrimaryContainer", "Containers"})
        primary = found.get("PrimaryContainer")
        containers = self._taken("CreateModel", {"Containers": [primary] if primary else found["Containers"]}, set())
        return {**taken, **containers, "Tags": self._tags(found["ModelArn"])}

    def _listed(self, endpoint: str) -> list[Any]:
        pages = self._sagemaker.get_paginator("list_inference_components").paginate(EndpointNameEquals=endpoint)
        found: list[Any] = [one for page in pages for one in page["InferenceComponents"]]
        return sorted(found, key=lambda one: str(one["InferenceComponentName"]))

    def _described(self, component: str) -> Any:
        try:
            return self._sagemaker.describe_inference_component(InferenceComponentName=component)
        except ClientError as error:
            if not is_absent(error):
                raise
            raise LostRace(
                f"inference component {component} went while it was described; all is described again"
            ) from error

    def _component(self, found: Any) -> dict[str, Any]:
        """Return what CreateInferenceComponent takes, with the copies that there are now; an adapter has none."""
        taken = self._taken("CreateInferenceComponent", found, {"RuntimeConfig"})
        for made, one in zip(specifications(taken), specifications(found), strict=True):
            if image := one.get("Container", {}).get("DeployedImage", {}).get("SpecifiedImage"):
                made.setdefault("Container", {})["Image"] = image
        copies = found.get("RuntimeConfig", {})
        count = copies.get("CurrentCopyCount", copies.get("DesiredCopyCount", 1))
        return {
            **taken,
            **({} if base_of(found) else {"RuntimeConfig": {"CopyCount": count}}),
            "Tags": self._tags(found["InferenceComponentArn"]),
        }

    def _tags(self, arn: str) -> list[dict[str, str]]:
        pages = self._sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
        found = [{"Key": tag["Key"], "Value": tag["Value"]} for page in pages for tag in page["Tags"]]
        return sorted(found, key=lambda tag: tag["Key"])

    def _scaling(self, resources: list[str]) -> dict[str, list[dict[str, Any]]]:
        """Return what Application Auto Scaling keeps of these resources, whichever dimension it scales."""
        client = self._autoscaling
        described = client.get_paginator("describe_scalable_targets")
        targets = [
            page
            for some in batched(resources, RESOURCES)
            for page in described.paginate(ServiceNamespace=NAMESPACE, ResourceIds=list(some))
        ]
        policies = client.get_paginator("describe_scaling_policies")
        actions = client.get_paginator("describe_scheduled_actions")
        return {
            "ScalableTargets": self._registered(
                "RegisterScalableTarget", (one for page in targets for one in page["ScalableTargets"]), {"RoleARN"}
            ),
            "ScalingPolicies": self._policies(
                [
                    one
                    for resource in resources
                    for page in policies.paginate(ServiceNamespace=NAMESPACE, ResourceId=resource)
                    for one in page["ScalingPolicies"]
                ]
            ),
            "ScheduledActions": self._registered(
                "PutScheduledAction",
                (
                    one
                    for resource in resources
                    for page in actions.paginate(ServiceNamespace=NAMESPACE, ResourceId=resource)
                    for one in page["ScheduledActions"]
                ),
            ),
        }

    def _policies(self, found: list[Any]) -> list[dict[str, Any]]:
        """Return what PutScalingPolicy takes, and beside it the alarms that trigger steps."""
        alarms = alarms_of(self._cloudwatch, found, self._alarm)
        made = []
        for one in found:
            some = alarms.get(one["PolicyARN"])
            [policy] = self._registered("PutScalingPolicy", iter([one]))
            made.append({**policy, ALARMS: some} if some else policy)
        return sorted(made, key=_said)

    def _alarm(self, found: Any) -> dict[str, Any]:
        """Return what PutMetricAlarm takes of an alarm."""
        shape = self._cloudwatch().meta.service_model.operation_model("PutMetricAlarm").input_shape
        taken: dict[str, Any] = _plain(_pruned(found, shape))
        return taken

    def _registered(
        self, operation: str, found: Iterator[Any], without: set[str] | None = None
    ) -> list[dict[str, Any]]:
        shape = self._autoscaling.meta.service_model.operation_model(operation).input_shape
        taken = [_plain(_pruned(one, shape)) for one in found]
        kept = [{name: value for name, value in one.items() if name not in (without or set())} for one in taken]
        return sorted(kept, key=_said)

    def _taken(self, operation: str, found: dict[str, Any], without: set[str]) -> dict[str, Any]:
        """Return what a Create call takes of a description."""
        shape = self._sagemaker.meta.service_model.operation_model(operation).input_shape
        taken: dict[str, Any] = _plain(_pruned(found, shape))
        return {name: value for name, value in taken.items() if name not in without}


def _said(registered: dict[str, Any]) -> list[str]:
    return [str(value) for _, value in sorted(registered.items())]


def batched(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield the names in their order, as many at once as a call takes."""
    for first in range(0, len(names), size):
        yield names[first : first + size]


def _query(endpoint: str, variant: str, metric: str, stat: str) -> dict[str, Any]:
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    named = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions}
    period = int(WINDOW.total_seconds())
    return {"Id": f"{metric}_{stat}".lower(), "MetricStat": {"Metric": named, "Period": period, "Stat": stat}}


def _moment(described: Any) -> tuple[Any, ...]:
    return described["LastModifiedTime"], described["EndpointStatus"], described["EndpointConfigName"]


def _coming(component: Any) -> bool:
    return component.get("InferenceComponentStatus") in ("Creating", "Updating")


def _serves(component: dict[str, Any]) -> bool:
    """A component that failed or is being deleted answers nobody: it is no part of what serves."""
    return bool(component.get("InferenceComponentStatus", IN_SERVICE) == IN_SERVICE)


def _live(variants: list[Any], *, shadow: bool) -> Iterator[Live]:
    for one in variants:
        yield Live(
            variant=one["VariantName"],
            weight=one.get("CurrentWeight", 1.0),
            instances=one.get("CurrentInstanceCount"),
            serverless=one.get("CurrentServerlessConfig"),
            shadow=shadow,
        )


def _images(described: Any) -> dict[str, str]:
    variants = [*described.get("ProductionVariants", []), *described.get("ShadowProductionVariants", [])]
    return _resolved([image for one in variants for image in one.get("DeployedImages", [])])


def _deployed_images(components: list[Any]) -> list[Any]:
    made = [one for component in components for one in specifications(component)]
    return [one["Container"]["DeployedImage"] for one in made if one.get("Container", {}).get("DeployedImage")]


def _resolved(deployed: list[Any]) -> dict[str, str]:
    """Return the digest that runs of each image that was asked for."""
    return {
        one["SpecifiedImage"]: one["ResolvedImage"]
        for one in deployed
        if one.get("SpecifiedImage") and one.get("ResolvedImage")
    }


def _pruned(value: Any, shape: Shape | None) -> Any:
    """Return only what the API's own description of an input knows, without what is empty."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        kept = {name: _pruned(value.get(name), member) for name, member in shape.members.items()}
        return {name: one for name, one in kept.items() if one not in (None, "", [], {})}
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_pruned(item, shape.member) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {name: _pruned(item, shape.value) for name, item in value.items()}
    return value


def _plain(value: Any) -> Any:
    """Return the value as JSON keeps it: a time is text, and clients take it as text again."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if hasattr(value, "isoformat") else value
