"""The Route 53 graph of one model: health checks and records that turn a takeover switch into an answer.

Everything is created when a model is onboarded; a failover edits none of it (law 1). DNS follows the switch alone:

    endpoint ──┐                                   E: the active gateway's /health
               ├─ primary (both healthy)           T: the standby gateway's /takeover, inverted
    takeover ──┤
               └─ secondary (takeover, inverted)

While the switch is off, the secondary is unhealthy; with both unhealthy Route 53 answers the primary, so an outage
alone never sends clients to a standby that is not ready. Source: AWS, "How Amazon Route 53 chooses records when health
checking is configured" (Route53/latest/DeveloperGuide/health-checks-how-route-53-chooses-records).

Two canaries are TXT pairs that say, by DNS alone, what Route 53 believes of a check: `_health` of the endpoint and
`_switch` of the takeover. The second gates the onboarding: a new inverted check starts unhealthy, which would send
clients to a standby that has nothing, so the model's own name is written only when the switch is seen to be off.
"""

from __future__ import annotations

from typing import Literal

from mldr.domain.identity import Frozen, ModelKey

HEALTHY, UNHEALTHY = "healthy", "unhealthy"
OFF, ON = "off", "on"


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


class CalculatedCheck(Frozen):
    """A check that is healthy when all its children (by role) are."""

    role: str
    children: tuple[str, ...]
    inverted: bool = False


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


def plan_route(model: ModelKey, zone: str, *, active: Front, standby: Front, times: CheckTimes) -> Route:
    """Return the graph of a model whose standby is `standby`. The same model and parameters give the same graph."""
    name = f"{model.label}.{zone.rstrip('.')}"
    verdict, switch = f"_health.{name}", f"_switch.{name}"
    return Route(
        name=name,
        verdict_name=verdict,
        switch_name=switch,
        active=active,
        standby=standby,
        times=times,
        endpoint_checks=(
            EndpointCheck(role="endpoint", host=active.host, path=f"/models/{model.name}/health"),
            EndpointCheck(role="takeover", host=standby.host, path=f"/models/{model.name}/takeover", inverted=True),
        ),
        calculated_checks=(
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
