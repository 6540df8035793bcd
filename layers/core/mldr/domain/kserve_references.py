"""Find what binds an InferenceService to its region, and what its cluster must hold besides (law 9).

Every string is looked at. What looks region-bound is listed with its path, and must be carried or named in the policy's
references; secrets are listed by name. A secret's value in a spec, or a place that only a secret names, fails the
capture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from mldr.domain.identity import Frozen
from mldr.domain.kserve import Need
from mldr.domain.recovery_point import Manifest
from mldr.domain.secrets import looks_secret
from mldr.domain.serving_references import Problem

_NEEDS = {
    "secretKeyRef": "Secret",
    "secretRef": "Secret",
    "secretName": "Secret",
    "imagePullSecrets": "Secret",
    "configMapKeyRef": "ConfigMap",
    "configMapRef": "ConfigMap",
    "configMap": "ConfigMap",
    "serviceAccountName": "ServiceAccount",
}


class Binding(StrEnum):
    """Why a value does not hold in another region."""

    S3 = "s3"
    IMAGE = "image"
    REGION = "region"
    CLUSTER = "cluster"  # a volume of this cluster, whose bytes are in no recovery point
    OTHER = "other"


class Bound(Frozen):
    """One region-bound value."""

    path: str
    binding: Binding
    value: str


def find_bound(documents: Mapping[str, Any], region: str) -> list[Bound]:
    """Return every region-bound value."""
    return [one for one in _walk(documents, "", "", region) if isinstance(one, Bound)]


def find_needs(documents: Mapping[str, Any]) -> list[Need]:
    """Return what must stand in the standby's cluster besides, each once."""
    found = [one for one in _walk(documents, "", "", "") if isinstance(one, Need)]
    return list({(one.kind, one.name): one for one in found}.values())


def _walk(node: Any, name: str, path: str, region: str) -> Iterator[Bound | Need]:
    if isinstance(node, Mapping):
        if name in _NEEDS and isinstance(node.get("name"), str):
            yield Need.model_validate({"kind": _NEEDS[name], "name": node["name"], "path": path})
        for key, value in node.items():
            yield from _walk(value, key, f"{path}.{key}" if path else key, region)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _walk(value, name, f"{path}[{index}]", region)
    elif isinstance(node, str):
        yield from _leaf(node, name, path, region)


def _leaf(value: str, name: str, path: str, region: str) -> Iterator[Bound | Need]:
    if name in ("secretName", "serviceAccountName"):
        yield Need.model_validate({"kind": _NEEDS[name], "name": value, "path": path})
        return
    binding = _binding(value, name, region)
    if binding:
        yield Bound(path=path, binding=binding, value=value)


def _binding(value: str, name: str, region: str) -> Binding | None:
    if value.startswith("s3://"):
        return Binding.S3
    if value.startswith("pvc://") or name == "claimName":
        return Binding.CLUSTER
    if ".dkr.ecr." in value:
        return Binding.IMAGE if name == "image" else Binding.OTHER
    if not region:
        return None
    if value == region:
        return Binding.REGION
    # A zone, an ARN, a host name: whatever holds the region's name as a word of its own, with a zone's letter or not.
    named = re.search(rf"(?<![a-z0-9-]){re.escape(region)}[a-z]?(?![a-z0-9-])", value)
    return Binding.OTHER if named or "s3://" in value else None


def find_refused(documents: Mapping[str, Any], not_secret: tuple[str, ...]) -> list[Problem]:
    """Return a problem for each secret value, and for each place that only a secret knows; no value is repeated."""
    return list(_refused(documents, "", "", not_secret))


def _refused(node: Any, name: str, path: str, allowed: tuple[str, ...]) -> Iterator[Problem]:
    if isinstance(node, list):
        for index, value in enumerate(node):
            yield from _refused(value, name, f"{path}[{index}]", allowed)
    if not isinstance(node, Mapping):
        return
    if name == "storage" and not path.endswith("logger.storage"):
        text = "only a secret knows the bucket of this model, so it cannot be carried; name the model by storageUri"
        yield Problem(path=path, text=text)
    variable, value = str(node.get("name", "")), node.get("value")
    if isinstance(value, str) and variable not in allowed and looks_secret(variable, value):
        text = f"{variable} looks like a secret, and secrets are not captured; put it in a Secret and name that by "
        text += "valueFrom.secretKeyRef, or, if it is none, list it in the policy: serving.not_secret"
        yield Problem(path=f"{path}.value", text=text)
    for key, inner in node.items():
        yield from _refused(inner, key, f"{path}.{key}" if path else key, allowed)


def carried(uri: str, manifests: list[Manifest]) -> tuple[str, str] | None:
    """Return (what stands for an S3 URI in the vault, recovery point), from the first that holds it all; or None."""
    for manifest in manifests:
        for rewrite in manifest.rewrites:
            if rewrite.kind not in ("s3-object", "s3-prefix"):
                continue
            source, target = rewrite.source.rstrip("/"), rewrite.target.rstrip("/")
            if uri.rstrip("/") == source:
                return target + "/" * uri.endswith("/"), manifest.recovery_point
            if rewrite.kind == "s3-prefix" and uri.startswith(f"{source}/"):
                return target + uri.removeprefix(source), manifest.recovery_point
    return None
