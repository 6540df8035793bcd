"""Validate as a Kubernetes API server does: by the real schemas of KServe's CustomResourceDefinitions."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

Schema = dict[str, Any]


@cache
def definitions() -> dict[str, Schema]:
    """The vendored definitions, by kind."""
    return json.loads(gzip.decompress((Path(__file__).parent / "crds.json.gz").read_bytes()))  # type: ignore[no-any-return]


@cache
def _validator(kind: str) -> Any:
    import jsonschema  # here: every fake world imports this module, few validate

    return jsonschema.Draft202012Validator(definitions()[kind]["schema"])


def wrong(kind: str, document: Schema) -> list[str]:
    """What the schema refuses, with the path, as the API server words it."""
    return [
        f"{'.'.join(map(str, error.absolute_path)) or '<root>'}: Invalid value: {error.message[:200]}"
        for error in _validator(kind).iter_errors(document)
    ]


def unknown(kind: str, document: Schema) -> list[str]:
    """Fields that the schema does not have: strict validation refuses them, any other drops them."""
    return list(_unknown(definitions()[kind]["schema"], document, ""))


def _unknown(schema: Schema, node: Any, path: str) -> Iterator[str]:
    if schema.get("x-kubernetes-preserve-unknown-fields") or path == "metadata":
        return
    if isinstance(node, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, value in node.items():
            here = f"{path}.{name}" if path else name
            inner = properties.get(name, others)
            if isinstance(inner, dict):
                yield from _unknown(inner, value, here)
            elif properties:
                yield here
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _unknown(schema.get("items", {}), value, f"{path}[{index}]")


def with_defaults(kind: str, document: Schema) -> Schema:
    """The document with the schema's defaults, as it is stored."""
    filled = _filled(definitions()[kind]["schema"], document)
    assert isinstance(filled, dict)
    return filled


def _filled(schema: Schema, node: Any) -> Any:
    if isinstance(node, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        filled = {
            name: _filled(properties.get(name, others if isinstance(others, dict) else {}), value)
            for name, value in node.items()
        }
        for name, inner in properties.items():
            if name not in filled and "default" in inner:
                filled[name] = inner["default"]
        return filled
    if isinstance(node, list):
        return [_filled(schema.get("items", {}), value) for value in node]
    return node
