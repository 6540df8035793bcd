"""The quotas of a region, in memory."""

from __future__ import annotations


class FakeQuotas:
    """`allowed` are instances by type, `endpoints` what each endpoint holds."""

    def __init__(self) -> None:
        self.allowed: dict[str, int] = {}
        self.endpoints: dict[str, dict[str, int]] = {}

    def limits(self) -> dict[str, int]:
        return dict(self.allowed)

    def held(self) -> dict[str, dict[str, int]]:
        return {name: dict(counts) for name, counts in self.endpoints.items()}
