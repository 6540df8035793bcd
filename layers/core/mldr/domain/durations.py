"""Durations as people write them in a policy: `90s`, `15m`, `2h`, `35d`."""

import datetime as dt
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {
    "s": dt.timedelta(seconds=1),
    "m": dt.timedelta(minutes=1),
    "h": dt.timedelta(hours=1),
    "d": dt.timedelta(days=1),
}
_TEXT = re.compile(r"([0-9]{1,10})([smhd])", re.ASCII)
LONGEST = dt.timedelta(days=36500)  # S3 Object Lock keeps an object for 100 years at the most


def parse_duration(value: Any) -> dt.timedelta:
    """Read `15m`; a timedelta passes. Raises ValueError."""
    match = _TEXT.fullmatch(value) if isinstance(value, str) else None
    duration = value if isinstance(value, dt.timedelta) else int(match[1]) * _UNITS[match[2]] if match else None
    if duration is None:
        raise ValueError(f"{value!r} is not a duration; write a whole number and s, m, h or d, like 15m")
    if not dt.timedelta(0) < duration <= LONGEST:
        raise ValueError(f"{value} is not a usable duration; give more than 0 and at most {LONGEST.days}d")
    return duration


def format_duration(duration: dt.timedelta) -> str:
    """Return the duration in the largest unit that says it exactly; parts of a second are dropped."""
    seconds = duration // _UNITS["s"]
    unit = next(unit for unit in "dhms" if seconds % (_UNITS[unit] // _UNITS["s"]) == 0)
    return f"{seconds // (_UNITS[unit] // _UNITS['s'])}{unit}"


Duration = Annotated[
    dt.timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,10}[smhd]$", "examples": ["15m"]}),
]
