"""Route 53's control plane: used when a model is onboarded, never during recovery."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mldr.domain.identity import ModelKey
from mldr.domain.routing import CalculatedCheck, CheckTimes, EndpointCheck, FailoverRecord, Route
from mldr.errors import ZoneMissing
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_route53 import Route53Client


class Route53Dns:
    """Needs route53:CreateHealthCheck, ListHostedZonesByName and ChangeResourceRecordSets."""

    def __init__(self, route53: Route53Client, *, zone: str, transport: str, owner: str) -> None:
        self._route53, self._zone, self._owner = route53, zone.rstrip(".") + ".", owner
        self._port = int(transport.partition(":")[2])

    def ensure_checks(self, model: ModelKey, route: Route) -> dict[str, str]:
        ids: dict[str, str] = {}
        for check in route.endpoint_checks:
            ids[check.role] = self._create(model, check.role, self._endpoint(check, route.times))
        for calculated in route.calculated_checks:
            ids[calculated.role] = self._create(model, calculated.role, _calculated(calculated, ids))
        return ids

    def _create(self, model: ModelKey, role: str, config: Any) -> str:
        """Route 53 answers a repeated caller reference with the check that exists, so this may be repeated."""
        text = repr(sorted(config.items(), key=lambda item: item[0]))
        reference = f"{self._owner}-{hashlib.sha256(f'{model} {role} {text}'.encode()).hexdigest()[:32]}"
        with translated(f"create the {role} health check of {model}"):
            created = self._route53.create_health_check(CallerReference=reference, HealthCheckConfig=config)
        return created["HealthCheck"]["Id"]

    def _endpoint(self, check: EndpointCheck, times: CheckTimes) -> dict[str, Any]:
        return {
            "Type": "HTTPS",
            "FullyQualifiedDomainName": check.host,
            "Port": self._port,
            "ResourcePath": check.path,
            "RequestInterval": times.interval,
            "FailureThreshold": times.threshold,
            "Inverted": check.inverted,
            "EnableSNI": True,
        }

    def ensure_records(self, records: Sequence[FailoverRecord], ttl: int, check_ids: dict[str, str]) -> None:
        changes: list[Any] = [_upsert(record, ttl, check_ids) for record in records]
        with translated("write the records of a model"):
            self._route53.change_resource_record_sets(HostedZoneId=self._zone_id(), ChangeBatch={"Changes": changes})

    def _zone_id(self) -> str:
        with translated(f"find the zone {self._zone}"):
            zones = self._route53.list_hosted_zones_by_name(DNSName=self._zone, MaxItems="1")["HostedZones"]
        if not zones or zones[0]["Name"] != self._zone:
            raise ZoneMissing(
                f"there is no hosted zone {self._zone} in this account; deploy the DnsOwner region's stack first, "
                "or create the zone and set CreateZone to false"
            )
        return zones[0]["Id"]


def _calculated(check: CalculatedCheck, ids: dict[str, str]) -> dict[str, Any]:
    return {
        "Type": "CALCULATED",
        "ChildHealthChecks": [ids[child] for child in check.children],
        "HealthThreshold": len(check.children),
        "Inverted": check.inverted,
    }


def _upsert(record: FailoverRecord, ttl: int, check_ids: dict[str, str]) -> Any:
    value = f'"{record.value}"' if record.type == "TXT" else record.value
    health: Any = {"HealthCheckId": check_ids[record.check]} if record.check else {}
    return {
        "Action": "UPSERT",
        "ResourceRecordSet": {
            "Name": record.name,
            "Type": record.type,
            "SetIdentifier": record.failover.lower(),
            "Failover": record.failover,
            "TTL": ttl,
            "ResourceRecords": [{"Value": value}],
            **health,
        },
    }
