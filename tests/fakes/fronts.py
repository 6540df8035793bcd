"""The gateways of both regions."""

from __future__ import annotations

from mldr.domain.routing import Front
from mldr.errors import ZoneMissing


class FakeFronts:
    """`missing` names regions without a stack."""

    def __init__(self) -> None:
        self.missing: set[str] = set()

    def front(self, region: str) -> Front:
        if region in self.missing:
            raise ZoneMissing(f"{region} has no parameter; deploy mldr's stack there")
        return Front(region=region, host=f"gateway.{region}.example", target=f"target.{region}.example")
