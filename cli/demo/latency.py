"""How quickly a model answered in each stretch of the demo, so that a cold start after a switch would be seen."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median, quantiles

from cli.demo.traffic import Request
from mldr.domain.identity import Frozen

FIRST = 20  # answers after a switch: a cold start would be in them


class Latency(Frozen):
    """The good answers of one stretch; milliseconds."""

    answers: int
    median: float | None
    p95: float | None


def latency(requests: Iterable[Request]) -> Latency:
    """Return how long the good answers among these took."""
    took = sorted(request.seconds * 1000 for request in requests if request.good)
    return Latency(
        answers=len(took),
        median=round(median(took), 1) if took else None,
        p95=round(quantiles(took, n=20, method="inclusive")[-1], 1) if len(took) > 1 else None,
    )
