"""YAML that remembers its lines, so that every mistake in a policy can be named with the line it stands on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

Path = tuple[str | int, ...]


class Unreadable(Exception):
    """The text is not YAML that a policy may use; the text of the error names the line."""


@dataclass(frozen=True)
class Document:
    """A YAML document as plain values, the line of every field, and the keys that stand there twice."""

    value: Any
    lines: dict[Path, int]
    mistakes: list[tuple[int, str]] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Return the line of a field, or of the nearest field around it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases, which can make a small file enormous."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs leave it open
            raise Unreadable(f"line {mark.line + 1}: an alias (*name) is not allowed here; write the value out")
        return super().compose_node(parent, index)


# YAML 1.1 reads 1:30 as 90, 012 as 10, yes as true and 2026-11-23 as a date. Here text is text.
_PLAIN = {
    "null": (r"~|null|", ["~", "n", ""]),
    "bool": (r"true|false", ["t", "f"]),
    "int": (r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    "float": (r"[-+]?[0-9]+\.[0-9]+", list("-+0123456789")),
}
_Loader.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), _first)


def read(text: str) -> Document:
    """Read YAML text. Raises Unreadable where it is not YAML at all."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        document = Document(None, {(): 1})
        value = None if node is None else _value(loader, node, (), document)
    except yaml.MarkedYAMLError as error:
        _refuse(error)
    except yaml.YAMLError as error:
        raise Unreadable(f"line 1: this is not YAML: {error}") from error
    except RecursionError as error:
        raise Unreadable("line 1: this is not a policy: it is nested too deeply") from error
    return Document(value, document.lines, document.mistakes)


def path_name(path: Path) -> str:
    """Return a path as people write it: `models[2].retention.period`."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return name.removeprefix(".") or "the policy"


def paths(value: Any, here: Path = ()) -> Iterator[Path]:
    """Return the path of every field in a value."""
    yield here
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*here, key))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*here, index))


def _refuse(error: yaml.MarkedYAMLError) -> NoReturn:
    mark = error.problem_mark or error.context_mark
    raise Unreadable(f"line {mark.line + 1 if mark else 1}: this is not YAML: {error.problem or error}") from error


def _value(loader: _Loader, node: yaml.Node, path: Path, document: Document) -> Any:
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, inner, (*path, index), document) for index, inner in enumerate(node.value)]
    try:
        return loader.construct_object(node)
    except (yaml.constructor.ConstructorError, ValueError):
        text = f"{path_name(path)}: {node.value!r} cannot be read; write plain text or a number"
        document.mistakes.append((node.start_mark.line + 1, text))
        return str(node.value)


def _mapping(loader: _Loader, node: yaml.MappingNode, path: Path, document: Document) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        here = (*path, key)
        if key in result:
            first = document.lines[here]
            document.mistakes.append(
                (line, f"{path_name(here)}: stands here a second time; keep one, the first is on line {first}")
            )
            continue
        document.lines[here] = line
        result[key] = _value(loader, value_node, here, document)
    return result
