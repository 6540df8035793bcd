"""IAM policy documents: which statements allow or deny an action on a resource, as far as the local cloud can judge."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from localcloud.deploy.errors import UnknownInTemplate

KNOWN_KEYS = {
    key.lower()
    for key in (
        "application-autoscaling:scalable-dimension",
        "application-autoscaling:service-namespace",
        "aws:PrincipalAccount",
        "aws:PrincipalArn",
        "aws:RequestedRegion",
        "aws:ResourceAccount",
        "aws:SecureTransport",
        "cloudwatch:namespace",
        "events:source",
        "iam:PassedToService",
        "kms:ResourceAliases",
        "kms:ViaService",
        "route53:ChangeResourceRecordSetsActions",
        "route53:ChangeResourceRecordSetsNormalizedRecordNames",
        "route53:ChangeResourceRecordSetsRecordTypes",
        "s3:object-lock-mode",
        "s3:prefix",
        "s3:x-amz-server-side-encryption",
    )
}
RESOURCE_TAG = "aws:resourcetag/"  # known for what SageMaker serves by
POSITIVE = {"StringEquals", "StringLike", "ArnEquals", "ArnLike", "Bool"}
NEGATIVE = {
    "StringNotEquals": "StringEquals",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
STATEMENT = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition", "Principal"}


@dataclass(frozen=True)
class Need:
    """One permission that a request needs; any one of the resources will do."""

    action: str
    resources: tuple[str, ...]
    context: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Grant:
    """An action pattern and a resource pattern of one statement."""

    action: str
    resource: str


@dataclass(frozen=True)
class Verdict:
    """What a policy says about a need, and by which part of it."""

    allowed: tuple[Grant, ...]
    denied: bool


def judge(document: str, need: Need, caller: str | None = None) -> Verdict:
    """Weigh every statement; `caller` (an ARN) is compared with Principal in resource policies."""
    allowed: list[Grant] = []
    denied = False
    for statement in statements(document):
        if not _applies(statement, need, caller):
            continue
        found = [grant for grant in grants(statement) if _matches(grant, need)]
        excluded = "NotAction" in statement or "NotResource" in statement
        if statement["Effect"] == "Deny":
            denied = denied or excluded or bool(found)
        else:
            allowed += found
    return Verdict(tuple(allowed), denied)


def grants(statement: Mapping[str, Any]) -> Iterator[Grant]:
    """Each action pattern with each resource pattern."""
    for action in _list(statement.get("Action", [])):
        for resource in _list(statement.get("Resource", ["*"])):
            yield Grant(action, resource)


@lru_cache(maxsize=512)
def statements(document: str) -> tuple[Mapping[str, Any], ...]:
    """The statements of a policy document."""
    found = json.loads(document)["Statement"]
    return tuple([found] if isinstance(found, dict) else found)


def refuse_unknown_conditions(name: str, document: Mapping[str, Any] | str) -> None:
    """Refuse what `judge` would have to guess about."""
    for statement in statements(document if isinstance(document, str) else json.dumps(document)):
        if strange := sorted(set(statement) - STATEMENT):
            raise UnknownInTemplate(f"{name}: policy element {', '.join(strange)} is unknown to the local cloud")
        for operator, keys in statement.get("Condition", {}).items():
            if operator.removeprefix("ForAllValues:").removeprefix("ForAnyValue:") not in POSITIVE | set(NEGATIVE):
                known = ", ".join(sorted(POSITIVE | set(NEGATIVE)))
                raise UnknownInTemplate(
                    f"{name}: condition operator {operator} is unknown to the local cloud; it knows {known}"
                )
            for key in keys:
                if key.lower() not in KNOWN_KEYS and not key.lower().startswith(RESOURCE_TAG):
                    raise UnknownInTemplate(
                        f"{name}: condition key {key} is unknown to the local cloud; teach localcloud/needs.py"
                    )


def _applies(statement: Mapping[str, Any], need: Need, caller: str | None) -> bool:
    if caller is not None and not _is_principal(statement.get("Principal", "*"), caller):
        return False
    if any(like(need.action, pattern, ignore_case=True) for pattern in _list(statement.get("NotAction", []))):
        return False
    excluded = _list(statement.get("NotResource", []))
    if excluded and all(any(like(resource, pattern) for pattern in excluded) for resource in need.resources):
        return False
    context: dict[str, list[str]] = {"aws:securetransport": ["true"]}
    for key, value in need.context:
        context.setdefault(key.lower(), []).append(value)
    return all(
        _holds(operator, context.get(key.lower(), []), [_plain(value) for value in _list(wanted)])
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def names(statement: Mapping[str, Any], role: str) -> bool:
    """Whether a resource policy's statement names the role by itself, not by its account or by everyone."""
    principal = statement.get("Principal")
    return isinstance(principal, Mapping) and role in _list(principal.get("AWS", []))


def _is_principal(principal: Any, caller: str) -> bool:
    named = _list(principal.get("AWS", [])) if isinstance(principal, Mapping) else _list(principal)
    account = caller.split(":")[4]
    return any(like(caller, name) or name in ("*", account, f"arn:aws:iam::{account}:root") for name in named)


def _holds(operator: str, actual: list[str], wanted: list[str]) -> bool:
    """A condition on a key with any number of values in the request."""
    quantifier, _, plain = operator.rpartition(":")
    if quantifier == "ForAllValues":
        return all(_condition(plain, value, wanted) for value in actual)
    if quantifier == "ForAnyValue":
        return any(_condition(plain, value, wanted) for value in actual)
    return _condition(operator, actual[0] if actual else None, wanted)


def _condition(operator: str, actual: str | None, wanted: list[str]) -> bool:
    if operator in NEGATIVE:
        return not _condition(NEGATIVE[operator], actual, wanted)
    if actual is None or operator not in POSITIVE:
        return False
    if operator in ("StringLike", "ArnLike", "ArnEquals"):
        return any(like(actual, pattern) for pattern in wanted)
    return actual in wanted


def _matches(grant: Grant, need: Need) -> bool:
    return like(need.action, grant.action, ignore_case=True) and any(
        like(resource, grant.resource) for resource in need.resources
    )


def like(text: str, pattern: str, *, ignore_case: bool = False) -> bool:
    """IAM's wildcards: `*` and `?`, nothing else."""
    escaped = re.sub(r"([\[\]])", r"[\1]", pattern)
    return fnmatchcase(text.lower(), escaped.lower()) if ignore_case else fnmatchcase(text, escaped)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
