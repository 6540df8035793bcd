"""Route 53's control plane: used when a model is onboarded or its tier changes, never during recovery."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from mldr.aws.metrics import NAMESPACE, dimensions
from mldr.domain.identity import ModelKey
from mldr.domain.routing import CalculatedCheck, CheckTimes, EndpointCheck, MetricCheck, Route, RoutedRecord
from mldr.errors import ChecksRefused, RecordsChanged, ZoneMissing
from mldr.sdk import code, translated

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_route53 import Route53Client

OPERATORS: dict[str, Any] = {"below": "LessThanThreshold", "reached": "GreaterThanOrEqualToThreshold"}
PAGE = "300"  # of a listing; a name holds two records of a type
LIVES = 9  # how often the same check may have been deleted within the days in which Route 53 remembers it


class Route53Dns:
    """Needs route53:CreateHealthCheck, ListHostedZonesByName, ListResourceRecordSets and ChangeResourceRecordSets.

    For checks that follow metrics: cloudwatch:PutMetricAlarm on mldr-<environment>-switch-* of both regions.
    """

    def __init__(
        self,
        route53: Route53Client,
        cloudwatch: Callable[[str], CloudWatchClient],
        *,
        zone: str,
        transport: str,
        owner: str,
        environment: str,
    ) -> None:
        self._route53, self._cloudwatch = route53, cloudwatch
        self._zone, self._owner, self._environment = zone.rstrip(".") + ".", owner, environment
        self._port = int(transport.partition(":")[2])

    def ensure_checks(self, model: ModelKey, route: Route) -> dict[str, str]:
        ids: dict[str, str] = {}
        for check in route.endpoint_checks:
            ids[check.role] = self._create(model, check.role, self._endpoint(check, route.times))
        for followed in route.metric_checks:
            ids[followed.role] = self._create(model, followed.role, self._metric(model, followed))
        for calculated in route.calculated_checks:
            ids[calculated.role] = self._create(model, calculated.role, _calculated(calculated, ids))
        return ids

    def _create(self, model: ModelKey, role: str, config: Any) -> str:
        """Route 53 answers a repeated caller reference with the check that exists, so this may be repeated.

        It refuses the reference of a check that was deleted, for days and whatever the settings: the next life of the
        check has the next reference. See Route53/latest/APIReference/API_CreateHealthCheck, CallerReference.
        """
        text = repr(sorted(config.items(), key=lambda item: item[0]))
        digest = hashlib.sha256(f"{model} {role} {text}".encode()).hexdigest()[:24]
        what = f"create the {role} health check of {model}"
        for life in range(1, LIVES + 1):
            reference = f"{self._owner}-{digest}-{life}"  # 64 characters at most
            with translated(what, TooManyHealthChecks=_too_many(what), InvalidInput=_invalid(what)):
                try:
                    created = self._route53.create_health_check(CallerReference=reference, HealthCheckConfig=config)
                except ClientError as error:
                    if code(error) != "HealthCheckAlreadyExists":
                        raise
                else:
                    return created["HealthCheck"]["Id"]
        raise ChecksRefused(
            f"{what}: it was deleted {LIVES} times within a few days, and Route 53 remembers each; try again tomorrow"
        )

    def _endpoint(self, check: EndpointCheck, times: CheckTimes) -> dict[str, Any]:
        return {
            "Type": "HTTPS",
            "FullyQualifiedDomainName": check.host,
            "Port": self._port,
            "ResourcePath": check.path,
            "RequestInterval": times.interval,
            "FailureThreshold": times.threshold if check.threshold is None else check.threshold,
            "Inverted": check.inverted,
            "EnableSNI": True,
        }

    def _metric(self, model: ModelKey, check: MetricCheck) -> dict[str, Any]:
        """Route 53 copies the alarm's settings when the check is made, so another setting is another alarm by name."""
        settings = _alarm(check)
        digest = hashlib.sha256(json.dumps([settings, str(model)], sort_keys=True).encode()).hexdigest()[:12]
        name = f"mldr-{self._environment}-switch-{check.role}-{model.name}-{digest}"
        with translated(f"put the alarm {name} in {check.region}"):
            self._cloudwatch(check.region).put_metric_alarm(
                AlarmName=name,
                AlarmDescription=f"Route 53 follows its data for {model}. It pages nobody; see decisions/0020.",
                Dimensions=dimensions(self._environment, model),
                **settings,
            )
        return {
            "Type": "CLOUDWATCH_METRIC",
            "AlarmIdentifier": {"Region": check.region, "Name": name},
            "InsufficientDataHealthStatus": check.unknown,
            "Inverted": False,
        }

    def ensure_records(
        self, records: Sequence[RoutedRecord], ttl: int, check_ids: dict[str, str], *, gone: Sequence[str] = ()
    ) -> None:
        """One change batch, all of it or nothing: between the old records and the new ones there is always an answer.

        Route 53 refuses two routing policies under one name, so what is there and not wanted goes in the same batch.
        See Route53/latest/APIReference/API_ChangeResourceRecordSets, Change Batches and Transactional Changes.
        """
        zone = self._zone_id()
        wanted = [_described(record, ttl, check_ids) for record in records]
        kept = {(one["Name"], one["Type"], one["SetIdentifier"]) for one in wanted}
        places = dict.fromkeys([(one["Name"], one["Type"]) for one in wanted] + [(f"{name}.", "TXT") for name in gone])
        leaving = [
            one
            for name, kind in places
            for one in self._held(zone, name, kind)
            if (name, kind, one.get("SetIdentifier", "")) not in kept
        ]
        changes: list[Any] = [{"Action": "DELETE", "ResourceRecordSet": one} for one in leaving]
        changes += [{"Action": "UPSERT", "ResourceRecordSet": one} for one in wanted]
        changed = RecordsChanged(
            f"Route 53 refused to replace {', '.join(sorted({name for name, _ in places}))} at once: they were changed "
            "meanwhile, and are read again; if it goes on, look for a protection or for records of others there"
        )
        with translated("write the records of a model", InvalidChangeBatch=changed):
            self._route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})

    def _held(self, zone: str, name: str, kind: Any) -> Iterator[Any]:
        """What stands under a name, as it has to be told to delete it. A listing goes on with what comes after it."""
        with translated(f"read the records of {name}"):
            listed = self._route53.list_resource_record_sets(
                HostedZoneId=zone, StartRecordName=name, StartRecordType=kind, MaxItems=PAGE
            )
        return (one for one in listed["ResourceRecordSets"] if (one["Name"], one["Type"]) == (name, kind))

    def _zone_id(self) -> str:
        with translated(f"find the zone {self._zone}"):
            zones = self._route53.list_hosted_zones_by_name(DNSName=self._zone, MaxItems="1")["HostedZones"]
        if not zones or zones[0]["Name"] != self._zone:
            raise ZoneMissing(
                f"there is no hosted zone {self._zone} in this account; deploy the DnsOwner region's stack first, "
                "or create the zone and set CreateZone to false"
            )
        return zones[0]["Id"]


