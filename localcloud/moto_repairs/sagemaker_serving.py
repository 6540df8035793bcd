"""What SageMaker keeps of models, endpoint configurations and endpoints, and how Application Auto Scaling scales them.

Restores: settings that moto drops (network isolation, shadow variants, explainers, a configuration's own role and VPC);
weights of zero; UpdateEndpointWeightsAndCapacities, which changes only what it is given and takes its time; the images
that run, by digest; inference components; and scalable targets of serverless variants and of inference components.
"""

import json
import re
from collections.abc import Callable
from enum import Enum
from types import SimpleNamespace
from typing import Any

from moto.applicationautoscaling import models as autoscaling_models
from moto.applicationautoscaling import responses as autoscaling_responses
from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.ecr.models import ecr_backends
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import FakeEndpoint, FakeEndpointConfig, Model, SageMakerModelBackend, sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from localcloud.patches import Patches

ENDPOINT_PATH = re.compile(r"/endpoints/([^/]+)/invocations")
MODEL_SETTINGS = ("EnableNetworkIsolation", "InferenceExecutionConfig", "VpcConfig")
CONFIG_SETTINGS = (
    "ShadowProductionVariants",
    "ExplainerConfig",
    "ExecutionRoleArn",
    "VpcConfig",
    "EnableNetworkIsolation",
    "MetricsConfig",
    "AsyncInferenceConfig",
    "DataCaptureConfig",
    "KmsKeyId",
)
DIMENSIONS = (
    "sagemaker:variant:DesiredInstanceCount",
    "sagemaker:variant:DesiredProvisionedConcurrency",
    "sagemaker:inference-component:DesiredCopyCount",
)
Reweighed = Callable[[SageMakerModelBackend, FakeEndpoint], None]
Composed = Callable[[SageMakerModelBackend, FakeEndpoint, dict[str, Any]], None]
UNNAMED = (
    "Inference Component Name header is required for endpoints to which you plan to deploy inference components. "
    "Please include Inference Component Name header or consider using SageMaker models."
)
MANAGED_FOR_MODEL = "ManagedInstanceScaling is only supported for inference component endpoints."
NOT_ZERO = "Min instance count needs to be greater than 0 for enabled managed instance scaling"
NO_COPIES = "Inference components copy count an integer larger than 0"
NEVER_ZERO = ("eu-west-3",)  # where AWS was seen to refuse a minimum of no instance; it names no list
STOP = "stop"  # in what is kept of a component: how its container is stopped
NO_CAPACITY = "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress."


