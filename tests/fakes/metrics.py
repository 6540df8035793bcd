"""Figures that are only remembered."""

from __future__ import annotations

from collections.abc import Sequence

from mldr.domain.lag import Measured


class FakeMetrics:
    """`published` has every figure in order."""

    def __init__(self) -> None:
        self.published: list[Measured] = []

    def publish(self, figures: Sequence[Measured]) -> None:
        self.published.extend(figures)
