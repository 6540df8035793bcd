"""SageMaker endpoints of this region."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from mldr.domain.serving import ServingPlan
from mldr.errors import EndpointFailed
from mldr.sdk import code, translated

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

MISSING = "Missing"
GLANCE = 3.0  # seconds for which a gateway answers its many health checkers from one look
_TAGS: Any = [{"Key": "mldr:owner", "Value": "mldr"}]


class SageMakerServing:
    """Needs sagemaker:CreateModel, CreateEndpointConfig, CreateEndpoint, their Describe calls, AddTags, iam:PassRole
    on the serving role, and sagemaker:InvokeEndpoint.
    """

    def __init__(
        self,
        sagemaker: Callable[[], SageMakerClient],
        runtime: Callable[[], SageMakerRuntimeClient],
        *,
        glance: float = 0.0,
    ) -> None:
        self._sagemaker, self._runtime, self._glance = sagemaker, runtime, glance
        self._seen: dict[str, tuple[float, tuple[str, str]]] = {}

    def restore(self, plan: ServingPlan) -> None:
        client = self._sagemaker()
        containers: Any = (
            {"PrimaryContainer": plan.containers[0]}
            if len(plan.containers) == 1
            else {"Containers": list(plan.containers)}
        )
        variant: Any = {
            "VariantName": "AllTraffic",
            "ModelName": plan.name,
            "InstanceType": plan.instance_type,
            "InitialInstanceCount": plan.instance_count,
        }
        self._ensure(
            lambda: client.describe_model(ModelName=plan.name),
            lambda: client.create_model(ModelName=plan.name, ExecutionRoleArn=plan.role, Tags=_TAGS, **containers),
            f"model {plan.name}",
        )
        self._ensure(
            lambda: client.describe_endpoint_config(EndpointConfigName=plan.name),
            lambda: client.create_endpoint_config(
                EndpointConfigName=plan.name, ProductionVariants=[variant], Tags=_TAGS
            ),
            f"endpoint configuration {plan.name}",
        )
        self._ensure(
            lambda: client.describe_endpoint(EndpointName=plan.name),
            lambda: client.create_endpoint(EndpointName=plan.name, EndpointConfigName=plan.name, Tags=_TAGS),
            f"endpoint {plan.name}",
        )

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
