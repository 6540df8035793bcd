"""Find what binds an InferenceService to its region, and what its cluster must hold besides (law 9).

Every string is looked at. What looks region-bound is listed with its path, and must be carried or named in the policy's
references; secrets are listed by name. A secret's value in a spec, or a place that only a secret names, fails the
capture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from mldr.domain.identity import Frozen
from mldr.domain.kserve import Need
from mldr.domain.recovery_point import Manifest
from mldr.domain.region_words import find_words
from mldr.domain.secrets import suspects
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
    words: tuple[str, ...] = ()  # what of a longer text is region-bound; messages name them and nothing beside them


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
    words = find_words(value, region) if region else ()
    binding = _binding(value, name, region, words)
    if binding:
        yield Bound(path=path, binding=binding, value=value, words=words)


def _binding(value: str, name: str, region: str, words: tuple[str, ...]) -> Binding | None:
    if value.startswith("s3://") and value.count("s3://") == 1:
        return Binding.S3
    if value.startswith("pvc://") or name == "claimName":
        return Binding.CLUSTER
    if ".dkr.ecr." in value and name == "image":
        return Binding.IMAGE
    if value and value == region:
        return Binding.REGION
    return Binding.OTHER if words else None


def find_refused(documents: Mapping[str, Any], not_secret: tuple[str, ...]) -> list[Problem]:
    """Return a problem for each secret value, and for each place that only a secret knows; no value is repeated."""
    secrets = [
        Problem(
            path=one.path,
            text="this looks like a secret, and secrets are not captured; put it in a Secret and name that by "
            "valueFrom.secretKeyRef (an argument may say $(VARIABLE)), or, if it is none, "
            f"list {one.name} in the policy: serving.not_secret",
        )
        for one in suspects(documents, not_secret)
    ]
    return [*_unknown_buckets(documents, "", ""), *secrets]


def _unknown_buckets(node: Any, name: str, path: str) -> Iterator[Problem]:
    if isinstance(node, list):
        for index, value in enumerate(node):
            yield from _unknown_buckets(value, name, f"{path}[{index}]")
    if not isinstance(node, Mapping):
        return
    if name == "storage" and not path.endswith("logger.storage"):
        text = "only a secret knows the bucket of this model, so it cannot be carried; name the model by storageUri"
        yield Problem(path=path, text=text)
    for key, inner in node.items():
        yield from _unknown_buckets(inner, key, f"{path}.{key}" if path else key)


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
