"""SageMaker Model Registry: read in the active region, written in the standby."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, Shape, StructureShape

from mldr.domain.identity import ModelKey
from mldr.domain.registry import RegistryEntry
from mldr.errors import MissingArtifact, RegistryRefused
from mldr.sdk import is_absent, translated

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

SOURCE_ARN = "mldr:source-arn"
RECOVERY_POINT = "mldr:recovery-point"
GOLDEN = "mldr:golden"
LONGEST = 256  # characters of a metadata value
_ARN = re.compile(r"^arn:aws[a-z-]*:sagemaker:[^:]+:\d+:model-package/(?P<group>[^/]+)/(?P<version>\d+)$")
# Not carried: validation ran in the source region, and these name the new package itself.
_NOT_CARRIED = {
    "ModelPackageName",
    "ModelPackageGroupName",
    "ValidationSpecification",
    "ClientToken",
    "Tags",
    "CertifyForMarketplace",
}


class SageMakerRegistry:
    """Needs sagemaker:DescribeModelPackage, DescribeModelPackageGroup, ListModelPackages, ListModelPackageGroups and
    ListTags in both regions;
    in the standby also CreateModelPackageGroup, CreateModelPackage, UpdateModelPackage and AddTags.
    """

    def __init__(self, active: SageMakerClient, standby: SageMakerClient) -> None:
        self._active, self._standby = active, standby

    def describe(self, arn: str) -> RegistryEntry:
        return self._described(self._active, arn, "the active region")

    def own(self, arn: str) -> RegistryEntry:
        return self._described(self._standby, arn, "this region")

    def _described(self, client: SageMakerClient, arn: str, where: str) -> RegistryEntry:
        match = _ARN.match(arn)
        if not match:
            raise MissingArtifact(f"{arn} is not the ARN of a versioned model package; register the model in a group")
        with translated(f"describe {arn}", **self._absent(arn, where)):
            package: Any = client.describe_model_package(ModelPackageName=arn)
        metadata = package.get("CustomerMetadataProperties", {})
        return RegistryEntry(
            model=ModelKey(registry="sagemaker", name=match["group"]),
            version=match["version"],
            arn=arn,
            status=package.get("ModelApprovalStatus", "PendingManualApproval"),
            document=self._registrable(package),
            tags=self._group_tags(client, match["group"]),
            copied_from=metadata.get(SOURCE_ARN),
            golden=metadata.get(GOLDEN),
        )

    def _absent(self, arn: str, where: str = "the active region") -> Any:
        absent = MissingArtifact(f"{arn} does not exist in {where}; register and approve the version again")
        return {"ValidationException": absent, "ResourceNotFound": absent}

    def _registrable(self, package: dict[str, Any]) -> dict[str, Any]:
        """Return what CreateModelPackage takes of a description; version, times and creators belong to the source."""
        shape = self._active.meta.service_model.operation_model("CreateModelPackage").input_shape
        pruned: dict[str, Any] = _prune(package, shape)
        return {name: value for name, value in pruned.items() if name not in _NOT_CARRIED}

    def _group_tags(self, client: SageMakerClient, group: str) -> dict[str, str]:
        with translated(f"read the tags of {group}", **self._absent(group)):
            arn = client.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
            return {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=arn).get("Tags", [])}

    def models(self) -> Iterator[ModelKey]:
        with translated("list the model package groups of the active region"):
            for page in self._active.get_paginator("list_model_package_groups").paginate():
                for group in page["ModelPackageGroupSummaryList"]:
                    yield ModelKey(registry="sagemaker", name=group["ModelPackageGroupName"])

    def newest_approved(self, model: ModelKey) -> str | None:
        try:
            with translated(f"list the versions of {model}", **self._absent(model.name)):
                return next(self._versions(self._active, model.name, ModelApprovalStatus="Approved"), None)
        except MissingArtifact:
            return None

    def _versions(self, client: SageMakerClient, group: str, **only: Any) -> Iterator[str]:
        pages = client.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", **only
        )
        for page in pages:
            yield from (item["ModelPackageArn"] for item in page["ModelPackageSummaryList"])

    def register(self, entry: RegistryEntry, recovery_point: str) -> str:
        self._ensure_group(entry)
        existing = self._registered(entry, recovery_point)
        if existing:
            return existing
        refused = RegistryRefused(
            f"the registry of the standby region refused {entry.arn}; see the cause, mend it, protect the model again"
        )
        marks = {
            **entry.document.get("CustomerMetadataProperties", {}),
            SOURCE_ARN: entry.arn,
            RECOVERY_POINT: recovery_point,
            **({GOLDEN: entry.golden} if entry.golden and len(entry.golden) <= LONGEST else {}),
        }
        document: Any = {**entry.document, "ModelApprovalStatus": entry.status, "CustomerMetadataProperties": marks}
        with translated(f"register {entry.arn} in the standby region", ValidationException=refused):
            return self._standby.create_model_package(
                ModelPackageGroupName=entry.model.name, ClientToken=_token(entry, recovery_point), **document
            )["ModelPackageArn"]

    def _ensure_group(self, entry: RegistryEntry) -> None:
        """Create the group if it is missing. SageMaker has no code for "there already", so ask before and after."""
        if self._has_group(entry.model.name):
            return
        try:
            with translated(f"create group {entry.model.name} in the standby region"):
                self._standby.create_model_package_group(
                    ModelPackageGroupName=entry.model.name,
                    Tags=[
                        {"Key": key, "Value": value} for key, value in entry.tags.items() if not key.startswith("aws:")
                    ],
                )
        except ClientError as error:
            if not self._has_group(entry.model.name):
                raise RegistryRefused(
                    f"group {entry.model.name} cannot be created in the standby region: {error}"
                ) from error

    def _has_group(self, group: str) -> bool:
        try:
            with translated(f"describe group {group}"):
                self._standby.describe_model_package_group(ModelPackageGroupName=group)
        except ClientError as error:
            if not is_absent(error):
                raise
            return False
        return True

    def _registered(self, entry: RegistryEntry, recovery_point: str) -> str | None:
        for arn in self._versions(self._standby, entry.model.name):
            with translated(f"describe {arn}"):
                metadata = self._standby.describe_model_package(ModelPackageName=arn).get(
                    "CustomerMetadataProperties", {}
                )
            if (metadata.get(SOURCE_ARN), metadata.get(RECOVERY_POINT)) == (entry.arn, recovery_point):
                return arn
        return None

    def set_status(self, arn: str, status: str) -> None:
        with translated(f"set the approval of {arn}"):
            self._standby.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)  # type: ignore[arg-type]


def _token(entry: RegistryEntry, recovery_point: str) -> str:
    return f"mldr-{entry.model.name[:12]}-{entry.version}-{recovery_point[-12:]}"[:36]


def _prune(value: Any, shape: Shape | None) -> Any:
    """Return only what the API's own description of an input knows."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        return {
            name: _prune(value[name], member) for name, member in shape.members.items() if value.get(name) is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_prune(item, shape.member) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {name: _prune(item, shape.value) for name, item in value.items()}
    return value
