"""What keeps a model's endpoint from standing here as its tier promises, and when a person hears of it."""

from __future__ import annotations

import datetime as dt

from pydantic import ConfigDict

from mldr.domain.identity import Frozen

PATIENCE = dt.timedelta(minutes=30)  # with what goes away by itself: DNS remembers for 15 that a name was not there
DAMAGED = "DamagedPoint"  # the kind of what only the vault has: what was made of it goes on


class Hindrance(Frozen):
    """What one look met: a kind of reason for a version, in words. What is `passing` goes away by itself, as a rule."""

    kind: str
    version: str  # the recovery point that was to stand
    reason: str
    passing: bool = False

    @property
    def mark(self) -> str:
        """Return what makes two hindrances the same; the words may differ with every look."""
        return f"{self.kind} {self.version}"


class Setback(Frozen):
    """What keeps an endpoint from standing since a time. `told` are the marks that a person has heard of since then.

    They are kept until all is well again, so two reasons that take turns are two pages.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    met: Hindrance
    since: dt.datetime  # when this one was met first
    told: tuple[str, ...] = ()


def after(before: Setback | None, met: Hindrance, now: dt.datetime) -> tuple[Setback, bool]:
    """Return what is remembered after a look, and whether a person is to be told."""
    same = before is not None and before.met.mark == met.mark
    since = before.since if before and same else now
    told = before.told if before else ()
    tell = met.mark not in told and (not met.passing or now - since >= PATIENCE)
    return Setback(met=met, since=since, told=(*told, met.mark) if tell else told), tell