def _too_many(what: str) -> ChecksRefused:
    return ChecksRefused(
        f"{what}: this account has as many health checks as it may; ask for more (Route 53, 200 at first), or delete "
        "those that no record names any more"
    )


def _invalid(what: str) -> ChecksRefused:
    return ChecksRefused(f"{what}: Route 53 refuses its settings; look at the stack's CheckInterval and Threshold")


def _calculated(check: CalculatedCheck, ids: dict[str, str]) -> dict[str, Any]:
    return {
        "Type": "CALCULATED",
        "ChildHealthChecks": [ids[child] for child in check.children],
        "HealthThreshold": check.threshold,
        "Inverted": check.inverted,
    }


def _alarm(check: MetricCheck) -> dict[str, Any]:
    """Only what Route 53 follows: one metric of standard resolution, a plain statistic, N of N minutes.

    See Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.
    """
    return {
        "Namespace": NAMESPACE,
        "MetricName": check.metric,
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": check.minutes,
        "Threshold": 1.0,
        "ComparisonOperator": OPERATORS[check.breach],
        "TreatMissingData": "missing",
        "ActionsEnabled": False,
    }


def _described(record: RoutedRecord, ttl: int, check_ids: dict[str, str]) -> Any:
    value = f'"{record.value}"' if record.type == "TXT" else record.value
    health: Any = {"HealthCheckId": check_ids[record.check]} if record.check else {}
    return {
        "Name": f"{record.name}.",
        "Type": record.type,
        "SetIdentifier": record.identifier,
        **_policy(record),
        "TTL": ttl,
        "ResourceRecords": [{"Value": value}],
        **health,
    }


def _policy(record: RoutedRecord) -> dict[str, Any]:
    if record.failover:
        return {"Failover": record.failover}
    return {"Region": record.region} if record.weight is None else {"Weight": record.weight}