class SageMakerServingRepairs:
    """Replaces the parts of moto's hosting that differ from AWS.

    `reweighed` is told of changed weights and counts, `composed` of a new inference component, which it then serves.
    """

    def __init__(self, reweighed: Reweighed | None = None, composed: Composed | None = None) -> None:
        self._reweighed, self._composed = reweighed, composed
        self._patches = Patches()

    def start(self) -> None:
        """Put the repairs in place."""
        replace = self._patches.replace
        self._create_model = replace(SageMakerResponse, "create_model", self._keeping("_create_model", _keep_model))
        self._create_config = replace(
            SageMakerResponse, "create_endpoint_config", self._keeping("_create_config", _keep_config, _must_be_taken)
        )
        replace(FakeEndpointConfig, "validate_production_variants", _validate)
        replace(SageMakerModelBackend, "validate_production_variants", _validate_models)
        self._model = replace(Model, "response_object", property(self._with_settings("_model")))
        self._config = replace(FakeEndpointConfig, "response_object", property(self._with_settings("_config")))
        replace(FakeEndpoint, "_process_production_variants", lambda _, variants: live_variants(variants))
        replace(SageMakerModelBackend, "describe_endpoint", self._describe_endpoint())
        self._tagged = replace(SageMakerModelBackend, "_get_resource_from_arn", self._resource_from_arn())
        replace(SageMakerModelBackend, "update_endpoint_weights_and_capacities", self._update_weights())
        for name, operation in COMPONENT_OPERATIONS.items():
            setattr(SageMakerResponse, name, operation)
        SageMakerResponse.create_inference_component = self._create_component()  # type: ignore[attr-defined]
        self._delete = replace(SageMakerModelBackend, "delete_endpoint", self._delete_endpoint())
        self._invoke = replace(SageMakerRuntimeResponse, "invoke_endpoint", self._invoke_endpoint())
        replace(autoscaling_models, "ScalableDimensionValueSet", _dimensions())
        replace(autoscaling_responses, "ScalableDimensionValueSet", _dimensions())
        self._type_of = replace(autoscaling_models, "_get_resource_type_from_resource_id", self._resource_type())
        self._register = replace(
            autoscaling_models.ApplicationAutoscalingBackend, "register_scalable_target", self._register_target()
        )

    def stop(self) -> None:
        """Put moto's own parts back."""
        self._patches.undo()
        for name in COMPONENT_OPERATIONS:
            delattr(SageMakerResponse, name)
        del SageMakerResponse.create_inference_component  # type: ignore[attr-defined]

    def _create_component(self) -> Callable[[SageMakerResponse], ActionResult]:
        def create(response: SageMakerResponse) -> ActionResult:
            backend, made = response.sagemaker_backend, _made_component(response)
            if self._composed:
                self._composed(backend, backend.endpoints[made["EndpointName"]], made)
            return ActionResult({"InferenceComponentArn": made["InferenceComponentArn"]})

        return create

    def _delete_endpoint(self) -> Callable[..., None]:
        def delete(backend: SageMakerModelBackend, endpoint_name: str) -> None:
            if any(one["EndpointName"] == endpoint_name for one in components(backend).values()):
                raise ValidationError(
                    message="Cannot delete endpoint with inference component associated. Please delete inference "
                    "component and try it again."
                )
            self._delete(backend, endpoint_name)

        return delete

    def _invoke_endpoint(self) -> Callable[[SageMakerRuntimeResponse], TYPE_RESPONSE]:
        def invoke(response: SageMakerRuntimeResponse) -> TYPE_RESPONSE:
            found = ENDPOINT_PATH.search(response.path)
            text = unasked(response, found[1] if found else "")
            if text:
                headers = {"Content-Type": "application/json", "x-amzn-ErrorType": "ValidationError", "status": "400"}
                return 400, headers, json.dumps({"Message": text})
            answered: TYPE_RESPONSE = self._invoke(response)
            return answered

        return invoke

    def _keeping(
        self,
        name: str,
        keep: Callable[[SageMakerResponse], None],
        check: Callable[[SageMakerResponse], None] = lambda response: None,
    ) -> Callable[..., ActionResult]:
        def create(response: SageMakerResponse) -> ActionResult:
            check(response)
            made: ActionResult = getattr(self, name)(response)
            keep(response)
            return made

        return create

    def _with_settings(self, name: str) -> Callable[[Any], dict[str, Any]]:
        def response_object(record: Any) -> dict[str, Any]:
            described: dict[str, Any] = getattr(self, name).fget(record)
            described.pop("Kept", None)
            return {**described, **getattr(record, "kept", {})}

        return response_object

    def _describe_endpoint(self) -> Callable[..., dict[str, Any]]:
        def describe(backend: SageMakerModelBackend, endpoint_name: str) -> dict[str, Any]:
            record = backend.endpoints.get(endpoint_name)
            if record is None:
                arn = FakeEndpoint.arn_formatter(endpoint_name, backend.account_id, backend.region_name)
                raise ValidationError(message=f'Could not find endpoint "{arn}".')
            config = backend.endpoint_configs.get(record.endpoint_config_name)
            described: dict[str, Any] = dict(record.response_object)
            kept = getattr(config, "kept", {})
            described["ProductionVariants"] = _running(backend, record, config, record.production_variants)
            shadows = kept.get("ShadowProductionVariants")
            if shadows and config is not None:
                described["ShadowProductionVariants"] = _running(backend, record, config, live_variants(shadows))
            if kept.get("AsyncInferenceConfig"):
                described["AsyncInferenceConfig"] = kept["AsyncInferenceConfig"]
            return described

        return describe

    def _update_weights(self) -> Callable[..., str]:
        def update(
            backend: SageMakerModelBackend, endpoint_name: str, desired_weights_and_capacities: list[dict[str, Any]]
        ) -> str:
            backend.describe_endpoint(endpoint_name)
            record = backend.endpoints[endpoint_name]
            if record.endpoint_status != "InService":
                raise ValidationError(message=f'Cannot update in-progress endpoint "{record.arn}".')
            variants = {one["VariantName"]: one for one in record.production_variants}
            unknown = [
                one["VariantName"] for one in desired_weights_and_capacities if one["VariantName"] not in variants
            ]
            if unknown:
                raise ValidationError(
                    message=f'The variant name(s) "{", ".join(unknown)}" is/are not present within endpoint '
                    f'configuration "{record.endpoint_config_name}".'
                )
            for one in desired_weights_and_capacities:
                _change(variants[one["VariantName"]], one)
            record.last_modified_time = utcnow()
            if self._reweighed:
                self._reweighed(backend, record)
            return str(record.arn)

        return update

    def _resource_from_arn(self) -> Callable[..., Any]:
        def resource(backend: SageMakerModelBackend, arn: str) -> Any:
            kind, _, name = arn.rpartition(":")[2].partition("/")
            if kind != "inference-component":
                return self._tagged(backend, arn)
            return SimpleNamespace(tags=components(backend)[name]["Tags"])

        return resource

    def _resource_type(self) -> Callable[[str], str]:
        def resource_type(resource_id: str) -> str:
            if resource_id.startswith("inference-component/"):
                return "inference-component"
            found: str = self._type_of(resource_id)
            return found

        return resource_type

    def _register_target(self) -> Callable[..., Any]:
        def register(backend: Any, namespace: str, r_id: str, *args: Any, **more: Any) -> Any:
            if namespace == "sagemaker":
                _must_exist(backend, r_id)
                _must_be_whole(backend, r_id, *args, **more)
            return self._register(backend, namespace, r_id, *args, **more)

        return register


