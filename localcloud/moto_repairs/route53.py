"""Route 53 as AWS answers it: idempotent creation, whole change batches, real check status, zones listed by name.

moto makes a second health check for a repeated CallerReference, accepts duplicate records, unknown health checks and
calculated checks of calculated ones, deletes every record of a set identifier at once, forgets the children of an
updated check, reports Success always, and drops the alarm of a CLOUDWATCH_METRIC check.
"""

import copy
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from moto.core.responses import ActionResult
from moto.route53.exceptions import InvalidInput, NoSuchHealthCheck, Route53ClientError
from moto.route53.models import FakeZone, HealthCheck, Route53Backend
from moto.route53.responses import Route53

from localcloud.edge import alarm_checks, change_batch
from localcloud.edge.health_checks import DEFAULT_PORTS, ENDPOINT_TYPES, METRIC
from localcloud.patches import Patches

INTERVALS = (10, 30)
LARGEST_THRESHOLD = 10
LONGEST_REFERENCE = 64
PAGE = 100
Settings = dict[str, Any]


class AlreadyExists(Route53ClientError):
    """The caller reference was used before, with other settings."""

    def __init__(self, what: str, reference: str) -> None:
        super().__init__(f"{what}AlreadyExists", f"The caller reference {reference!r} has been used before.")


class Observed(Protocol):
    """What one checker saw last."""

    @property
    def region(self) -> str:
        """Where the checker stands."""

    @property
    def address(self) -> str | None:
        """What it connected to."""

    @property
    def report(self) -> str:
        """What it saw."""

    @property
    def at(self) -> float:
        """When, in seconds since the epoch."""


class Route53Repairs:
    """Replaces the parts of moto's Route 53 that differ from AWS."""

    def __init__(self, observations: Callable[[str], Sequence[Observed]]) -> None:
        self._observations = observations
        self._created: dict[str, tuple[str, Settings]] = {}
        self._lock = threading.Lock()
        self._asked = threading.local()
        self._patches = Patches()

    def start(self) -> None:
        """Put the repairs in place."""
        replace = self._patches.replace
        self._create_check = replace(Route53Backend, "create_health_check", self._create_health_check())
        self._update_check = replace(Route53Backend, "update_health_check", self._update_health_check())
        self._create_zone = replace(Route53Backend, "create_hosted_zone", self._create_hosted_zone())
        self._told_create = replace(Route53, "create_health_check", self._with_alarm())
        self._described = replace(HealthCheck, "health_check_config", property(self._describe))
        replace(Route53Backend, "delete_health_check", delete_health_check)
        replace(Route53Backend, "change_resource_record_sets", self._change_resource_record_sets())
        replace(Route53, "list_hosted_zones_by_name", list_hosted_zones_by_name)
        replace(Route53, "get_health_check_status", self._get_health_check_status())

    def stop(self) -> None:
        """Put moto's own parts back."""
        self._patches.undo()

    def _create_health_check(self) -> Callable[..., HealthCheck]:
        def create(backend: Route53Backend, caller_reference: str, health_check_args: Settings) -> HealthCheck:
            if health_check_args["type"] == METRIC:
                health_check_args = {**health_check_args, **_followed(*getattr(self._asked, "value", (None, None)))}
            if len(caller_reference) > LONGEST_REFERENCE:
                raise InvalidInput(f"CallerReference has {len(caller_reference)} characters, {LONGEST_REFERENCE} fit.")
            with self._lock:
                used = self._created.get(caller_reference)
                if used is not None:
                    existing = backend.health_checks.get(used[0])
                    if existing is None or used[1] != health_check_args:
                        raise AlreadyExists("HealthCheck", caller_reference)
                    return existing
                asked = copy.deepcopy(health_check_args)
                settings = _accepted(backend, health_check_args)
                made: HealthCheck = self._create_check(backend, caller_reference, settings)
                made.port = settings["port"]
                alarm_checks.attach(made, settings.get("alarm"), settings.get("no_data"))
                self._created[caller_reference] = (made.id, asked)
                return made

        return create

    def _update_health_check(self) -> Callable[..., HealthCheck]:
        def update(backend: Route53Backend, health_check_id: str, health_check_args: Settings) -> HealthCheck:
            given = {name: value for name, value in health_check_args.items() if value != []}
            if backend.get_health_check(health_check_id).type_ == METRIC:
                raise InvalidInput("The local cloud does not change a health check of a metric; make another one.")
            _known_children(backend, given)
            updated: HealthCheck = self._update_check(backend, health_check_id, given)
            updated.health_check_version += 1
            return updated

        return update

    def _with_alarm(self) -> Callable[[Route53], ActionResult]:
        """moto's response drops what it does not know of the request; the backend takes it from here."""

        def create(response: Route53) -> ActionResult:
            config = response._get_param("HealthCheckConfig")
            self._asked.value = (config.get("AlarmIdentifier"), config.get("InsufficientDataHealthStatus"))
            made: ActionResult = self._told_create(response)
            return made

        return create

    def _describe(self, check: HealthCheck) -> Settings:
        config: Settings = self._described.fget(check)
        if check.type_ != METRIC:
            return config
        rule, no_data = alarm_checks.followed(check)
        return {
            "Type": METRIC,
            "AlarmIdentifier": {"Region": rule.region, "Name": rule.name},
            "InsufficientDataHealthStatus": no_data,
            "Inverted": check.inverted,
            "Disabled": check.disabled,
        }

    def _create_hosted_zone(self) -> Callable[..., FakeZone]:
        def create(backend: Route53Backend, name: str, *args: Any, **settings: Any) -> FakeZone:
            reference = settings.get("caller_reference")
            if reference and any(zone.caller_reference == reference for zone in backend.zones.values()):
                raise AlreadyExists("HostedZone", reference)
            made: FakeZone = self._create_zone(backend, name, *args, **settings)
            return made

        return create

    def _change_resource_record_sets(self) -> Callable[..., None]:
        def change(backend: Route53Backend, zoneid: str, change_list: list[dict[str, Any]]) -> None:
            with self._lock:
                zone = backend.get_hosted_zone(zoneid)
                zone.rrsets = change_batch.apply(zone, change_list, backend.health_checks)

        return change

    def _get_health_check_status(self) -> Callable[[Route53], ActionResult]:
        def status(response: Route53) -> ActionResult:
            check_id = response._get_param("HealthCheckId")
            response.backend.get_health_check(check_id)
            return ActionResult({"HealthCheckObservations": [_observation(o) for o in self._observations(check_id)]})

        return status


