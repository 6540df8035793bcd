"""How long the old side of a planned move must go on answering: until DNS has moved the last client."""

from __future__ import annotations

import datetime as dt

from mldr.domain.durations import format_duration
from mldr.domain.routing import Route, SwitchKind

# The old side begins to drain when it learns of the new epoch, a few seconds before or after the checkers see it.
LEARNING = dt.timedelta(seconds=10)
# Metrics of the switch are published once a minute.
PUBLISHED = dt.timedelta(minutes=1)


def least_drain(route: Route) -> dt.timedelta:
    """Return the shortest `failover.drain` with which no client of a planned move asks a side that answers no more."""
    return LEARNING + _seen(route) + dt.timedelta(seconds=route.times.ttl)


def too_short(drain: dt.timedelta, route: Route) -> str:
    """Return why a planned move would fail requests, and what is right; '' when the drain is long enough."""
    least = least_drain(route)
    if drain >= least:
        return ""
    times = route.times
    seen = f"{times.interval} s x {times.threshold} for Route 53's checks"
    if route.kind is SwitchKind.METRIC:
        seen = f"{_seconds(_seen(route))} s for Route 53's alarms"
    return (
        f"failover.drain is {format_duration(drain)}, shorter than DNS needs to move: {_seconds(LEARNING)} s until "
        f"both sides know, {seen}, {times.ttl} s for which answers live; write at least {_seconds(least)}s into the "
        "policy of both regions"
    )


def _seen(route: Route) -> dt.timedelta:
    """Return how long Route 53 may take to see that the switch was flipped, or that the old side stood down."""
    if route.kind is SwitchKind.METRIC:
        return PUBLISHED + dt.timedelta(minutes=max(one.minutes for one in route.metric_checks))
    return dt.timedelta(seconds=route.times.interval * route.times.threshold)


def _seconds(time: dt.timedelta) -> int:
    return round(time.total_seconds())
