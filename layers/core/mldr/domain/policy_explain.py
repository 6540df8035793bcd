"""Turn what pydantic says of a value into a sentence for its writer: what is wrong; what would be right."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from enum import EnumType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

Model = type[BaseModel]


def explain(model: Model, error: ErrorDetails) -> str:
    """Return one error of a model as a sentence."""
    known = _SENTENCES.get(error["type"])
    if known:
        return known(model, error)
    return f"{_say(error['input'])} does not fit; {_example(model, error) or _lower(error['msg'])}"


def nearest(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return the known word that was probably meant, or else what to do instead."""
    close = get_close_matches(word, sorted(known), n=1)
    return f"did you mean {close[0]}?" if close else otherwise


def _unknown_field(model: Model, error: ErrorDetails) -> str:
    known = list(_fields(model, error["loc"][:-1]))
    return f"unknown field; {nearest(str(error['loc'][-1]), known, 'the fields are ' + ', '.join(known))}"


def _missing(model: Model, error: ErrorDetails) -> str:
    return f"missing; {_example(model, error) or 'add it'}"


def _not_allowed(model: Model, error: ErrorDetails) -> str:
    field = _field(model, error["loc"])
    kind = _kinds(field.annotation)[0] if field else None
    allowed = [str(name) for name in (kind if isinstance(kind, EnumType) else [kind])]
    value = error["input"]
    return f"{_say(value)} is not one of its values; {nearest(str(value), allowed, 'it can be ' + ', '.join(allowed))}"


def _wrong_count(_model: Model, error: ErrorDetails) -> str:
    context = error["ctx"]
    wanted = context.get("min_length") or context.get("max_length")
    return f"{context['actual_length']} given; write exactly {wanted}"


def _says_itself(_model: Model, error: ErrorDetails) -> str:
    return str(error["ctx"]["error"])


def _advice(text: str) -> Callable[[Model, ErrorDetails], str]:
    return lambda _model, error: f"{_say(error['input'])} is not {text}"


_GROUP = _advice("a group of fields; indent them under it as name: value")
_LIST = _advice("a list; write one item a line, each after a dash")
_SENTENCES: dict[str, Callable[[Model, ErrorDetails], str]] = {
    "dict_type": _GROUP,
    "enum": _not_allowed,
    "extra_forbidden": _unknown_field,
    "int_type": _advice("a whole number; write one without quotes"),
    "list_type": _LIST,
    "literal_error": _not_allowed,
    "missing": _missing,
    "model_type": _GROUP,
    "string_type": _advice("text; put it in quotes"),
    "too_long": _wrong_count,
    "too_short": _wrong_count,
    "tuple_type": _LIST,
    "value_error": _says_itself,
}


def _say(value: Any) -> str:
    """Return a value as the file has it, cut short."""
    words = {None: "nothing", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _example(model: Model, error: ErrorDetails) -> str:
    """Return how the field would be written, where it is known."""
    field = _field(model, error["loc"])
    return f"write it like {field.examples[0]}" if field and field.examples else ""


def _field(model: Model, path: tuple[int | str, ...]) -> FieldInfo | None:
    names = [str(part) for part in path if not isinstance(part, int)]
    return _fields(model, tuple(names[:-1])).get(names[-1])


def _fields(model: Model, path: tuple[int | str, ...]) -> dict[str, FieldInfo]:
    """Return the fields of the model at a path."""
    for part in path:
        kinds = _kinds(model.model_fields[str(part)].annotation)
        model = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return model.model_fields


def _kinds(annotation: Any) -> list[Any]:
    """Return the types or values that an annotation allows, None aside."""
    if get_origin(annotation) in (typing.Union, types.UnionType, Literal):
        return [kind for kind in get_args(annotation) if kind is not type(None)]
    return [annotation]
