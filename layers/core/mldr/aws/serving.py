"""SageMaker endpoints of this region."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from mldr.domain.serving import OWNER, PlannedModel, ServingPlan
from mldr.domain.serving_state import IN_SERVICE
from mldr.domain.warming import Count
from mldr.errors import EndpointFailed, NotAllowed
from mldr.ports.serving import Finished
from mldr.sdk import code, translated

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

MISSING = "Missing"
GLANCE = 3.0  # seconds for which a gateway answers its many health checkers from one look


class SageMakerServing:
    """Needs sagemaker:CreateModel, CreateEndpointConfig, CreateEndpoint, CreateInferenceComponent, their Describe
    calls, UpdateEndpointWeightsAndCapacities, AddTags, iam:PassRole on the serving role, and sagemaker:InvokeEndpoint;
    application-autoscaling:RegisterScalableTarget, PutScalingPolicy and PutScheduledAction.
    """

    def __init__(
        self,
        sagemaker: Callable[[], SageMakerClient],
        runtime: Callable[[], SageMakerRuntimeClient],
        autoscaling: Callable[[], ApplicationAutoScalingClient],
        *,
        glance: float = 0.0,
    ) -> None:
        self._sagemaker, self._runtime, self._autoscaling, self._glance = sagemaker, runtime, autoscaling, glance
        self._seen: dict[str, tuple[float, tuple[str, str]]] = {}

    def restore(self, plan: ServingPlan) -> None:
        client = self._sagemaker()
        for model in plan.models:
            self._model(client, model)
        self._ensure(
            lambda: client.describe_endpoint_config(EndpointConfigName=plan.name),
            lambda: client.create_endpoint_config(
                EndpointConfigName=plan.name, Tags=_tagged(plan.config_tags), **plan.config
            ),
            f"endpoint configuration {plan.name}",
        )
        self._ensure(
            lambda: client.describe_endpoint(EndpointName=plan.name),
            lambda: client.create_endpoint(
                EndpointName=plan.name, EndpointConfigName=plan.name, Tags=_tagged((*plan.tags, *plan.marks))
            ),
            f"endpoint {plan.name}",
        )

    def _model(self, client: SageMakerClient, model: PlannedModel) -> None:
        one = len(model.containers) == 1
        containers: Any = {"PrimaryContainer": model.containers[0]} if one else {"Containers": list(model.containers)}
        self._ensure(
            lambda: client.describe_model(ModelName=model.name),
            lambda: client.create_model(
                ModelName=model.name,
                ExecutionRoleArn=model.role,
                Tags=_tagged(model.tags),
                **containers,
                **model.settings,
            ),
            f"model {model.name}",
        )

    def finish(self, plan: ServingPlan) -> Finished:
        coming = [status for one in plan.components if (status := self._component(one)) != IN_SERVICE]
        if coming:
            return Finished(status=coming[0])
        return Finished(status=IN_SERVICE, warnings=tuple(self._scaling(plan)))

    def _component(self, component: dict[str, Any]) -> str:
        """Return the status of an inference component, having created it. Raises EndpointFailed with its reason."""
        client, name = self._sagemaker(), component["InferenceComponentName"]
        self._ensure(
            lambda: client.describe_inference_component(InferenceComponentName=name),
            lambda: client.create_inference_component(**{**component, "Tags": _tagged(component.get("Tags", ()))}),
            f"inference component {name}",
        )
        with translated(f"describe inference component {name}"):
            found = client.describe_inference_component(InferenceComponentName=name)
        if found.get("InferenceComponentStatus") == "Failed":
            raise EndpointFailed(
                f"inference component {name} is Failed: {found.get('FailureReason', 'SageMaker gives no reason')}; "
                "mend it and request the failover again"
            )
        return found.get("InferenceComponentStatus", "Creating")

    def _scaling(self, plan: ServingPlan) -> Iterator[str]:
        """Register autoscaling anew: each call replaces what has the same name. Yields what was refused."""
        if not (plan.targets or plan.policies or plan.schedules):
            return
        client = self._autoscaling()
        calls: list[tuple[Callable[..., object], tuple[dict[str, Any], ...]]] = [
            (client.register_scalable_target, plan.targets),
            (client.put_scaling_policy, plan.policies),
            (client.put_scheduled_action, plan.schedules),
        ]
        for call, wanted in calls:
            for one in wanted:
                try:
                    with translated(f"register the autoscaling of {one['ResourceId']}"):
                        call(**one)
                except (ClientError, NotAllowed) as error:
                    yield f"{one['ResourceId']} does not scale as it did: {error}"

    def scale(self, endpoint: str, counts: dict[str, int], weights: dict[str, float] | None = None) -> None:
        wanted: dict[str, dict[str, Any]] = {name: {"DesiredInstanceCount": one} for name, one in counts.items()}
        for name, weight in (weights or {}).items():
            wanted.setdefault(name, {})["DesiredWeight"] = weight
        self._change(endpoint, [{"VariantName": name, **asked} for name, asked in wanted.items()])

    def capacity(self, endpoint: str) -> dict[str, Count]:
        try:
            with translated(f"look at the capacity of {endpoint}"):
                found = self._sagemaker().describe_endpoint(EndpointName=endpoint)
        except ClientError as error:
            if code(error) not in ("ValidationException", "ResourceNotFound"):
                raise
            return {}
        return {
            one["VariantName"]: Count(
                current=one.get("CurrentInstanceCount", 0),
                desired=one.get("DesiredInstanceCount", one.get("CurrentInstanceCount", 0)),
                weight=one.get("CurrentWeight", 1.0),
            )
            for one in found.get("ProductionVariants", [])
            if "CurrentInstanceCount" in one or "DesiredInstanceCount" in one
        }

    def _change(self, endpoint: str, wanted: Any) -> None:
        try:
            with translated(f"change the capacity of {endpoint}"):
                self._sagemaker().update_endpoint_weights_and_capacities(
                    EndpointName=endpoint, DesiredWeightsAndCapacities=wanted
                )
        except ClientError as error:
            raise EndpointFailed(f"endpoint {endpoint} cannot be changed: {error}") from error

    def _ensure(self, describe: Callable[[], object], create: Callable[[], object], what: str) -> None:
        """Create what is missing. SageMaker has one code for "not there" and "there already": ask twice."""
        if self._there(describe, what):
            return
        try:
            with translated(f"create {what}"):
                create()
        except ClientError as error:
            if not self._there(describe, what):
                raise EndpointFailed(
                    f"{what} cannot be created: {error}; mend it and request the failover again"
                ) from error

    def _there(self, describe: Callable[[], object], what: str) -> bool:
        try:
            with translated(f"describe {what}"):
                describe()
        except ClientError as error:
            if code(error) not in ("ValidationException", "ResourceNotFound"):
                raise
            return False
        return True

    def status(self, endpoint: str) -> tuple[str, str]:
        at, seen = self._seen.get(endpoint, (-math.inf, ("", "")))
        if time.monotonic() - at >= self._glance:
            seen = self._describe(endpoint)
            self._seen[endpoint] = (time.monotonic(), seen)
        return seen

    def _describe(self, endpoint: str) -> tuple[str, str]:
        try:
            with translated(f"describe endpoint {endpoint}"):
                found = self._sagemaker().describe_endpoint(EndpointName=endpoint)
        except ClientError as error:
            if code(error) not in ("ValidationException", "ResourceNotFound"):
                raise
            return MISSING, f"there is no endpoint {endpoint} in this region"
        return found["EndpointStatus"], found.get("FailureReason", "")

    def invoke(self, endpoint: str, body: bytes, content_type: str, accept: str = "") -> tuple[bytes, str]:
        accepted: Any = {"Accept": accept} if accept else {}
        try:
            with translated(f"invoke {endpoint}"):
                answer = self._runtime().invoke_endpoint(
                    EndpointName=endpoint, Body=body, ContentType=content_type, **accepted
                )
                return answer["Body"].read(), answer["ContentType"]
        except ClientError as error:
            raise EndpointFailed(f"endpoint {endpoint} did not answer: {error}") from error


def _tagged(captured: Iterable[dict[str, str]]) -> Any:
    return [*captured, OWNER]
