"""What an endpoint was scaled to so that it carries the load of both regions, and what of it is still to be done.

What is to be done is written down before it is done, in absolute numbers: the counts that were found and those that are
asked for. So doing it twice is doing it once, a crash loses neither, and a count that is neither of the two is
somebody else's and stays as it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from pydantic import ConfigDict

from mldr.domain.components import counted_component
from mldr.domain.health import retry_pause
from mldr.domain.identity import Frozen
from mldr.domain.warming import Count


class Order(Frozen):
    """What to ask for, by variant: how many instances, and up to how many autoscaling may go."""

    counts: dict[str, int] = {}
    limits: dict[str, int] = {}


class Growth(Frozen):
    """An endpoint that carries the load of both regions: instances by variant before, and what is asked for.

    `limits` are the highest counts that autoscaling allowed where they are below that. `scaled_at` is None until
    SageMaker has taken the request.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    endpoint: str
    before: dict[str, int]
    wanted: dict[str, int]
    limits: dict[str, int] = {}
    planned_at: dt.datetime
    scaled_at: dt.datetime | None = None
    tries: int = 0  # that were refused
    tried_at: dt.datetime | None = None
    refused: str = ""

    def missing(self, there: Mapping[str, Count], limits: Mapping[str, int]) -> Order:
        """Return what is still to be asked for. A count that is not the one that was found is somebody else's."""
        counts = {name: count for name, count in self.wanted.items() if _has(there, name, self.before[name])}
        raised = {name: self.wanted[name] for name, limit in self.limits.items() if limits.get(name) == limit}
        return Order(counts=counts, limits=raised)

    def taken_back(self, there: Mapping[str, Count], limits: Mapping[str, int]) -> Order:
        """Return what is to be undone: what is still as mldr left it.

        A variant that scales by itself gets its limit back whatever its count: autoscaling then keeps its owner's word.
        Source: autoscaling/application/userguide/getting-started (a count above the limit is brought down to it).
        """
        wanted = self.wanted
        counts = {
            name: count
            for name, count in self.before.items()
            if wanted[name] != count and _has(there, name, wanted[name])
        }
        lowered = {name: limit for name, limit in self.limits.items() if limits.get(name) == wanted[name]}
        return Order(counts=counts, limits=lowered)

    def shrunk(self, there: Mapping[str, Count], limits: Mapping[str, int]) -> dict[str, int]:
        """Return the variants that are back at what they had; autoscaling may take what it does not need."""
        return {name: one for name, one in self.before.items() if name not in limits and _has(there, name, one)}

    def done(self, now: dt.datetime) -> Growth:
        """Return the growth once SageMaker has taken what was asked for."""
        return self.model_copy(update={"scaled_at": now, "refused": ""})

    def denied(self, why: str, now: dt.datetime) -> Growth:
        """Return the growth after a refusal."""
        return self.model_copy(update={"tries": self.tries + 1, "tried_at": now, "refused": why})

    def pause(self, longest: dt.timedelta, now: dt.datetime) -> dt.datetime | None:
        """Return until when nothing is asked for again: longer with every refusal, never longer than told."""
        if self.tried_at is None or not self.refused:
            return None
        until = self.tried_at + retry_pause(self.tries, longest)
        return until if now < until else None


def planned(
    endpoint: str,
    there: Mapping[str, Count],
    limits: Mapping[str, int],
    wanted: Mapping[str, int],
    now: dt.datetime,
) -> Growth:
    """Return the growth to write down before anything is asked for."""
    return Growth(
        endpoint=endpoint,
        before={name: there[name].desired for name in wanted},
        wanted=dict(wanted),
        limits={name: limits[name] for name, count in wanted.items() if limits.get(name, count) < count},
        planned_at=now,
    )


def from_to(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Return a change of counts in words."""
    return ", ".join(_change(name, before[name], count) for name, count in sorted(after.items()))


def _change(name: str, before: int, after: int) -> str:
    component = counted_component(name)
    if component:
        return f"component {component} from {before} to {after} copies"
    return f"{name} from {before} to {after} instances"


def told(counts: Mapping[str, int]) -> str:
    """Return counts in words."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _has(there: Mapping[str, Count], name: str, count: int) -> bool:
    return name in there and there[name].desired == count
