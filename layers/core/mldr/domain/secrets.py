"""Recognise environment variables that carry a secret: their values are never captured, only references to them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import pairwise

# What the well-known issuers' credentials look like, whatever the variable is called.
_SHAPES = re.compile(
    r"(?:A3T[A-Z0-9]|AKIA|ASIA)[A-Z0-9]{16}"  # AWS access key id
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{20,}|xox[abposr]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}"
    r"|dapi[0-9a-f]{32}|sk_live_[A-Za-z0-9]{16,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"  # JSON Web Token
    r"|[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@]+@"  # user and password in a URL
)
_WORDS = {"PASSWORD", "PASSWD", "PWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "CREDENTIALS", "APIKEY"}
_PAIRS = {
    ("API", "KEY"),
    ("ACCESS", "KEY"),
    ("PRIVATE", "KEY"),
    ("AUTH", "KEY"),
    ("SIGNING", "KEY"),
    ("LICENSE", "KEY"),
}
# A name may speak of a secret while its value is none: a switch, a number, a reference, a tokenizer's mark.
_HARMLESS = re.compile(r"|true|false|yes|no|on|off|none|null|[0-9.]+|<[^<>]{1,30}>|\[[A-Z]{2,8}\]", re.IGNORECASE)
_REFERENCE = re.compile(r"arn:aws[a-z-]*:(secretsmanager|ssm):|\{\{resolve:(secretsmanager|ssm|ssm-secure):")
_SPLIT = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")


def looks_secret(name: str, value: str) -> bool:
    """Return whether a variable seems to carry a secret: by the shape of its value, or by its name."""
    if _REFERENCE.match(value):
        return False
    if _SHAPES.search(value):
        return True
    words = [word.upper() for word in _SPLIT.split(name) if word]
    named = not _WORDS.isdisjoint(words) or any(pair in _PAIRS for pair in pairwise(words))
    return named and not _HARMLESS.fullmatch(value.strip())


def secrets(environment: Mapping[str, str], allowed: Collection[str]) -> list[str]:
    """Return the names of the variables that seem to carry a secret, but for those that the policy calls none."""
    return [name for name, value in environment.items() if name not in allowed and looks_secret(name, value)]
