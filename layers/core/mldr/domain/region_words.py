"""Find in a text what binds it to one region, word by word, and write the text anew with the policy's words (law 9).

A message names the words and nothing beside them: what surrounds them may be secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_END = r"[^\s\"'<>,;|(){}\[\]\\]*"
_ANYWHERE = (
    rf"s3[an]?://{_END}"
    rf"|arn:aws[a-z-]*:[a-z0-9-]+:[a-z]{{2}}(?:-[a-z]+)+-\d:{_END}"
    rf"|[0-9]{{12}}\.dkr\.ecr\.{_END}"
)
_HOST = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?"
_DIRECTIONS = {"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw"}


def find_words(text: str, region: str) -> tuple[str, ...]:
    """Return what of a text is bound to a region, each once: S3 URIs, ARNs, images, hosts, zones, the region's name."""
    here = _names(region)
    found = (one.group() for one in re.finditer(rf"{_ANYWHERE}|{_HOST}", text, re.IGNORECASE))
    return tuple(dict.fromkeys(one for one in found if re.match(_ANYWHERE, one, re.IGNORECASE) or here.search(one)))


def _names(region: str) -> re.Pattern[str]:
    """Whatever holds the region's name as a word of its own, with a zone's letter or not, or AWS's short form of it."""
    name, (area, *middle, number) = re.escape(region), region.split("-")
    short = area + "".join(_DIRECTIONS.get(one, one[:1]) for one in middle) + number
    begin, end = r"(?<![a-z0-9-])", r"(?![a-z0-9-])"
    return re.compile(
        rf"{begin}(?:s3-)?{name}[a-z]?{end}"
        rf"|(?<!\d)\d{{12}}-{name}{end}|{begin}(?:[a-z0-9-]+-)?{name}-\d{{12}}(?!\d)"  # buckets that AWS's tools name
        rf"|{begin}{short}(?:-az\d+{end}|\.cache\.)"  # zone ids, and the hosts of ElastiCache
        r"|(?:^|\.)s3\.amazonaws\.com$",  # a bucket of some region
        re.IGNORECASE,
    )


def mapped(value: str, references: Mapping[str, str]) -> str | None:
    """Return what the policy says stands for a value; the longest S3 prefix wins where several fit."""
    if value in references:
        return references[value]
    prefixes = [one for one in references if one.endswith("/") and value.startswith(one)]
    if not prefixes:
        return None
    longest = max(prefixes, key=len)
    return references[longest] + value[len(longest) :]


def unmapped(words: Sequence[str], references: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words of which the policy says nothing."""
    return tuple(one for one in words if mapped(one, references) is None)


def reworded(text: str, words: Sequence[str], references: Mapping[str, str]) -> str | None:
    """Return the text as the policy has it in the other region; None while it says nothing of the text or of a word."""
    whole = mapped(text, references)
    if whole is not None or not words or unmapped(words, references):
        return whole
    longest_first = sorted(words, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), lambda one: str(mapped(one.group(), references)), text)
