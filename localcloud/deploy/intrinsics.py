"""Template functions (Ref, Fn::Sub …), conditions and mappings, resolved against what already stands."""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.deploy.errors import DeployError, UnknownInTemplate

NO_VALUE = object()
REFERENCE = re.compile(r"\$\{([^!][^}]*)\}")


@dataclass
class Scope:
    """All names that a template's functions can refer to."""

    parameters: Mapping[str, Any]
    pseudo: Mapping[str, Any]
    mappings: Mapping[str, Any]
    conditions: Mapping[str, Any]
    references: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def resolve(self, value: Any) -> Any:
        """The value with every function in it replaced; NO_VALUE members are left out."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name in FUNCTIONS:
                return FUNCTIONS[name](self, argument)
            if name.startswith("Fn::"):
                raise UnknownInTemplate(f"{name} is unknown to the local cloud; use {', '.join(sorted(FUNCTIONS))}")
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def holds(self, condition: str) -> bool:
        """Is the named condition true?"""
        if condition not in self.conditions:
            raise DeployError(f"condition {condition} is not declared")
        return _truth(self.resolve(self.conditions[condition]))

    def reference(self, name: str) -> Any:
        """What Ref gives."""
        if name == "AWS::NoValue":
            return NO_VALUE
        for known in (self.pseudo, self.parameters, self.references):
            if name in known:
                return known[name]
        raise DeployError(f"Ref {name}: no parameter or resource of that name stands here")

    def attribute(self, name: str, attribute: str) -> Any:
        """What Fn::GetAtt gives."""
        if name not in self.attributes:
            raise DeployError(f"Fn::GetAtt {name}.{attribute}: no resource of that name stands here")
        if attribute not in self.attributes[name]:
            known = ", ".join(sorted(self.attributes[name])) or "none"
            raise UnknownInTemplate(f"Fn::GetAtt {name}.{attribute}: the local cloud knows these attributes: {known}")
        return self.attributes[name][attribute]


def _truth(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _get_att(scope: Scope, argument: Any) -> Any:
    name, attribute = (
        argument.split(".", 1) if isinstance(argument, str) else (argument[0], ".".join(map(str, argument[1:])))
    )
    return scope.attribute(name, attribute)


def _sub(scope: Scope, argument: Any) -> str:
    text, local = (argument, {}) if isinstance(argument, str) else argument

    def replaced(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in local:
            return str(scope.resolve(local[name]))
        return str(_get_att(scope, name) if "." in name else scope.reference(name))

    return REFERENCE.sub(replaced, text).replace("${!", "${")


def _if(scope: Scope, argument: Any) -> Any:
    condition, yes, no = argument
    return scope.resolve(yes if scope.holds(condition) else no)


def _find_in_map(scope: Scope, argument: Any) -> Any:
    table, first, second = (scope.resolve(part) for part in argument[:3])
    try:
        return scope.mappings[table][first][second]
    except KeyError:
        raise DeployError(f"Fn::FindInMap {table}.{first}.{second} is not in the template's Mappings") from None


def _join(scope: Scope, argument: Any) -> str:
    separator, parts = argument
    return str(separator).join(str(part) for part in scope.resolve(parts))


def _select(scope: Scope, argument: Any) -> Any:
    index, items = scope.resolve(argument)
    return items[int(index)]


def _split(scope: Scope, argument: Any) -> list[str]:
    separator, text = scope.resolve(argument)
    return str(text).split(separator)


FUNCTIONS: dict[str, Callable[[Scope, Any], Any]] = {
    "Ref": lambda scope, argument: scope.reference(argument),
    "Condition": lambda scope, argument: (
        scope.holds(argument) if isinstance(argument, str) else {"Condition": scope.resolve(argument)}
    ),
    "Fn::GetAtt": _get_att,
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Split": _split,
    "Fn::Select": _select,
    "Fn::If": _if,
    "Fn::FindInMap": _find_in_map,
    "Fn::Equals": lambda scope, argument: str(scope.resolve(argument[0])) == str(scope.resolve(argument[1])),
    "Fn::Not": lambda scope, argument: not _truth(scope.resolve(argument[0])),
    "Fn::And": lambda scope, argument: all(_truth(scope.resolve(part)) for part in argument),
    "Fn::Or": lambda scope, argument: any(_truth(scope.resolve(part)) for part in argument),
    "Fn::Base64": lambda scope, argument: base64.b64encode(str(scope.resolve(argument)).encode()).decode(),
}


def names_used(value: Any) -> Iterator[str]:
    """Every resource or parameter name that the value refers to."""
    if isinstance(value, list):
        for item in value:
            yield from names_used(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _names_in(key, item)


def _names_in(key: str, item: Any) -> Iterator[str]:
    if key == "Ref" and isinstance(item, str):
        yield item
    elif key == "Fn::GetAtt":
        yield item.split(".")[0] if isinstance(item, str) else item[0]
    elif key == "Fn::Sub":
        text = item if isinstance(item, str) else item[0]
        yield from (match.group(1).split(".")[0] for match in REFERENCE.finditer(text))
        yield from names_used(item if isinstance(item, list) else [])
    else:
        yield from names_used(item)
