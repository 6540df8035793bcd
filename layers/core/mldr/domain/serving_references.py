"""Find everything region-bound in a serving state and give each its counterpart in the standby region.

Law 9: a value is found by the field it stands in and rewritten as data. What has no counterpart fails the capture, with
the path of the reference and what to write into the policy, because it would otherwise fail the failover.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mldr.domain.identity import Frozen
from mldr.domain.model_rules import ServingRule
from mldr.domain.secrets import secrets
from mldr.domain.serving_state import Carried, Kind

_REGIONAL_ARN = re.compile(r"arn:aws[a-z-]*:(?P<service>[a-z0-9-]+):[a-z]{2}(?:-[a-z]+)+-\d:")
# Field names of CreateModel, CreateEndpointConfig and CreateInferenceComponent, from botocore's model of the service.
_BY_FIELD = {
    "Image": Kind.IMAGE,
    "ModelDataUrl": Kind.MODEL_DATA,
    "ArtifactUrl": Kind.MODEL_DATA,
    "S3Uri": Kind.MODEL_DATA,
    "ManifestS3Uri": Kind.MODEL_DATA,
    "ShapBaselineUri": Kind.MODEL_DATA,
    "ModelPackageName": Kind.MODEL_PACKAGE,
    "KmsKeyId": Kind.KMS_KEY,
    "ExecutionRoleArn": Kind.ROLE,
    "DestinationS3Uri": Kind.DESTINATION,
    "S3OutputPath": Kind.DESTINATION,
    "S3FailurePath": Kind.DESTINATION,
    "SuccessTopic": Kind.ARN,
    "ErrorTopic": Kind.ARN,
    "HubContentArn": Kind.ARN,
    "RepositoryCredentialsProviderArn": Kind.ARN,
    "MlReservationArn": Kind.ARN,
}
_LISTS = {"Subnets": Kind.SUBNETS, "SecurityGroupIds": Kind.SECURITY_GROUPS}
_ENVIRONMENT = "Environment"
_FREE_TEXT = {"Tags"}  # what people wrote about a resource: kept as it is
# What S3 says of the source's copy; the vault's copy has its own.
_OF_THE_SOURCE = {"ETag", "ManifestEtag"}
_POLICY = {
    Kind.SUBNETS: "write the standby's into the policy: serving.vpc.subnets",
    Kind.SECURITY_GROUPS: "write the standby's into the policy: serving.vpc.security_groups",
    Kind.KMS_KEY: "write a key of the standby region into the policy: serving.kms_key",
    Kind.MODEL_DATA: "no recovery point holds it: approve and protect the version that it belongs to, "
    "or write where it is in the standby into the policy: serving.references",
    Kind.MODEL_PACKAGE: "no recovery point was made of it: approve and protect that version",
    Kind.DESTINATION: "write a place in the standby region into the policy: serving.references",
    Kind.PARAMETER: "write the ARN of its replica in the standby region into the policy: serving.references",
    Kind.ARN: "write its counterpart in the standby region into the policy: serving.references",
}


class Reference(Frozen):
    """One region-bound value: where it stands, and what it says."""

    path: str
    kind: Kind
    value: str | tuple[str, ...]


class Held(Frozen):
    """What the vault holds of a source: its copy, and the recovery point that the copy belongs to."""

    target: str
    point: str


class Problem(Frozen):
    """A value that cannot be captured, and what to do about it."""

    path: str
    text: str
    kind: Kind | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class Grounds(Frozen):
    """Everything from which a counterpart may be taken."""

    rules: ServingRule
    role: str  # of the stack, where the policy names none
    standby: str
    images: dict[str, str] = {}
    held: dict[str, Held] = {}


def find_references(document: Mapping[str, Any], region: str) -> list[Reference]:
    """Return every region-bound value of the document, in its order."""
    return list(_walk(document, "", region))


def _walk(node: Any, path: str, region: str) -> Iterator[Reference]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _member(name, value, f"{path}.{name}" if path else name, region)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _member("", value, f"{path}[{index}]", region)


def _member(name: str, value: Any, path: str, region: str) -> Iterator[Reference]:
    if name in _FREE_TEXT or value in ("", []):
        return
    if name in _LISTS:
        yield Reference(path=path, kind=_LISTS[name], value=tuple(value))
    elif name == _ENVIRONMENT:
        yield from (one for k, v in value.items() for one in _variable(f"{path}.{k}", v, region))
    elif not isinstance(value, str):
        yield from _walk(value, path, region)
    elif name in _BY_FIELD:
        yield Reference(path=path, kind=_BY_FIELD[name], value=value)
    elif bound(value):
        yield Reference(path=path, kind=Kind.ARN, value=value)


def _variable(path: str, value: str, region: str) -> Iterator[Reference]:
    """An environment variable works inside the container: what it names must be there, too."""
    arn = _REGIONAL_ARN.match(value)
    if value == region:
        yield Reference(path=path, kind=Kind.REGION, value=value)
    elif value.startswith("s3://"):
        yield Reference(path=path, kind=Kind.MODEL_DATA, value=value)
    elif arn and arn["service"] in ("secretsmanager", "ssm"):
        yield Reference(path=path, kind=Kind.PARAMETER, value=value)
    elif bound(value):
        yield Reference(path=path, kind=Kind.ARN, value=value)


def bound(value: str) -> bool:
    """Return whether a text names something of one region."""
    return value.startswith("s3://") or ".dkr.ecr." in value or bool(_REGIONAL_ARN.search(value))


def find_secrets(document: Mapping[str, Any], allowed: tuple[str, ...]) -> list[Problem]:
    """Return a problem for each environment variable that seems to carry a secret; the value is never repeated."""
    return [
        Problem(
            path=f"{path}.{name}",
            text="this looks like a secret, and secrets are not captured; let the container read it from Secrets "
            "Manager or SSM and name it by its ARN, or, if it is none, list it in the policy: serving.not_secret",
        )
        for path, environment in _environments(document, "")
        for name in secrets(environment, allowed)
    ]


def _environments(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            here = f"{path}.{name}" if path else name
            if name == _ENVIRONMENT:
                yield here, value
            else:
                yield from _environments(value, here)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _environments(value, f"{path}[{index}]")


def carry(references: list[Reference], grounds: Grounds) -> tuple[tuple[Carried, ...], tuple[Problem, ...]]:
    """Return what is carried, and a problem for each reference that has no counterpart."""
    carried, problems = [], []
    for reference in references:
        found = _counterpart(reference, grounds)
        if found is None:
            text = f"{_said(reference)} has no counterpart in {grounds.standby}; {_POLICY[reference.kind]}"
            problems.append(Problem(path=reference.path, text=text, kind=reference.kind))
        else:
            target, point = found
            carried.append(
                Carried(path=reference.path, kind=reference.kind, source=reference.value, target=target, point=point)
            )
    return tuple(carried), tuple(problems)


def _said(reference: Reference) -> str:
    return reference.value if isinstance(reference.value, str) else ", ".join(reference.value)


def _counterpart(reference: Reference, grounds: Grounds) -> tuple[str | tuple[str, ...], str | None] | None:
    """Return (target, recovery point); the policy's own word comes first."""
    rules, value = grounds.rules, reference.value
    if not isinstance(value, str):
        lists = {Kind.SUBNETS: rules.vpc.subnets, Kind.SECURITY_GROUPS: rules.vpc.security_groups} if rules.vpc else {}
        return (lists[reference.kind], None) if reference.kind in lists else None
    named = mapped(value, rules.references)
    if named is not None:
        return named, None
    if reference.kind in (Kind.MODEL_DATA, Kind.MODEL_PACKAGE):
        held = grounds.held.get(value)
        return (held.target, held.point) if held else None
    known = {
        Kind.IMAGE: grounds.images.get(value),
        Kind.KMS_KEY: rules.kms_key,
        Kind.ROLE: rules.role or grounds.role,
        Kind.REGION: grounds.standby,
    }.get(reference.kind)
    return (known, None) if known else None


def mapped(value: str, references: Mapping[str, str]) -> str | None:
    """Return what the policy says stands for a value; the longest S3 prefix wins where several fit."""
    if value in references:
        return references[value]
    prefixes = [one for one in references if one.endswith("/") and value.startswith(one)]
    if not prefixes:
        return None
    longest = max(prefixes, key=len)
    return references[longest] + value[len(longest) :]


def rewrite(document: Mapping[str, Any], carried: tuple[Carried, ...]) -> dict[str, Any]:
    """Return the document as the standby reads it: each carried path has its target, all else is the same.

    ETags of the source's objects are left out: they are not those of the copies.
    """
    targets = {one.path: one.target for one in carried}

    def copy(node: Any, path: str) -> Any:
        if path in targets:
            target = targets[path]
            return target if isinstance(target, str) else list(target)
        if isinstance(node, Mapping):
            kept = {name: value for name, value in node.items() if name not in _OF_THE_SOURCE}
            return {name: copy(value, f"{path}.{name}" if path else name) for name, value in kept.items()}
        if isinstance(node, list):
            return [copy(value, f"{path}[{index}]") for index, value in enumerate(node)]
        return node

    rewritten: dict[str, Any] = copy(document, "")
    return rewritten
