"""Route 53's control plane in memory."""

from __future__ import annotations

from collections.abc import Sequence

from mldr.domain.identity import ModelKey
from mldr.domain.routing import Route, RoutedRecord
from mldr.errors import ZoneMissing


class FakeDns:
    """`checks` has what was created by id, `records` what the zone holds by name and set identifier."""

    def __init__(self) -> None:
        self.zone_exists = True
        self.checks: dict[str, object] = {}
        self.records: dict[tuple[str, str], tuple[RoutedRecord, int, str | None]] = {}

    def ensure_checks(self, model: ModelKey, route: Route) -> dict[str, str]:
        ids: dict[str, str] = {}
        for check in (*route.endpoint_checks, *route.metric_checks, *route.calculated_checks):
            below = tuple(ids[child] for child in getattr(check, "children", ()))
            name = f"{model}:{check.role}:{abs(hash((check, route.times, below)))}"
            self.checks[name] = check
            ids[check.role] = name
        return ids

    def ensure_records(
        self, records: Sequence[RoutedRecord], ttl: int, check_ids: dict[str, str], *, gone: Sequence[str] = ()
    ) -> None:
        if not self.zone_exists:
            raise ZoneMissing("there is no hosted zone in this account")
        wanted = {
            (record.name, record.identifier): (record, ttl, check_ids[record.check] if record.check else None)
            for record in records
        }
        replaced = {*gone, *(record.name for record in records)}
        kept = {place: held for place, held in self.records.items() if place[0] not in replaced}
        self.records = kept | wanted
