"""SageMaker endpoints as AWS answers them: alive, with states, and refused when they exist already.

moto says InService at once, overwrites what exists, has no UpdateEndpoint and answers InvokeEndpoint with a constant.
"""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import ActionResult
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import FakeEndpoint, FakeEndpointConfig, Model, SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from localcloud.edge.container_process import Answer, Unreachable
from localcloud.edge.endpoints import IN_PROGRESS, IN_SERVICE, Endpoints, NoEndpoint, NotReady, running_as
from localcloud.edge.late_answers import LateAnswers, Request
from localcloud.moto_repairs.sagemaker_serving import ENDPOINT_PATH, late_config, unasked
from localcloud.patches import Patches

LATE_PATH = re.compile(r"/endpoints/([^/]+)/async-invocations")


class SageMakerEndpointRepairs:
    """Connects moto's SageMaker to the endpoints that live."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._late = LateAnswers(endpoints)
        self._patches = Patches()

    def start(self) -> None:
        """Put the repairs in place."""
        replace = self._patches.replace
        self._create_model = replace(SageMakerModelBackend, "create_model", self._created_once(
            "model", "_models", lambda: self._create_model
        ))  # fmt: skip
        self._create_config = replace(SageMakerModelBackend, "create_endpoint_config", self._created_once(
            "endpoint configuration", "endpoint_configs", lambda: self._create_config
        ))  # fmt: skip
        self._create = replace(SageMakerModelBackend, "create_endpoint", self._create_endpoint())
        self._delete = replace(SageMakerModelBackend, "delete_endpoint", self._delete_endpoint())
        replace(SageMakerRuntimeResponse, "invoke_endpoint", self._invoke_endpoint())
        replace(SageMakerRuntimeResponse, "invoke_endpoint_async", self._invoke_later())
        SageMakerRuntimeResponse.use_raw_body = True
        SageMakerResponse.update_endpoint = self._update_endpoint()  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Put moto's own parts back."""
        self._patches.undo()
        del SageMakerRuntimeResponse.use_raw_body
        del SageMakerResponse.update_endpoint  # type: ignore[attr-defined]

    def _created_once(self, kind: str, store: str, original: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        names = {"model": "model_name", "endpoint configuration": "endpoint_config_name"}

        def create(backend: SageMakerModelBackend, *args: Any, **settings: Any) -> Model | FakeEndpointConfig:
            name = settings[names[kind]]
            existing = getattr(backend, store).get(name)
            if existing is not None:
                arn = getattr(existing, "endpoint_config_arn", None) or existing.arn
                raise ValidationError(message=f'Cannot create already existing {kind} "{arn}".')
            made: Model | FakeEndpointConfig = original()(backend, *args, **settings)
            return made

        return create

    def _create_endpoint(self) -> Callable[..., FakeEndpoint]:
        def create(
            backend: SageMakerModelBackend, endpoint_name: str, endpoint_config_name: str, tags: list[dict[str, str]]
        ) -> FakeEndpoint:
            existing = backend.endpoints.get(endpoint_name)
            if existing is not None:
                raise ValidationError(message=f'Cannot create already existing endpoint "{existing.arn}".')
            made: FakeEndpoint = self._create(backend, endpoint_name, endpoint_config_name, tags)
            self._endpoints.create(backend, made)
            return made

        return create

    def _delete_endpoint(self) -> Callable[..., None]:
        def delete(backend: SageMakerModelBackend, endpoint_name: str) -> None:
            record = backend.endpoints.get(endpoint_name)
            if record is not None and record.endpoint_status in IN_PROGRESS:
                raise ValidationError(message=f'Cannot update in-progress endpoint "{record.arn}".')
            self._delete(backend, endpoint_name)
            self._endpoints.delete(backend.region_name, endpoint_name)

        return delete

    def _update_endpoint(self) -> Callable[[SageMakerResponse], ActionResult]:
        def update_endpoint(response: SageMakerResponse) -> ActionResult:
            backend = response.sagemaker_backend
            name, config = response._get_param("EndpointName"), response._get_param("EndpointConfigName")
            backend.describe_endpoint(name)
            backend.describe_endpoint_config(config)
            record = backend.endpoints[name]
            if record.endpoint_status != IN_SERVICE:
                raise ValidationError(message=f'Cannot update in-progress endpoint "{record.arn}".')
            self._endpoints.update(backend, record, config)
            return ActionResult({"EndpointArn": record.arn})

        return update_endpoint

    def _invoke_endpoint(self) -> Callable[[SageMakerRuntimeResponse], TYPE_RESPONSE]:
        def invoke_endpoint(response: SageMakerRuntimeResponse) -> TYPE_RESPONSE:
            found = ENDPOINT_PATH.search(response.path)
            name = found[1] if found else ""
            return self._predict(response, name)

        return invoke_endpoint

    def _invoke_later(self) -> Callable[[SageMakerRuntimeResponse], TYPE_RESPONSE]:
        def invoke_endpoint_async(response: SageMakerRuntimeResponse) -> TYPE_RESPONSE:
            found = LATE_PATH.search(response.path)
            name = found[1] if found else ""
            config = late_config(response, name)
            if config is None:
                text = f"Endpoint {name} of account {response.current_account} not found, or not asynchronous."
                return _refused(400, "ValidationError", text)
            request = Request.of(response.headers, config)
            self._late.take(response.region, name, request)
            failure = {"X-Amzn-SageMaker-FailureLocation": request.failure} if request.failure else {}
            headers = {"X-Amzn-SageMaker-OutputLocation": request.output} | failure
            return 202, headers, json.dumps({"InferenceId": str(uuid.uuid4())})

        return invoke_endpoint_async

    def _predict(self, response: SageMakerRuntimeResponse, name: str) -> TYPE_RESPONSE:
        headers: Mapping[str, str] = response.headers
        kind, accept = headers.get("Content-Type") or "application/json", headers.get("Accept") or "*/*"
        variant = headers.get("X-Amzn-SageMaker-Target-Variant")
        body = response.body if isinstance(response.body, bytes) else str(response.body or "").encode()
        account, component = response.current_account, headers.get("X-Amzn-SageMaker-Inference-Component")
        late = f"Endpoint {name} is asynchronous: use InvokeEndpointAsync." if late_config(response, name) else ""
        if text := unasked(response, name) or late:
            return _refused(400, "ValidationError", text)
        try:
            wanted = running_as(component) if component else variant
            predicted = self._endpoints.invoke(response.region, name, body, kind, accept, wanted)
        except NoEndpoint:
            return _refused(400, "ValidationError", f"Endpoint {name} of account {account} not found.")
        except NotReady:
            return _refused(503, "ServiceUnavailable", "The service is currently unavailable.")
        except Unreachable as gone:
            return _model_error(Answer(0, "", str(gone).encode()), response.region, name, account)
        if predicted.answer.status != 200:
            return _model_error(predicted.answer, response.region, name, account)
        invoked = {"x-Amzn-Invoked-Production-Variant": predicted.variant}
        return 200, {"Content-Type": predicted.answer.kind} | invoked, predicted.answer.body


def _refused(status: int, code: str, text: str, **more: Any) -> TYPE_RESPONSE:
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code, "status": str(status)}
    return status, headers, json.dumps({"Message": text, **more})


def _model_error(answer: Answer, region: str, name: str, account: str) -> TYPE_RESPONSE:
    original = answer.body.decode(errors="replace")
    group = f"/aws/sagemaker/Endpoints/{name}"
    side = "client" if 400 <= answer.status < 500 else "server"
    text = (
        f'Received {side} error ({answer.status}) from primary with message "{original}". See '
        f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} "
        f"in account {account} for more information."
    )
    log = f"arn:aws:logs:{region}:{account}:log-group:{group}"
    more = {"OriginalMessage": original, "OriginalStatusCode": answer.status, "LogStreamArn": log}
    return _refused(424, "ModelError", text, **more)
