"""Find everything region-bound in a serving state and give each its counterpart in the standby region.

Law 9: a value is found by the field it stands in and rewritten as data. What has no counterpart fails the capture, with
the path of the reference and what to write into the policy, because it would otherwise fail the failover.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mldr.domain.execution_roles import ExecutionRoles, run_as
from mldr.domain.identity import Frozen
from mldr.domain.model_rules import ServingRule
from mldr.domain.region_words import find_words, mapped, reworded, unmapped
from mldr.domain.secrets import suspects
from mldr.domain.serving_state import Carried, Kind

_PARAMETER = re.compile(r"arn:aws[a-z-]*:(?:secretsmanager|ssm):")
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
# By these a model reaches further than the vault, an image and its log: only a role of its own may.
_BEYOND = {Kind.SUBNETS, Kind.SECURITY_GROUPS, Kind.DESTINATION, Kind.PARAMETER, Kind.ARN}
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
    Kind.TEXT: "write the counterpart of each in the standby region into the policy: serving.references",
}


class Reference(Frozen):
    """One region-bound value: where it stands, and what it says."""

    path: str
    kind: Kind
    value: str | tuple[str, ...]
    words: tuple[str, ...] = ()  # what of a longer text is region-bound; messages name them and nothing beside them


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
    roles: ExecutionRoles
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
    elif name == _ENVIRONMENT and isinstance(value, Mapping):
        yield from (one for k, v in value.items() for one in _variable(f"{path}.{k}", v, region))
    elif not isinstance(value, str):
        yield from _walk(value, path, region)
    elif name in _BY_FIELD:
        yield Reference(path=path, kind=_BY_FIELD[name], value=value)
    else:
        yield from _text(path, value, region)


def _variable(path: str, value: str, region: str) -> Iterator[Reference]:
    """An environment variable works inside the container: what it names must be there, too."""
    if value == region:
        yield Reference(path=path, kind=Kind.REGION, value=value)
    elif value.startswith("s3://") and value.count("s3://") == 1:
        yield Reference(path=path, kind=Kind.MODEL_DATA, value=value, words=find_words(value, region))
    elif find_words(value, region) == (value,) and _PARAMETER.match(value):
        yield Reference(path=path, kind=Kind.PARAMETER, value=value)
    else:
        yield from _text(path, value, region)


def _text(path: str, value: str, region: str) -> Iterator[Reference]:
    words = find_words(value, region)
    if words:
        arns = any(one.startswith("arn:") for one in words)
        yield Reference(path=path, kind=Kind.ARN if arns else Kind.TEXT, value=value, words=words)


def find_secrets(document: Mapping[str, Any], allowed: tuple[str, ...]) -> list[Problem]:
    """Return a problem for each value that looks like a secret; the value is never repeated."""
    return [
        Problem(
            path=one.path,
            text="this looks like a secret, and secrets are not captured; let the container read it from Secrets "
            f"Manager or SSM and name it by its ARN, or, if it is none, list {one.name} in the policy: "
            "serving.not_secret",
        )
        for one in suspects(document, allowed)
    ]


def carry(references: list[Reference], grounds: Grounds) -> tuple[tuple[Carried, ...], tuple[Problem, ...]]:
    """Return what is carried, and a problem for each reference that has no counterpart."""
    carried, problems = [], []
    for reference in references:
        if reference.kind is Kind.ROLE:
            found = _role(reference, references, grounds)
        else:
            found = _counterpart(reference, grounds) or _nothing(reference, grounds)
        if isinstance(found, str):
            problems.append(Problem(path=reference.path, text=found, kind=reference.kind))
        else:
            target, point = found
            carried.append(
                Carried(path=reference.path, kind=reference.kind, source=reference.value, target=target, point=point)
            )
    return tuple(carried), tuple(problems)


_Found = tuple[str | tuple[str, ...], str | None]  # (target, recovery point)


def _role(reference: Reference, references: list[Reference], grounds: Grounds) -> _Found | str:
    """Return what a model runs as, or why it cannot run; the policy's own word comes first."""
    captured, roles = str(reference.value), grounds.roles
    chosen = mapped(captured, grounds.rules.references) or grounds.rules.role
    if chosen:
        return (chosen, None) if roles.may_pass(chosen) else roles.refused(chosen, grounds.standby)
    beyond = [one.path for one in references if _concerns(one, reference) and _beyond(one, grounds)]
    found = run_as(captured, roles, beyond)
    if found is None:
        return f"{roles.refused(captured, grounds.standby)}; the stack's own role does not do for {', '.join(beyond)}"
    return found, None


def _concerns(one: Reference, role: Reference) -> bool:
    """Return whether a value is of the model that runs as this role, or of the whole endpoint."""
    model, _, _ = role.path.rpartition(".")
    return one.path.startswith((f"{model}.", "Config.", "Components["))


def _beyond(one: Reference, grounds: Grounds) -> bool:
    elsewhere = one.kind is Kind.MODEL_DATA and mapped(str(one.value), grounds.rules.references) is not None
    places = one.kind is Kind.TEXT and any("." in word or "/" in word for word in one.words)  # no mere zones
    return elsewhere or places or one.kind in _BEYOND


def _nothing(reference: Reference, grounds: Grounds) -> str:
    whole = (reference.value,) if isinstance(reference.value, str) else reference.value
    said = ", ".join(unmapped(reference.words, grounds.rules.references) or whole)
    return f"{said} has no counterpart in {grounds.standby}; {_POLICY[reference.kind]}"


def _counterpart(reference: Reference, grounds: Grounds) -> _Found | None:
    """Return what stands for a value; the policy's own word comes first."""
    rules, value = grounds.rules, reference.value
    if not isinstance(value, str):
        lists = {Kind.SUBNETS: rules.vpc.subnets, Kind.SECURITY_GROUPS: rules.vpc.security_groups} if rules.vpc else {}
        return (lists[reference.kind], None) if reference.kind in lists else None
    named = reworded(value, reference.words, rules.references)
    if named is not None:
        return named, None
    if reference.kind in (Kind.MODEL_DATA, Kind.MODEL_PACKAGE):
        held = grounds.held.get(value)
        return (held.target, held.point) if held else None
    known = {
        Kind.IMAGE: grounds.images.get(value),
        Kind.KMS_KEY: rules.kms_key,
        Kind.REGION: grounds.standby,
    }.get(reference.kind)
    return (known, None) if known else None


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
