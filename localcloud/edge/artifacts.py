"""What a SageMaker model would serve: one container, its image and its artifact, all of the endpoint's own region."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from moto.s3.models import s3_backends
from moto.sagemaker.models import SageMakerModelBackend

from localcloud.edge.container_process import Artifact, Unservable

ECR_IMAGE = re.compile(r"^\d{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/")
CODE_IN_ARTIFACT = ("", "/opt/ml/model/code")


def artifact(backend: SageMakerModelBackend, model_name: str) -> Artifact:
    """Where the model's bytes are; raises with the endpoint's FailureReason when it cannot be served here."""
    return _of_container(backend, _container(backend, model_name))


def component_artifact(backend: SageMakerModelBackend, component: Mapping[str, Any]) -> Artifact:
    """The same of an inference component."""
    specification = component.get("Specification")
    if specification is None:
        raise Unservable("The local cloud does not run components of several instance types.")
    if specification.get("BaseInferenceComponentName"):
        raise Unservable("The local cloud does not run adapters.")
    if specification.get("ModelName"):
        return artifact(backend, specification["ModelName"])
    container = specification["Container"]
    image = container.get("DeployedImage", {}).get("SpecifiedImage", "")
    return _of_container(backend, {**container, "Image": image, "ModelDataUrl": container.get("ArtifactUrl")})


def _of_container(backend: SageMakerModelBackend, container: Mapping[str, Any]) -> Artifact:
    _own_image(backend.region_name, str(container.get("Image", "")))
    url, form = _location(container)
    _own_bucket(backend, url)
    environment = {str(name): str(value) for name, value in (container.get("Environment") or {}).items()}
    if environment.get("SAGEMAKER_SUBMIT_DIRECTORY", "") not in CODE_IN_ARTIFACT:
        raise Unservable("The local cloud runs only code that is inside the model artifact (code/ in the archive).")
    return Artifact(backend.region_name, url, form, environment)


def _container(backend: SageMakerModelBackend, model_name: str) -> Mapping[str, Any]:
    model = backend._models.get(model_name)
    if model is None:
        raise Unservable(f'Could not find model "{model_name}".')
    containers = [model.primary_container] if model.primary_container else list(model.containers)
    if len(containers) != 1:
        raise Unservable(f"The local cloud serves models of one container, not of {len(containers)}.")
    package = containers[0].get("ModelPackageName")
    return _packaged(backend, package, containers[0]) if package else containers[0]


def _packaged(backend: SageMakerModelBackend, name: str, container: Mapping[str, Any]) -> Mapping[str, Any]:
    """The container of a model package; the model's own environment wins."""
    for package in backend.model_packages.values():
        if name in (package.arn, package.model_package_name):
            described: list[dict[str, Any]] = (package.inference_specification or {}).get("Containers") or []
            if len(described) != 1:
                raise Unservable(f"The local cloud serves packages of one container, not of {len(described)}.")
            merged = (described[0].get("Environment") or {}) | (container.get("Environment") or {})
            return {**described[0], "Environment": merged}
    raise Unservable(f'Could not find model package "{name}" in {backend.region_name}.')


def _own_image(region: str, image: str) -> None:
    found = ECR_IMAGE.match(image)
    if found is None:
        raise Unservable(f'The image "{image}" is not a valid Amazon ECR image path.')
    if found["region"] != region:
        raise Unservable(
            f'The image "{image}" is in {found["region"]}; it must be in the region of the endpoint, {region}.'
        )


def _location(container: Mapping[str, Any]) -> tuple[str, str]:
    source = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if not source:
        return str(container.get("ModelDataUrl") or ""), "archive"
    if source.get("ManifestS3Uri"):
        raise Unservable("The local cloud does not know ManifestS3Uri.")
    if source.get("CompressionType") == "Gzip":
        return str(source["S3Uri"]), "archive"
    return str(source["S3Uri"]), "prefix" if source.get("S3DataType") == "S3Prefix" else "object"


def _own_bucket(backend: SageMakerModelBackend, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise Unservable(f'"{url}" is not the S3 location of a model.')
    bucket = s3_backends[backend.account_id][backend.partition].buckets.get(parts.netloc)
    if bucket is None:
        raise Unservable(f'Could not access model data at "{url}": the bucket does not exist.')
    if bucket.region_name != backend.region_name:
        raise Unservable(
            f'Could not access model data at "{url}": the bucket is in {bucket.region_name}; it must be in the same '
            f"region as the model, {backend.region_name}."
        )
