"""Find everything region-bound in a registry's record, and write the record anew for the standby region.

Law 9: a reference is found by the field it stands in and rewritten as data. What looks region-bound but stands in a
field that nobody knows how to carry fails the capture, because it would otherwise fail the failover.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from mldr.domain.identity import Frozen
from mldr.domain.recovery_point import Rewrite
from mldr.domain.region_words import find_words, reworded, unmapped
from mldr.errors import BadReference

_S3 = re.compile(r"^s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>.*)$", re.DOTALL)
_REGIONAL_ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z]{2}(?:-[a-z]+)+-\d:")


class Kind(StrEnum):
    """What a reference points to, and so how it is carried."""

    S3_OBJECT = "s3-object"
    S3_PREFIX = "s3-prefix"
    IMAGE = "image"
    KMS_KEY = "kms-key"
    REGION = "region"
    NAMED = "named"  # the policy says what stands for it
    LINEAGE = "lineage"  # history: kept as it is, it says where the model came from


class Reference(Frozen):
    """One region-bound value: where it stands in the record, and what it says."""

    path: str
    kind: Kind
    value: str
    target: str = ""  # where the policy says what stands for it

    def s3(self) -> tuple[str, str]:
        """Return (bucket, key or prefix). Raises BadReference when it is no S3 URI."""
        return parse_s3(self.value, self.path)


# Field names of sagemaker:CreateModelPackage, from botocore's model of the service.
_BY_FIELD = {
    "Image": Kind.IMAGE,
    "ModelDataUrl": Kind.S3_OBJECT,
    "SamplePayloadUrl": Kind.S3_OBJECT,
    "KmsKeyId": Kind.KMS_KEY,
    "GeneratedBy": Kind.LINEAGE,
    "Repository": Kind.LINEAGE,
    "SourceUri": Kind.LINEAGE,
    "ModelCardContent": Kind.LINEAGE,
}
# Maps whose keys the user chooses: environment variables reach the container, metadata does not.
_USERS_METADATA = "CustomerMetadataProperties"
_ENVIRONMENT = "Environment"
# What S3 and ECR say of the source's copy; the vault's copy has its own.
_OF_THE_SOURCE = {"ModelDataETag", "ETag", "ManifestEtag", "ImageDigest"}


def parse_s3(uri: str, path: str) -> tuple[str, str]:
    """Return (bucket, key) of an S3 URI found at `path`. Raises BadReference naming the field."""
    match = _S3.match(uri)
    if not match or not match["key"]:
        raise BadReference(f"{path}: {uri!r} is not an S3 URI of an object or prefix; write s3://bucket/key")
    return match["bucket"], match["key"]


class Ground(Frozen):
    """Where a record comes from, and what the policy says stands for what in the other region."""

    region: str
    named: dict[str, str] = {}


def find_references(document: Mapping[str, Any], ground: Ground) -> list[Reference]:
    """Return every region-bound value of the record, in its order. Raises BadReference for one that nobody knows."""
    return list(_walk(document, "", ground))


def _walk(node: Any, path: str, ground: Ground) -> Iterator[Reference]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _member(node, name, value, f"{path}.{name}" if path else name, ground)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _member({}, "", value, f"{path}[{index}]", ground)


def _member(parent: Mapping[str, Any], name: str, value: Any, path: str, ground: Ground) -> Iterator[Reference]:
    if isinstance(value, str):
        yield from _leaf(parent, name, value, path, ground)
    elif name == _USERS_METADATA:
        yield from (Reference(path=f"{path}.{k}", kind=Kind.LINEAGE, value=v) for k, v in value.items() if _bound(v))
    elif name == _ENVIRONMENT:
        yield from (_variable(f"{path}.{k}", v, ground) for k, v in value.items() if _reaches(v, ground))
    else:
        yield from _walk(value, path, ground)


def _leaf(parent: Mapping[str, Any], name: str, value: str, path: str, ground: Ground) -> Iterator[Reference]:
    if name == "S3Uri":
        prefix = parent.get("S3DataType") == "S3Prefix"
        yield Reference(path=path, kind=Kind.S3_PREFIX if prefix else Kind.S3_OBJECT, value=value)
    elif name in _BY_FIELD:
        yield Reference(path=path, kind=_BY_FIELD[name], value=value)
    elif _bound(value):
        said = ", ".join(find_words(value, ground.region))
        raise BadReference(
            f"{path}: {said} belongs to one region and there is no rule that carries this field to another; "
            "remove it from the package, or ask for a rule in docs/decisions/0004"
        )


def _reaches(value: str, ground: Ground) -> bool:
    return bool(find_words(value, ground.region))


def _variable(path: str, value: str, ground: Ground) -> Reference:
    """An environment variable works inside the container, so an S3 URI there is data to carry."""
    if value == ground.region:
        return Reference(path=path, kind=Kind.REGION, value=value)
    if value.startswith("s3://") and value.count("s3://") == 1:
        kind = Kind.S3_PREFIX if value.endswith("/") else Kind.S3_OBJECT
        return Reference(path=path, kind=kind, value=value)
    words = find_words(value, ground.region)
    target = reworded(value, words, ground.named)
    if target is None:
        raise BadReference(
            f"{path}: {', '.join(unmapped(words, ground.named))} belongs to {ground.region} alone and the container "
            "reads it; let the container take it from its own region (AWS_REGION) and register a version without it, "
            "or write its counterpart in the standby region into the policy: serving.references"
        )
    return Reference(path=path, kind=Kind.NAMED, value=value, target=target)


def _bound(value: str) -> bool:
    return value.startswith("s3://") or ".dkr.ecr." in value or bool(_REGIONAL_ARN.search(value))


def rewrite_document(document: Mapping[str, Any], rewrites: tuple[Rewrite, ...]) -> dict[str, Any]:
    """Return the record as it reads in the standby region: each rewritten path has its target, all else is the same.

    ETags and image digests of the source are left out: they are not those of the copies.
    """
    targets = {rewrite.path: rewrite.target for rewrite in rewrites}

    def copy(node: Any, path: str) -> Any:
        if isinstance(node, Mapping):
            kept = {name: value for name, value in node.items() if name not in _OF_THE_SOURCE}
            return {name: copy(value, f"{path}.{name}" if path else name) for name, value in kept.items()}
        if isinstance(node, list):
            return [copy(value, f"{path}[{index}]") for index, value in enumerate(node)]
        return targets.get(path, node)

    rewritten: dict[str, Any] = copy(document, "")
    return rewritten
