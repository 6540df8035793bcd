"""SageMaker's model registry as AWS keeps it: nothing dropped, approvals preserved, and an event for every change.

Restores: "SageMaker Model Package State Change" events in AWS's documented shape (with UpdatedModelPackageFields after
an update); update_model_package leaves alone what it is not given; ModelCard, ModelLifeCycle, SecurityConfig,
SourceUri and SkipModelValidation survive; CreateModelPackage is idempotent by ClientToken and never gives a version
number twice; DeleteModelPackage exists.
"""

import json
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import ModelPackage, SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse

from localcloud.patches import Patches

Emit = Callable[[str, dict[str, Any]], None]
DETAIL_TYPE = "SageMaker Model Package State Change"
DROPPED = ("ModelCard", "ModelLifeCycle", "SecurityConfig", "SourceUri", "SkipModelValidation", "ManagedStorageType")
REPLACEABLE = {
    "ApprovalDescription": "approval_description",
    "InferenceSpecification": "inference_specification",
}
UPDATABLE = (
    "ModelApprovalStatus",
    *REPLACEABLE,
    "CustomerMetadataProperties",
    "ModelLifeCycle",
    "ModelCard",
    "SourceUri",
)
IN_EVENT = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "CreationTime",
    "InferenceSpecification",
    "SourceAlgorithmSpecification",
    "ModelPackageStatus",
    "ModelPackageStatusDetails",
    "CertifyForMarketplace",
    "ModelApprovalStatus",
    "MetadataProperties",
    "ModelMetrics",
    "LastModifiedTime",
    "ApprovalDescription",
    "CustomerMetadataProperties",
    "ModelLifeCycle",
)


class SageMakerRepairs:
    """Replaces the parts of moto's model registry that differ from AWS."""

    def __init__(self, account: str, emit: Emit) -> None:
        self._account, self._emit = account, emit
        self._lock = threading.RLock()
        self._tokens: dict[tuple[str, str], str] = {}
        self._last_version: dict[tuple[str, str], int] = {}
        self._patches = Patches()

    def start(self) -> None:
        """Put the repairs in place."""
        replace = self._patches.replace
        self._create = replace(SageMakerResponse, "create_model_package", self._create_model_package())
        self._describe = replace(ModelPackage, "gen_response_object", self._gen_response_object())
        replace(SageMakerResponse, "update_model_package", self._update_model_package())
        # moto has no such operations; a class attribute that was not there before is removed again by stop().
        SageMakerResponse.delete_model_package = self._delete_model_package()  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Restore moto."""
        self._patches.undo()
        del SageMakerResponse.delete_model_package  # type: ignore[attr-defined]

    def _create_model_package(self) -> Any:
        def create(response: SageMakerResponse) -> ActionResult:
            with self._lock:
                given = _input(response)
                token = (response.region, str(given.get("ClientToken")))
                if given.get("ClientToken") and token in self._tokens:
                    return ActionResult({"ModelPackageArn": self._tokens[token]})
                package = self._created(response, given)
                self._tokens[token] = package.arn
            self._tell(response.region, package)
            return ActionResult({"ModelPackageArn": package.arn})

        return create

    def _created(self, response: SageMakerResponse, given: Mapping[str, Any]) -> ModelPackage:
        backend = response.sagemaker_backend
        package = backend.model_packages[self._create(response).result["ModelPackageArn"]]
        self._number(backend, package)
        for name in (name for name in DROPPED if name in given):
            _kept(package)[name] = given[name]
        if package.model_package_group_name and package.model_approval_status is None:
            package.set_model_approval_status("PendingManualApproval")
        return package

    def _number(self, backend: SageMakerModelBackend, package: ModelPackage) -> None:
        """moto numbers by counting, so that a deletion would give a number again."""
        if package.model_package_version is None:
            return
        group = (backend.region_name, str(package.model_package_group_name))
        version = self._last_version[group] = self._last_version.get(group, 0) + 1
        if version != package.model_package_version:
            del backend.model_packages[package.arn]
            package.model_package_version = version
            package.arn = f"{package.arn.rpartition('/')[0]}/{version}"
            backend.model_packages[package.arn] = package
        for name in (package.model_package_name, package.arn):
            backend.model_package_name_mapping[name] = package.arn

    def _update_model_package(self) -> Any:
        def update(response: SageMakerResponse) -> ActionResult:
            given = _input(response)
            with self._lock:
                package = _find(response.sagemaker_backend, str(given["ModelPackageArn"]))
                changed = _change(package, given)
                package.modifications_done()
            self._tell(response.region, package, changed)
            return ActionResult({"ModelPackageArn": package.arn})

        return update

    def _delete_model_package(self) -> Any:
        def delete(response: SageMakerResponse) -> EmptyResult:
            backend = response.sagemaker_backend
            with self._lock:
                package = _find(backend, str(_input(response)["ModelPackageName"]))
                del backend.model_packages[package.arn]
                names = [name for name, arn in backend.model_package_name_mapping.items() if arn == package.arn]
                for name in names:
                    del backend.model_package_name_mapping[name]
            return EmptyResult()

        return delete

    def _gen_response_object(self) -> Any:
        def describe(package: ModelPackage) -> dict[str, Any]:
            return {**self._describe(package), **_kept(package)}

        return describe

    def _tell(self, region: str, package: ModelPackage, changed: list[str] | None = None) -> None:
        self._emit(region, state_change(self._account, region, package, changed))


def state_change(account: str, region: str, package: ModelPackage, changed: list[str] | None) -> dict[str, Any]:
    """The event that SageMaker puts on the default bus."""
    described = package.gen_response_object()
    detail = {name: _plain(described[name]) for name in IN_EVENT if name in described}
    if changed is not None:
        detail["UpdatedModelPackageFields"] = changed
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": DETAIL_TYPE,
        "source": "aws.sagemaker",
        "account": account,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [package.arn],
        "detail": detail,
    }


def _change(package: ModelPackage, given: Mapping[str, Any]) -> list[str]:
    """Apply an update and say which fields it named."""
    if "ModelApprovalStatus" in given:
        package.set_model_approval_status(given["ModelApprovalStatus"])
    for name, attribute in REPLACEABLE.items():
        if name in given:
            setattr(package, attribute, given[name])
    for name in ("ModelLifeCycle", "ModelCard", "SourceUri"):
        if name in given:
            _kept(package)[name] = given[name]
    properties = {**(package.customer_metadata_properties or {}), **given.get("CustomerMetadataProperties", {})}
    removed = given.get("CustomerMetadataPropertiesToRemove", [])
    package.customer_metadata_properties = {k: v for k, v in properties.items() if k not in removed} or None
    if more := given.get("AdditionalInferenceSpecificationsToAdd"):
        package.add_additional_inference_specifications(more)
    changed = [name for name in UPDATABLE if name in given]
    if removed and "CustomerMetadataProperties" not in changed:
        changed.append("CustomerMetadataProperties")
    return changed


def _input(response: SageMakerResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.body)
    return found


def _find(backend: SageMakerModelBackend, name: str) -> ModelPackage:
    package = backend.model_packages.get(backend.model_package_name_mapping.get(name, name))
    if package is None:
        raise ValidationError(f"ModelPackage {name} does not exist.")
    return package


def _kept(package: ModelPackage) -> dict[str, Any]:
    kept: dict[str, Any] = vars(package).setdefault("kept", {})
    return kept


def _plain(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value