def live_variants(variants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The variants as DescribeEndpoint shows them when they begin: what they are configured with is what they have."""
    made = []
    for one in variants:
        weight = one.get("InitialVariantWeight")
        weight = 1.0 if weight is None else float(weight)
        live: dict[str, Any] = {"VariantName": one["VariantName"], "CurrentWeight": weight, "DesiredWeight": weight}
        if one.get("ServerlessConfig"):
            live |= {
                "CurrentServerlessConfig": one["ServerlessConfig"],
                "DesiredServerlessConfig": one["ServerlessConfig"],
            }
        else:
            count = one.get("InitialInstanceCount", 1)
            live |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
        made.append(live)
    return made


def _change(variant: dict[str, Any], wanted: dict[str, Any]) -> None:
    """What is not asked for stays as it is."""
    if wanted.get("DesiredWeight") is not None:
        variant["CurrentWeight"] = variant["DesiredWeight"] = float(wanted["DesiredWeight"])
    if wanted.get("DesiredInstanceCount") is not None:
        variant["CurrentInstanceCount"] = variant["DesiredInstanceCount"] = int(wanted["DesiredInstanceCount"])
    if wanted.get("ServerlessUpdateConfig"):
        changed = {**variant["CurrentServerlessConfig"], **wanted["ServerlessUpdateConfig"]}
        variant["CurrentServerlessConfig"] = variant["DesiredServerlessConfig"] = changed


def _keep_model(response: SageMakerResponse) -> None:
    made = response.sagemaker_backend._models[response._get_param("ModelName")]
    vars(made)["kept"] = _given(response, MODEL_SETTINGS)


def _keep_config(response: SageMakerResponse) -> None:
    made = response.sagemaker_backend.endpoint_configs[response._get_param("EndpointConfigName")]
    vars(made)["kept"] = _given(response, CONFIG_SETTINGS)


def _given(response: SageMakerResponse, names: tuple[str, ...]) -> dict[str, Any]:
    found = {name: response._get_param(name) for name in names}
    return {name: value for name, value in found.items() if value not in (None, {}, [])}


def _validate(config: FakeEndpointConfig, production_variants: list[dict[str, Any]]) -> None:
    """A variant has instances of a type or is serverless; which types a region offers is not known here."""
    for one in production_variants:
        if "InstanceType" not in one and "ServerlessConfig" not in one and "InstancePools" not in one:
            raise ValidationError(
                message=f"Variant {one.get('VariantName')} names neither instances nor ServerlessConfig."
            )
        if "ServerlessConfig" in one:
            FakeEndpointConfig.validate_serverless_config(config, one["ServerlessConfig"])


def _must_be_taken(response: SageMakerResponse) -> None:
    """What a variant takes depends on whether it names a model. AWS's own words are only those of the constants.

    github.com/hashicorp/terraform-provider-aws/pull/44977 and /45926, github.com/stdapi-ai/stdapi.ai/issues/43.
    """
    for one in response._get_param("ProductionVariants") or []:
        scaling = one.get("ManagedInstanceScaling")
        if one.get("ModelName"):
            if scaling:
                raise ValidationError(message=MANAGED_FOR_MODEL)
            continue
        if not response._get_param("ExecutionRoleArn"):
            raise ValidationError(message="ExecutionRoleArn is required for inference component endpoints.")
        for field in ("InitialVariantWeight", "EnableSSMAccess"):
            if one.get(field) is not None:
                raise ValidationError(message=f"{field} is not supported for inference component endpoints.")
        zero = scaling and scaling.get("Status") == "ENABLED" and scaling.get("MinInstanceCount") == 0
        if zero and response.region in NEVER_ZERO:
            raise ValidationError(message=NOT_ZERO)


def _validate_models(backend: SageMakerModelBackend, production_variants: list[dict[str, Any]]) -> None:
    """A variant without a model of its own waits for inference components."""
    for one in production_variants:
        name = one.get("ModelName")
        if name and name not in backend._models:
            raise ValidationError(message=f'Could not find model "{name}".')


def _running(
    backend: SageMakerModelBackend, record: FakeEndpoint, config: Any, live: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    configured = [*config.production_variants, *getattr(config, "kept", {}).get("ShadowProductionVariants", [])]
    models = {one["VariantName"]: one.get("ModelName") for one in configured} if config else {}
    scaling = {
        one["VariantName"]: one["ManagedInstanceScaling"] for one in configured if "ManagedInstanceScaling" in one
    }
    managed = {name: {"ManagedInstanceScaling": one} for name, one in scaling.items()}
    return [
        {**one, **managed.get(name, {}), **_deployed(backend, record, models.get(name))}
        for one in live
        if (name := one["VariantName"])
    ]


def _deployed(backend: SageMakerModelBackend, record: FakeEndpoint, model: str | None) -> dict[str, Any]:
    """The images of a variant, each with the digest that its tag stood for."""
    found = backend._models.get(model) if model else None
    if found is None:
        return {}
    containers = [found.primary_container] if found.primary_container else list(found.containers)
    images = [one["Image"] for one in containers if one.get("Image")]
    resolved = [(image, _resolved(backend, image)) for image in images]
    return {
        "DeployedImages": [
            {"SpecifiedImage": image, "ResolvedImage": digest, "ResolutionTime": record.creation_time}
            for image, digest in resolved
            if digest
        ]
    }


def _resolved(backend: SageMakerModelBackend, image: str) -> str:
    registry, _, rest = image.partition("/")
    name, _, tag = rest.partition(":")
    held = ecr_backends[backend.account_id][backend.region_name].repositories.get(name)
    found = [one for one in held.images if tag in one.image_tags] if held and "@" not in image else []
    return f"{registry}/{name}@{found[0].get_image_digest()}" if found else ""


def _must_exist(backend: Any, resource: str) -> None:
    """Application Auto Scaling looks whether there is something to scale."""
    sagemaker = _sagemaker(backend)
    kind, name, *_ = resource.split("/")
    known = sagemaker.endpoints if kind == "endpoint" else components(sagemaker)
    if name not in known:
        raise AWSValidationException(f"Could not find {kind} {name}.")


def _must_be_whole(backend: Any, resource: str, dimension: str, **given: Any) -> None:
    """A new target names both bounds; only one that is there keeps what is not named."""
    known = resource in backend.targets.get(dimension, {})
    if not known and None in (given.get("min_capacity"), given.get("max_capacity")):
        raise AWSValidationException("A new scalable target needs its minimum and its maximum capacity.")


def _sagemaker(backend: Any) -> SageMakerModelBackend:
    found: SageMakerModelBackend = sagemaker_backends[backend.account_id][backend.region_name]
    return found


def _dimensions() -> Any:
    known = {one.name: one.value for one in autoscaling_models.ScalableDimensionValueSet}
    more = {one.replace(":", "_").replace("-", "_").upper(): one for one in DIMENSIONS if one not in known.values()}
    return Enum("ScalableDimensionValueSet", known | more)


# inference components


def unasked(response: SageMakerRuntimeResponse, endpoint: str) -> str:
    """Why InvokeEndpoint does not take a request: it names no component and has to, or one that cannot answer."""
    named = response.headers.get("X-Amzn-SageMaker-Inference-Component") or ""
    backend = sagemaker_backends[response.current_account][response.region]
    record = backend.endpoints.get(endpoint)
    config = backend.endpoint_configs.get(record.endpoint_config_name) if record else None
    if config is None:
        return ""
    if not named:
        return "" if all(one.get("ModelName") for one in config.production_variants) else UNNAMED
    held = components(backend).get(named)
    if held is None or held["EndpointName"] != endpoint:
        return f'Could not find inference component "{named}".'
    serves = held["InferenceComponentStatus"] in ("InService", "Updating")
    return "" if serves and held["RuntimeConfig"].get("CurrentCopyCount", 1) else NO_CAPACITY


def late_config(response: SageMakerRuntimeResponse, endpoint: str) -> dict[str, Any] | None:
    """The settings of an asynchronous endpoint, None of any other."""
    backend = sagemaker_backends[response.current_account][response.region]
    record = backend.endpoints.get(endpoint)
    config = backend.endpoint_configs.get(record.endpoint_config_name) if record else None
    found: dict[str, Any] | None = getattr(config, "kept", {}).get("AsyncInferenceConfig")
    return found


def components(backend: SageMakerModelBackend) -> dict[str, dict[str, Any]]:
    """The inference components of a region."""
    held: dict[str, dict[str, Any]] = backend.__dict__.setdefault("inference_components", {})
    return held


def _component_arn(backend: SageMakerModelBackend, name: str) -> str:
    return f"arn:aws:sagemaker:{backend.region_name}:{backend.account_id}:inference-component/{name}"


def _made_component(response: SageMakerResponse) -> dict[str, Any]:
    backend, name = response.sagemaker_backend, response._get_param("InferenceComponentName")
    endpoint = response._get_param("EndpointName")
    backend.describe_endpoint(endpoint)
    if backend.endpoints[endpoint].endpoint_status != "InService":
        raise ValidationError(message=f'Endpoint "{endpoint}" is not in service.')
    if name in components(backend):
        raise ValidationError(message=f'Cannot create already existing inference component "{name}".')
    several, one = response._get_param("Specifications"), response._get_param("Specification")
    if bool(several) == bool(one):
        raise ValidationError(message="Give either Specification or Specifications.")
    for given in several or [one]:
        _must_be_based(backend, given.get("BaseInferenceComponentName"))
    made = [_described(backend, given) for given in several or [one]]
    copies = (response._get_param("RuntimeConfig") or {}).get("CopyCount", 1)
    if copies < 1:
        raise ValidationError(message=NO_COPIES)
    held = components(backend)[name] = {
        "InferenceComponentName": name,
        "InferenceComponentArn": _component_arn(backend, name),
        "EndpointName": endpoint,
        "EndpointArn": backend.endpoints[endpoint].arn,
        "VariantName": response._get_param("VariantName"),
        **({"Specifications": made} if several else {"Specification": made[0]}),
        "RuntimeConfig": {"DesiredCopyCount": copies, "CurrentCopyCount": copies},
        "InferenceComponentStatus": "InService",
        "CreationTime": utcnow(),
        "LastModifiedTime": utcnow(),
        "Tags": response._get_param("Tags") or [],
    }
    return held


def _must_be_based(backend: SageMakerModelBackend, base: str | None) -> None:
    """An adapter is loaded by a component that is there, and serves."""
    if base and components(backend).get(base, {}).get("InferenceComponentStatus") != "InService":
        raise ValidationError(message=f'Could not find inference component "{base}" in service.')


def _described(backend: SageMakerModelBackend, given: dict[str, Any]) -> dict[str, Any]:
    """A specification as it is described: its image with the digest that the tag stood for."""
    if "Container" not in given:
        return given
    image = given["Container"].get("Image")
    container = {key: value for key, value in given["Container"].items() if key != "Image"}
    digest = _resolved(backend, image) if image else ""
    deployed = {"SpecifiedImage": image, **({"ResolvedImage": digest} if digest else {})}
    return {**given, "Container": {**container, **({"DeployedImage": deployed} if image else {})}}


def _found(response: SageMakerResponse) -> dict[str, Any]:
    name = response._get_param("InferenceComponentName")
    held = components(response.sagemaker_backend).get(name)
    if held is None:
        raise ValidationError(message=f'Could not find inference component "{name}".')
    return held


def _describe_component(response: SageMakerResponse) -> ActionResult:
    return ActionResult({name: value for name, value in _found(response).items() if name not in ("Tags", STOP)})


def _list_components(response: SageMakerResponse) -> ActionResult:
    endpoint = response._get_param("EndpointNameEquals")
    held = components(response.sagemaker_backend).values()
    found = [one for one in held if endpoint in (None, one["EndpointName"])]
    wanted = [{name: value for name, value in one.items() if name != STOP} for one in found]
    return ActionResult({"InferenceComponents": wanted})


def _update_component(response: SageMakerResponse) -> ActionResult:
    held = _found(response)
    copies = response._get_param("DesiredRuntimeConfig")["CopyCount"]
    held["RuntimeConfig"] = {"DesiredCopyCount": copies, "CurrentCopyCount": copies}
    held["LastModifiedTime"] = utcnow()
    return ActionResult({"InferenceComponentArn": held["InferenceComponentArn"]})


def _delete_component(response: SageMakerResponse) -> ActionResult:
    gone = components(response.sagemaker_backend).pop(_found(response)["InferenceComponentName"])
    gone["InferenceComponentStatus"] = "Deleting"
    if stop := gone.pop(STOP, None):
        stop()
    return EmptyResult()


COMPONENT_OPERATIONS: dict[str, Callable[[SageMakerResponse], ActionResult]] = {
    "describe_inference_component": _describe_component,
    "list_inference_components": _list_components,
    "update_inference_component_runtime_config": _update_component,
    "delete_inference_component": _delete_component,
}
