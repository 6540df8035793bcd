"""Route 53's control plane in memory."""

from __future__ import annotations

from collections.abc import Sequence

from mldr.domain.identity import ModelKey
from mldr.domain.routing import FailoverRecord, Route
from mldr.errors import ZoneMissing


class FakeDns:
    """`checks` has what was created by id, `records` what the zone holds by name and half."""

    def __init__(self) -> None:
        self.zone_exists = True
        self.checks: dict[str, object] = {}
        self.records: dict[tuple[str, str], tuple[FailoverRecord, int, str | None]] = {}

    def ensure_checks(self, model: ModelKey, route: Route) -> dict[str, str]:
        ids: dict[str, str] = {}
        for check in (*route.endpoint_checks, *route.metric_checks, *route.calculated_checks):
            below = tuple(ids[child] for child in getattr(check, "children", ()))
            name = f"{model}:{check.role}:{abs(hash((check, route.times, below)))}"
            self.checks[name] = check
            ids[check.role] = name
        return ids

    def ensure_records(self, records: Sequence[FailoverRecord], ttl: int, check_ids: dict[str, str]) -> None:
        if not self.zone_exists:
            raise ZoneMissing("there is no hosted zone in this account")
        for record in records:
            check = check_ids[record.check] if record.check else None
            self.records[record.name, record.failover] = (record, ttl, check)
