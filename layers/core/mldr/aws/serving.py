"""SageMaker endpoints of this region."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ConnectionClosedError

from mldr.aws.capacities import ask, component_names, copies, instances
from mldr.aws.scaling_alarms import put_policy
from mldr.domain.components import NAME, base_of, from_zero
from mldr.domain.endpoint_status import IN_SERVICE, MISSING
from mldr.domain.refusals import unanswered
from mldr.domain.serving import OWNER, PlannedModel, ServingPlan
from mldr.domain.warming import Count
from mldr.errors import EndpointFailed, MldrError, NotAllowed, RequestRefused, Throttled
from mldr.ports.serving import Finished
from mldr.sdk import code, is_absent, translated

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

_UNNAMED = "Inference Component Name header is required"  # InvokeEndpoint's 400 where a request names none
_MEND = "mend it and request the failover again"
_FROM_ZERO = (
    "where SageMaker takes no minimum of 0 in this region, write serving.floor: 1 into the policy (an instance stands, "
    "and costs), or tier: cold-standby; until then a failover makes an endpoint of its own"
)
GLANCE = 3.0  # seconds for which a gateway answers its many health checkers from one look


class SageMakerServing:
    """Needs sagemaker:CreateModel, CreateEndpointConfig, CreateEndpoint, CreateInferenceComponent, their Describe
    calls, ListInferenceComponents, UpdateEndpointWeightsAndCapacities, UpdateInferenceComponentRuntimeConfig, AddTags,
    iam:PassRole on what models may run as, and sagemaker:InvokeEndpoint; cloudwatch:PutMetricAlarm;
    application-autoscaling:RegisterScalableTarget, PutScalingPolicy and PutScheduledAction.
    """

    def __init__(
        self,
        sagemaker: Callable[[], SageMakerClient],
        runtime: Callable[[], SageMakerRuntimeClient],
        autoscaling: Callable[[], ApplicationAutoScalingClient],
        cloudwatch: Callable[[], CloudWatchClient],
        *,
        glance: float = 0.0,
    ) -> None:
        self._sagemaker, self._runtime, self._glance = sagemaker, runtime, glance
        self._autoscaling, self._cloudwatch = autoscaling, cloudwatch
        self._seen: dict[str, tuple[float, tuple[str, str]]] = {}
        self._only: dict[str, str] = {}  # the only component of an endpoint, where a request has to name one

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
            _FROM_ZERO if any(from_zero(one) for one in plan.config["ProductionVariants"]) else _MEND,
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
        coming = [status for status in self._components(plan) if status != IN_SERVICE]
        if coming:
            return Finished(status=coming[0])
        return Finished(status=IN_SERVICE, warnings=tuple(self._scaling(plan)))

    def _components(self, plan: ServingPlan) -> Iterator[str]:
        """Yield the status of each component, having created it; an adapter waits until its base is in service."""
        status: dict[str, str] = {}
        for one in plan.components:
            waits = status.get(base_of(one), IN_SERVICE)
            status[one[NAME]] = waits if waits != IN_SERVICE else self._component(one)
            yield status[one[NAME]]

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
            (lambda **one: put_policy(client, self._cloudwatch, plan.name, one), plan.policies),
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
        try:
            with translated(f"change the capacity of {endpoint}"):
                left = ask(self._sagemaker(), endpoint, counts, weights)
        except ClientError as error:
            raise EndpointFailed(f"endpoint {endpoint} cannot be changed: {error}") from error
        if left:
            raise EndpointFailed(
                f"endpoint {endpoint} takes one variant at a time: {', '.join(left)} is asked for next, "
                "once it is in service again"
            )

    def capacity(self, endpoint: str) -> dict[str, Count]:
        try:
            with translated(f"look at the capacity of {endpoint}"):
                client = self._sagemaker()
                found = client.describe_endpoint(EndpointName=endpoint)
                counted = copies(client, component_names(client, endpoint))
        except ClientError as error:
            if not is_absent(error):
                raise
            return {}
        return instances(found) | counted

    def _ensure(
        self, describe: Callable[[], object], create: Callable[[], object], what: str, mend: str = _MEND
    ) -> None:
        """Create what is missing. SageMaker has one code for "not there" and "there already": ask twice."""
        if self._there(describe, what):
            return
        try:
            with translated(f"create {what}"):
                create()
        except ClientError as error:
            if not self._there(describe, what):
                raise EndpointFailed(f"{what} cannot be created: {error}; {mend}") from error

    def _there(self, describe: Callable[[], object], what: str) -> bool:
        try:
            with translated(f"describe {what}"):
                describe()
        except ClientError as error:
            if not is_absent(error):
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
            if not is_absent(error):
                raise
            return MISSING, f"there is no endpoint {endpoint} in this region"
        return found["EndpointStatus"], found.get("FailureReason", "")

    def invoke(
        self, endpoint: str, body: bytes, content_type: str, accept: str = "", component: str = ""
    ) -> tuple[bytes, str]:
        component = component or self._only.get(endpoint, "")
        more: Any = {name: value for name, value in (("Accept", accept), (NAME, component)) if value}
        try:
            with translated(f"invoke {endpoint}"):
                answer = self._answered(EndpointName=endpoint, Body=body, ContentType=content_type, **more)
                return answer["Body"].read(), answer["ContentType"]
        except ClientError as error:
            forgotten = self._only.pop(endpoint, "")
            if _UNNAMED in str(error) and not forgotten and (only := self._sole(endpoint)):
                self._only[endpoint] = only
                return self.invoke(endpoint, body, content_type, accept, only)
            raise _unanswered(endpoint, error) from error

    def _answered(self, **asked: Any) -> Any:
        """Ask again where the connection was closed: those that an environment of Lambda kept while it slept are.

        docs.aws.amazon.com/lambda/latest/dg/best-practices.html. A client that waits this long tries nothing again.
        """
        try:
            return self._runtime().invoke_endpoint(**asked)
        except ConnectionClosedError:
            return self._runtime().invoke_endpoint(**asked)

    def _sole(self, endpoint: str) -> str:
        """Return the only component of an endpoint. Raises RequestRefused where there is none, or more than one."""
        with translated(f"look at the inference components of {endpoint}"):
            found = component_names(self._sagemaker(), endpoint)
        if len(found) == 1:
            return found[0]
        raise RequestRefused(
            f"endpoint {endpoint} answers only by inference components, and has {', '.join(found) or 'none'}; "
            "write the one that answers for this model into the policy: serving.component"
        )


def _unanswered(endpoint: str, error: ClientError) -> MldrError:
    """Return what an error of InvokeEndpoint says: that the container failed, or nothing about the endpoint's health.

    docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html: ModelError (424) has what the
    container said in OriginalStatusCode, 4xx or 5xx, and in OriginalMessage; ModelNotReadyException (429) is a
    serverless variant or a model of several that is still being loaded; ValidationError (400) is about the request. So
    answer asynchronous endpoints (github.com/strands-agents/harness-sdk/issues/1969), components without capacity, and
    endpoints that are not there: it is no word of the model's.
    """
    if code(error) == "ModelNotReadyException":
        return Throttled(f"endpoint {endpoint} is not loaded yet: {error}; it is asked again")
    told = f"endpoint {endpoint} did not answer: {error}"
    said: Any = error.response
    status = said.get("OriginalStatusCode")  # only a ModelError has one
    return RequestRefused(told) if status is None else unanswered(told, status, said.get("OriginalMessage") or "")


def _tagged(captured: Iterable[dict[str, str]]) -> Any:
    return [*captured, OWNER]