def delete_health_check(backend: Route53Backend, health_check_id: str) -> None:
    """Delete the check; an unknown one is an error."""
    backend.get_health_check(health_check_id)
    del backend.health_checks[health_check_id]


def list_hosted_zones_by_name(response: Route53) -> ActionResult:
    """The zones in the order of their reversed labels, from the given name on."""
    start, limit = response._get_param("DNSName"), response._get_int_param("MaxItems", PAGE)
    after = (_reversed(start) if start else [], response._get_param("HostedZoneId") or "")
    zones = sorted(response.backend.zones.values(), key=lambda zone: (_reversed(zone.name), zone.resource_id))
    wanted = [zone for zone in zones if (_reversed(zone.name), zone.resource_id) >= after]
    result = {"HostedZones": wanted[:limit], "IsTruncated": len(wanted) > limit, "MaxItems": limit}
    if start:
        result["DNSName"] = start.rstrip(".") + "."
    if len(wanted) > limit:
        result |= {"NextDNSName": wanted[limit].name, "NextHostedZoneId": wanted[limit].resource_id}
    return ActionResult(result)


def _accepted(backend: Route53Backend, asked: Settings) -> Settings:
    kind, interval, threshold = asked["type"], asked.get("request_interval"), asked.get("failure_threshold")
    if kind not in (*ENDPOINT_TYPES, "CALCULATED", METRIC):
        raise InvalidInput(f"The local cloud has no health checks of type {kind}.")
    if kind in ENDPOINT_TYPES and not (asked.get("fqdn") or asked.get("ip_address")):
        raise InvalidInput(f"A health check of type {kind} needs an IPAddress or a FullyQualifiedDomainName.")
    if kind.endswith("STR_MATCH") and not asked.get("search_string"):
        raise InvalidInput(f"A health check of type {kind} needs a SearchString.")
    if kind == "CALCULATED" and asked.get("health_threshold") is None:
        raise InvalidInput("A CALCULATED health check needs a HealthThreshold.")
    if interval is not None and int(interval) not in INTERVALS:
        raise InvalidInput(f"RequestInterval must be 10 or 30, not {interval}.")
    if threshold is not None and not 1 <= int(threshold) <= LARGEST_THRESHOLD:
        raise InvalidInput(f"FailureThreshold must be from 1 to {LARGEST_THRESHOLD}, not {threshold}.")
    _known_children(backend, asked)
    return {**asked, "port": asked.get("port") or DEFAULT_PORTS.get(kind)}


def _followed(alarm: Settings | None, no_data: str | None) -> Settings:
    """What an alarm-based check follows; Route 53 reads the alarm's settings once."""
    if not alarm:
        raise InvalidInput(f"A health check of type {METRIC} needs an AlarmIdentifier.")
    if no_data not in alarm_checks.NO_DATA:
        raise InvalidInput(f"InsufficientDataHealthStatus must be one of {', '.join(alarm_checks.NO_DATA)}.")
    try:
        return {"alarm": alarm_checks.rule_of(alarm["Region"], alarm["Name"]), "no_data": no_data}
    except alarm_checks.Unfollowable as error:
        raise InvalidInput(str(error)) from error


def _known_children(backend: Route53Backend, settings: Settings) -> None:
    """See Route53/latest/DeveloperGuide/health-checks-creating-values, Health checks to monitor."""
    for child in settings.get("children") or ():
        if child not in backend.health_checks:
            raise InvalidInput(str(NoSuchHealthCheck(child)))
        if backend.health_checks[child].type_ == "CALCULATED":
            raise InvalidInput(f"A calculated health check cannot monitor another calculated one: {child}.")


def _observation(observed: Observed) -> dict[str, Any]:
    seen = {"Status": observed.report, "CheckedTime": datetime.fromtimestamp(observed.at, UTC)}
    where = {"IPAddress": observed.address} if observed.address else {}
    return {"Region": observed.region, **where, "StatusReport": seen}


def _reversed(name: str) -> list[str]:
    return list(reversed(name.lower().rstrip(".").split(".")))
