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


LOCKABLE = LONGEST - dt.timedelta(days=1)  # locks begin a little before the seal


def parse_duration(value: Any) -> dt.timedelta:
    """Read `15m`; a timedelta passes. Raises ValueError."""
    duration = _read(value)
    if not dt.timedelta(0) < duration <= LONGEST:
        raise ValueError(f"{value} is not a usable duration; give more than 0 and at most {LONGEST.days}d")
    return duration


def parse_lock_period(value: Any) -> dt.timedelta:
    """Read for how long something is locked. Raises ValueError, also for what S3 Object Lock cannot hold."""
    if _read(value) > LOCKABLE:
        raise ValueError(
            f"{value} is longer than S3 Object Lock keeps an object (100 years); give at most {LOCKABLE.days}d"
        )
    return parse_duration(value)


def _read(value: Any) -> dt.timedelta:
    if isinstance(value, dt.timedelta):
        return value
    match = _TEXT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration; write a whole number and s, m, h or d, like 15m")
    try:
        return int(match[1]) * _UNITS[match[2]]
    except OverflowError:
        return dt.timedelta.max


def format_duration(duration: dt.timedelta) -> str:
    """Return the duration in the largest unit that says it exactly; parts of a second are dropped."""
    seconds = duration // _UNITS["s"]
    unit = next(unit for unit in "dhms" if seconds % (_UNITS[unit] // _UNITS["s"]) == 0)
    return f"{seconds // (_UNITS[unit] // _UNITS['s'])}{unit}"


_WRITTEN = PlainSerializer(format_duration, return_type=str)
_SCHEMA = WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,10}[smhd]$", "examples": ["15m"]})
Duration = Annotated[dt.timedelta, BeforeValidator(parse_duration), _WRITTEN, _SCHEMA]
LockPeriod = Annotated[dt.timedelta, BeforeValidator(parse_lock_period), _WRITTEN, _SCHEMA]
