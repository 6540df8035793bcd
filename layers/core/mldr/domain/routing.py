"""The Route 53 graph of one model: health checks and records that turn a takeover switch into an answer.

Everything is created when a model is onboarded; a failover edits none of it (law 1). DNS follows the switch alone:

    endpoint ──┐                                   E: the active gateway's /health
               ├─ primary (both healthy)           T: the standby gateway's /takeover, inverted
    takeover ──┤
               └─ secondary (takeover, inverted)

While the switch is off, the secondary is unhealthy; with both unhealthy Route 53 answers the primary, so an outage
alone never sends clients to a standby that is not ready. Source: AWS, "How Amazon Route 53 chooses records when health
checking is configured" (Route53/latest/DeveloperGuide/health-checks-how-route-53-chooses-records).

Where Route 53's checkers may not reach the gateways, E and T follow CloudWatch metrics instead of paths (SwitchKind):

    deep health ──── endpoint                      in the home: no data counts as unhealthy
    switch metric ── taken ────┐                   in the standby: no data changes nothing
                               ├─ takeover (one healthy child is enough)
    taken back ───── returned ─┘                   in the home: no data counts as "not taken back"

The switch's own check must not fall off because publishing stopped, so it keeps its last known status. Then a standby
that has died while it served would keep its clients for ever: the home, once it holds the higher epoch and is healthy,
says so with a metric of its own, and that alone turns T off. A new alarm check is healthy until there is data, so the
switch is off from the start. Source: Route53/latest/APIReference/API_HealthCheckConfig, InsufficientDataHealthStatus.

Two canaries are TXT pairs that say, by DNS alone, what Route 53 believes of a check: `_health` of the endpoint and
`_switch` of the takeover. The second gates the onboarding: a new inverted check starts unhealthy, which would send
clients to a standby that has nothing, so the model's own name is written only when the switch is seen to be off.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from mldr.domain.identity import Frozen, ModelKey

HEALTHY, UNHEALTHY = "healthy", "unhealthy"
OFF, ON = "off", "on"
TAKEOVER_SWITCH, TAKEN_BACK, DEEP_HEALTH = "TakeoverSwitch", "TakenBack", "DeepHealth"  # metrics: 1 holds, 0 does not


class SwitchKind(StrEnum):
    """What Route 53's checkers look at."""

    HTTPS = "https"  # paths of the gateways
    METRIC = "metric"  # CloudWatch metrics, for gateways that the checkers may not reach


class Front(Frozen):
    """Where a region's gateway is reached: its own host (health checks) and what the model's name points to."""

    region: str
    host: str
    target: str


class CheckTimes(Frozen):
    """The stack's parameters: seconds between checks, failures in a row that count, seconds a DNS answer lives."""

    interval: Literal[10, 30]
    threshold: int
    ttl: int


class EndpointCheck(Frozen):
    """An HTTPS check of a path on a gateway."""

    role: str
    host: str
    path: str
    inverted: bool = False


class MetricCheck(Frozen):
    """A check that follows the data of a metric in a region: unhealthy while each of the last minutes breaches.

    `breach` says which values do, against 1; `unknown` what the check is while there is no data.
    """

    role: str
    region: str
    metric: str
    breach: Literal["below", "reached"]
    minutes: int
    unknown: Literal["Unhealthy", "LastKnownStatus"]


class CalculatedCheck(Frozen):
    """A check that is healthy when `needed` of its children (by role) are; None: all of them."""

    role: str
    children: tuple[str, ...]
    inverted: bool = False
    needed: int | None = None

    @property
    def threshold(self) -> int:
        """Return how many children must be healthy."""
        return len(self.children) if self.needed is None else self.needed


class FailoverRecord(Frozen):
    """One half of a failover pair. `check` is a role; a secondary without one is always healthy."""

    name: str
    type: Literal["CNAME", "TXT"]
    failover: Literal["PRIMARY", "SECONDARY"]
    value: str
    check: str | None


class Route(Frozen):
    """Everything that Route 53 must know of one model. Checks are in an order in which they can be created."""

    name: str
    verdict_name: str
    switch_name: str
    active: Front
    standby: Front
    times: CheckTimes
    endpoint_checks: tuple[EndpointCheck, ...]
    calculated_checks: tuple[CalculatedCheck, ...]
    canaries: tuple[FailoverRecord, ...]
    records: tuple[FailoverRecord, ...]
    metric_checks: tuple[MetricCheck, ...] = ()

    @property
    def kind(self) -> SwitchKind:
        """Return what the checkers look at."""
        return SwitchKind.METRIC if self.metric_checks else SwitchKind.HTTPS


def plan_route(
    model: ModelKey,
    zone: str,
    *,
    active: Front,
    standby: Front,
    times: CheckTimes,
    kind: SwitchKind = SwitchKind.HTTPS,
) -> Route:
    """Return the graph of a model whose standby is `standby`. The same model and parameters give the same graph."""
    by_metric = kind is SwitchKind.METRIC
    name = f"{model.label}.{zone.rstrip('.')}"
    verdict, switch = f"_health.{name}", f"_switch.{name}"
    return Route(
        name=name,
        verdict_name=verdict,
        switch_name=switch,
        active=active,
        standby=standby,
        times=times,
        endpoint_checks=() if by_metric else _paths(model, active, standby),
        metric_checks=_metrics(active.region, standby.region) if by_metric else (),
        calculated_checks=(
            *([CalculatedCheck(role="takeover", children=("taken", "returned"), needed=1)] if by_metric else []),
            CalculatedCheck(role="primary", children=("endpoint", "takeover")),
            CalculatedCheck(role="secondary", children=("takeover",), inverted=True),
        ),
        canaries=(
            FailoverRecord(name=verdict, type="TXT", failover="PRIMARY", value=HEALTHY, check="endpoint"),
            FailoverRecord(name=verdict, type="TXT", failover="SECONDARY", value=UNHEALTHY, check=None),
            FailoverRecord(name=switch, type="TXT", failover="PRIMARY", value=OFF, check="takeover"),
            FailoverRecord(name=switch, type="TXT", failover="SECONDARY", value=ON, check=None),
        ),
        records=(
            FailoverRecord(name=name, type="CNAME", failover="PRIMARY", value=active.target, check="primary"),
            FailoverRecord(name=name, type="CNAME", failover="SECONDARY", value=standby.target, check="secondary"),
        ),
    )


def _paths(model: ModelKey, active: Front, standby: Front) -> tuple[EndpointCheck, ...]:
    return (
        EndpointCheck(role="endpoint", host=active.host, path=f"/models/{model.name}/health"),
        EndpointCheck(role="takeover", host=standby.host, path=f"/models/{model.name}/takeover", inverted=True),
    )


def _metrics(home: str, standby: str) -> tuple[MetricCheck, ...]:
    """The switch turns on with the first datapoint; what speaks for the home may miss a minute."""
    below: dict[str, Any] = {"region": home, "breach": "below", "minutes": 2, "unknown": "Unhealthy"}
    return (
        MetricCheck(role="endpoint", metric=DEEP_HEALTH, **below),
        MetricCheck(role="returned", metric=TAKEN_BACK, **below),
        MetricCheck(
            role="taken",
            region=standby,
            metric=TAKEOVER_SWITCH,
            breach="reached",
            minutes=1,
            unknown="LastKnownStatus",
        ),
    )
