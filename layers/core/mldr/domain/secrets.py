"""Recognise values that are secrets: they are never captured, only references to them, and no message repeats them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from typing import Any

from mldr.domain.identity import Frozen
from mldr.domain.secret_words import (
    ABOUT,
    GLUED,
    OTHER_KEYS,
    OTHER_PASSES,
    QUALIFIERS,
    SECRET_KEYS,
    STRONG,
    TEXT_TOKENS,
)

WITHHELD = "(withheld: it looks like a secret)"
# What the well-known issuers' credentials look like, whatever the variable is called.
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:A3T[A-Z0-9]|AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS access key id
    r"|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|hf_[A-Za-z0-9]{30,}|xox[abposr]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}"
    r"|sk-(?:[a-z0-9]{1,20}-){0,4}(?=[A-Za-z_]{0,64}\d)[A-Za-z0-9_]{16,}|sk_live_[A-Za-z0-9]{16,}"
    r"|dapi[0-9a-f]{32}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"  # JSON Web Token
    r")|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    # a password in a URL
    r"|(?i:(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://[^/\s:@]{0,256}:(?![$<{*])[^/\s@]{1,1024}@(?!sha256:))"
    r"|(?i:[?&](?:sig|signature|x-amz-signature|x-goog-signature)=\w)"  # a signed URL is its own permission
    r"|(?i:hooks\.slack\.com/services/\w|discord(?:app)?\.com/api/webhooks/\w|\.webhook\.office\.com/\w)"
    r"|\b(?:Bearer|Basic)\s+(?=\S*[\d=])[A-Za-z0-9+/._=-]{8,}"
)
_REFERENCE = re.compile(r"arn:aws[a-z-]*:\S+|\{\{resolve:(secretsmanager|ssm|ssm-secure):.*")
# A name may speak of a secret while its value is none: a switch, what is filled in elsewhere, a file, a mark of a
# tokenizer.
_MARK = r"(?:<[^<>]{1,30}>|\[[A-Z]{2,8}\])"
_HARMLESS = re.compile(
    r"|true|false|yes|no|on|off|none|null|auto|-?\d{1,3}"
    rf"|{_MARK}(?:[\s,;]*{_MARK})*"
    r"|\$\w+|\$[({][\w.:-]+[)}]|\{\{.*\}\}|\*+"
    r"|(?:file://|\.{0,2}|~)(?:/[\w.@-]+){2,}/?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[\d.,:\s]+[kKmMgG]?")
_NAMED = re.compile(r"[a-z][a-z0-9_.-]*(?:/[a-z0-9_.-]+)+")  # prod/churn/db: how Secrets Manager's names look
_FIELD = re.compile(r"[a-z]+(?:[_.][a-z]+)+")  # customer_id, payload.text
_UNIQUE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,}", re.IGNORECASE)
_USER_AND_PASSWORD = re.compile(r"[^\s:/]+:[^\s/]\S*")
_SPLIT = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Names are bounded, so that a long text is read in no time.
# Password=…; &access_token=…; -Ddb.password=…; --api-key …; and a line `password: …`
_PAIRS = re.compile(
    r"(?<![\w.-])-{0,2}(?P<name>[A-Za-z][\w.-]{0,79})[\"']?\s?=\s?(?P<value>\"[^\"]*\"|'[^']*'|[^\s\"'&;,=][^\s\"'&;,]*)"
    r"|(?<![\w-])--?(?P<flag>[A-Za-z][\w-]{1,79})\s+(?P<given>[^\s-]\S*)"
    r"|^[ \t-]*(?P<line>[A-Za-z][\w.-]{0,79})[\"']?\s*:\s+(?P<rest>\S+)$",
    re.MULTILINE,
)
_FLAG = re.compile(r"--?[\w-]{2,}")
_COUNT = re.compile(r"(?<=[A-Z]{3})\d+$")
_SINGULAR = {f"{one}S": one for one in (*STRONG, "KEY")}


class Suspect(Frozen):
    """A value that looks like a secret: where it stands, and the name that the policy may call none."""

    path: str
    name: str


def secret_in(name: str, value: str, allowed: Collection[str]) -> str | None:
    """Return what a secret is called, None where a value is or holds none, but for those that the policy allows.

    It is known by its shape, or by what it is called.

    A value without a name of its own, as arguments are, is called by the name that stands in it.
    """
    if name in allowed or _REFERENCE.fullmatch(value):
        return None
    if _SHAPES.search(value):
        return name
    held = _container(value)
    if held is not None:
        # Whatever stands in API_KEYS='["…"]' or SECRETS='{"a": "…"}' is called so, too.
        inner = next((one.name for one in _walk(held, name, "", allowed)), None)
        return name if any(_is_named(name, one) for one in _texts(held)) else inner and (name or inner)
    if _is_named(name, value):
        return name
    return next((name or one for one, said in _pairs(value) if one not in allowed and _is_named(one, said)), None)


def suspects(document: Mapping[str, Any], allowed: Collection[str]) -> list[Suspect]:
    """Return every value of a document that looks like a secret, but for those that the policy allows by name."""
    return list(_walk(document, "", "", allowed))


def without(document: Mapping[str, Any], paths: Collection[str]) -> dict[str, Any]:
    """Return the document with a remark in place of what stands at these paths."""

    def copy(node: Any, path: str) -> Any:
        if path in paths:
            return WITHHELD
        if isinstance(node, Mapping):
            return {name: copy(value, _below(path, name)) for name, value in node.items()}
        if isinstance(node, list):
            return [copy(value, f"{path}[{index}]") for index, value in enumerate(node)]
        return node

    kept: dict[str, Any] = copy(document, "")
    return kept


def _walk(node: Any, name: str, path: str, allowed: Collection[str]) -> Iterator[Suspect]:
    if isinstance(node, Mapping):
        given = next((str(node[one]) for one in ("name", "Name", "Key") if isinstance(node.get(one), str)), None)
        for key, value in node.items():
            called = given if given and key in ("value", "Value") else str(key)
            yield from _walk(value, called, _below(path, key), allowed)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            before = node[index - 1] if index else None
            called = before.lstrip("-") if isinstance(before, str) and _FLAG.fullmatch(before) else ""
            found = [] if name in allowed else _walk(value, called, f"{path}[{index}]", allowed)
            yield from (Suspect(path=one.path, name=one.name or name) for one in found)
    elif isinstance(node, str) and (secret := secret_in(name, node, allowed)) is not None:
        yield Suspect(path=path, name=secret)


def _below(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)


def _container(value: str) -> Any:
    """Return what a JSON object or list holds; None for any other text."""
    if not value.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping | list):
        for value in node.values() if isinstance(node, Mapping) else node:
            yield from _texts(value)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for match in _PAIRS.finditer(text):
        found = match.groupdict()
        yield found["name"] or found["flag"] or found["line"], found["value"] or found["given"] or found["rest"]


def _is_named(name: str, value: str) -> bool:
    """Return whether a value of this name is a secret."""
    words, value = _words(name), value.strip().strip("\"'")
    if not words or _HARMLESS.fullmatch(value):
        return False
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last in ABOUT:
        return (before, last) == ("SECRET", "ID") and bool(_UNIQUE.fullmatch(value))
    if strong := STRONG.intersection(words):
        return not (strong <= {"SECRET", "CREDENTIAL"} and _NAMED.fullmatch(value))
    if any(two == "KEY" and one in SECRET_KEYS for one, two in pairwise(words)):
        return True
    return _is_one_at_its_end(last, before, value)


def _is_one_at_its_end(last: str, before: str, value: str) -> bool:
    match last:
        case "PASS":
            return before not in OTHER_PASSES
        case "PIN":
            return value.isdecimal()
        case "AUTH":
            return bool(_USER_AND_PASSWORD.fullmatch(value) or _UNIQUE.fullmatch(value))
        case "TOKEN":
            return before not in TEXT_TOKENS and not _NUMBER.fullmatch(value)
        case "KEY" if before and before not in OTHER_KEYS:
            return not (_NUMBER.fullmatch(value) or _FIELD.fullmatch(value))
    return False


def _words(name: str) -> list[str]:
    """Return the words of a name in capitals: in the singular, unnumbered, and without what only qualifies them."""
    words = [part for one in _SPLIT.split(name) for part in _parts(_COUNT.sub("", one.upper()))]
    while len(words) > 1 and words[-1] in QUALIFIERS:
        words.pop()
    return words


def _parts(word: str) -> tuple[str, ...]:
    for glued, parts in GLUED.items():
        for ending in (glued, f"{glued}S"):
            if word.endswith(ending):
                rest = word.removesuffix(ending)
                return (rest, *parts) if rest else parts
    return (_SINGULAR.get(word, word),) if word else ()
