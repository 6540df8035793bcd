"""How long what is in production has been without a recovery point: the RPO that a disaster right now would show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.recovery_point import Record, newest_restorable, promotions

LAG, RATIO, WORST = "RpoLag", "RpoLagRatio", "WorstRpoLagRatio"


class Measured(Frozen):
    """One figure for CloudWatch; without a model it speaks of all of them."""

    name: str
    value: float
    unit: str  # Seconds | None: CloudWatch's word for a plain number
    model: ModelKey | None = None


def behind_since(records: list[Record]) -> dt.datetime | None:
    """Return when the oldest version was promoted that came after the newest restorable one; None when there is none.

    A version is behind while none of its points can be restored. A version whose approval was taken back is not.
    """
    newest = newest_restorable(records)
    promoted = promotions(records)
    covered = {record.origin.arn for record in records if record.restorable}
    since = promoted[newest.origin.arn] if newest else None
    behind = {record.origin.arn for record in records if not record.withdrawn} - covered
    late = [promoted[arn] for arn in behind if since is None or promoted[arn] > since]
    return min(late, default=None)


def lag(records: list[Record], now: dt.datetime) -> dt.timedelta:
    """Return the age of the oldest version that is promoted but not sealed; zero when the newest one is sealed."""
    since = behind_since(records)
    return max(now - since, dt.timedelta(0)) if since else dt.timedelta(0)


def figures(lags: Iterable[tuple[ModelKey, dt.timedelta, dt.timedelta]]) -> list[Measured]:
    """Return what is published for (model, lag, RPO): two figures of each, and the worst ratio: 0 without models."""
    made, worst = [], 0.0
    for model, late, rpo in lags:
        ratio = late / rpo
        worst = max(worst, ratio)
        made.append(Measured(name=LAG, value=late.total_seconds(), unit="Seconds", model=model))
        made.append(Measured(name=RATIO, value=ratio, unit="None", model=model))
    return [*made, Measured(name=WORST, value=worst, unit="None")]
