"""Template parameters: values from samconfig.toml and the caller, checked as CloudFormation checks them."""

import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localcloud.deploy.errors import DeployError, UnknownInTemplate

SINGLE = {"String", "Number"}
LISTS = {"CommaDelimitedList", "List<String>", "List<Number>"}


def from_samconfig(path: Path, environment: str) -> dict[str, str]:
    """The parameter overrides that `sam deploy --config-env` would use; none when the file is missing."""
    if not path.exists():
        return {}
    section = tomllib.loads(path.read_text()).get(environment, {}).get("deploy", {}).get("parameters", {})
    overrides = section.get("parameter_overrides", [])
    pairs = shlex.split(overrides) if isinstance(overrides, str) else overrides
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def resolve(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Each declared parameter's value; every mistake is named at once."""
    mistakes = [f"{name}: no such parameter in the template" for name in given if name not in declared]
    values: dict[str, Any] = {}
    for name, definition in declared.items():
        if name not in given and "Default" not in definition:
            mistakes.append(f"{name}: no value given and no default")
            continue
        value = str(given.get(name, definition.get("Default")))
        mistakes += [f"{name}: {mistake}" for mistake in _mistakes(definition, value)]
        values[name] = _typed(name, definition, value)
    if mistakes:
        raise DeployError("parameters: " + "; ".join(mistakes))
    return values


def _mistakes(definition: Mapping[str, Any], value: str) -> list[str]:
    found = []
    allowed = [str(choice) for choice in definition.get("AllowedValues", [])]
    if allowed and value not in allowed:
        found.append(f"{value!r} is not one of {', '.join(allowed)}")
    found += _unmatched(definition, value)
    if definition["Type"] == "Number":
        return found + _number_mistakes(definition, value)
    if not int(definition.get("MinLength", 0)) <= len(value) <= int(definition.get("MaxLength", 4096)):
        found.append(f"{value!r} is too short or too long")
    return found


def _unmatched(definition: Mapping[str, Any], value: str) -> list[str]:
    """Of a list each item has to match."""
    pattern = definition.get("AllowedPattern")
    items = [item.strip() for item in value.split(",")] if definition["Type"] in LISTS else [value]
    return [f"{one!r} does not match {pattern}" for one in items if pattern and not re.fullmatch(pattern, one)]


def _number_mistakes(definition: Mapping[str, Any], value: str) -> list[str]:
    try:
        number = float(value)
    except ValueError:
        return [f"{value!r} is not a number"]
    low, high = float(definition.get("MinValue", "-inf")), float(definition.get("MaxValue", "inf"))
    return [] if low <= number <= high else [f"{value} is not between {low:g} and {high:g}"]


def _typed(name: str, definition: Mapping[str, Any], value: str) -> Any:
    kind = definition["Type"]
    if kind in LISTS:
        return [item.strip() for item in value.split(",")] if value else []
    if kind in SINGLE:
        return value
    raise UnknownInTemplate(
        f"parameter {name}: type {kind} is unknown to the local cloud; use one of {sorted(SINGLE | LISTS)}"
    )
