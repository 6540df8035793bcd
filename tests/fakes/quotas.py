"""The quotas of a region, in memory."""

from __future__ import annotations


class FakeQuotas:
    """`allowed` and `held` are instances by type."""

    def __init__(self) -> None:
        self.allowed: dict[str, int] = {}
        self.held: dict[str, int] = {}

    def limits(self) -> dict[str, int]:
        return dict(self.allowed)

    def used(self) -> dict[str, int]:
        return dict(self.held)
