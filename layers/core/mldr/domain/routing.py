"""The Route 53 graph of one model: health checks and records that turn a takeover switch into an answer.

Everything is created when a model is onboarded; a failover edits none of it (law 1). DNS follows the switch alone:

    endpoint ──────── E                            the active gateway's /health
    flipped, kept ─── T: takeover (both healthy)   the switch is off where both say so
    all three ─────── primary (E and T)
    flipped, kept ─── secondary (T, inverted)

While the switch is off, the secondary is unhealthy; with both unhealthy Route 53 answers the primary, so an outage
alone never sends clients to a standby that is not ready. Source: AWS, "How Amazon Route 53 chooses records when health
checking is configured" (Route53/latest/DeveloperGuide/health-checks-how-route-53-chooses-records).

A calculated check may not watch another calculated one, so each names the leaves that it follows from, and how many of
them must be healthy. Source: Route53/latest/DeveloperGuide/health-checks-creating-values, Health checks to monitor.

`flipped` and `kept` look at the same path, the standby gateway's /takeover, inverted. A check takes its threshold of
looks in a row to turn either way, so `flipped`, which takes one, turns T on with the first looks after a flip, and
`kept`, which takes as many as every other check, keeps it on through a few looks that fail.

Where Route 53's checkers may not reach the gateways, E and T follow CloudWatch metrics instead of paths (SwitchKind):

    deep health ──── endpoint                      in the home: no data counts as unhealthy
    switch metric ── taken ────┐                   in the standby: no data changes nothing
                               ├─ takeover (one healthy child is enough)
    taken back ───── returned ─┘                   in the home: no data counts as "not taken back"

A home says that it has taken back only while it is well, so two of endpoint, taken and returned are E and T.

The switch's own check must not fall off because publishing stopped, so it keeps its last known status. Then a standby
that has died while it served would keep its clients for ever: the home, once it holds the higher epoch and is healthy,
says so with a metric of its own, and that alone turns T off. A new alarm check is healthy until there is data, so the
switch is off from the start. Source: Route53/latest/APIReference/API_HealthCheckConfig, InsufficientDataHealthStatus.

Where both regions answer (Spread, an active-active model), the name has two records by weight or latency instead:

    primary ──────────────────── home              as above: well, and not taken over
    absent, flipped, kept ────── standby           out only while it is not well itself and the switch is off

`absent` is the standby gateway's own /health, inverted. By metrics it has to outweigh each of taken and returned, and
Route 53 knows no weights: a second check of the same data, `absent-too`, is its second voice.

Each region falls out by its own health and nothing has to be decided. A takeover leaves the standby alone, as ever: its
record is healthy by the switch too, so that the home's, which is not, is never answered beside it. With every record
unhealthy Route 53 answers all of them. Source: Route53/latest/DeveloperGuide/routing-policy-weighted, and as above.

Canaries are TXT pairs that say, by DNS alone, what Route 53 believes of a check: `_health` of the endpoint, `_switch`
of the takeover and `_beside` of the standby. A new inverted check starts unhealthy, so before anything has been looked
at the switch is on and the standby is well. `_switch` gates the onboarding: the model's own name is written only when
the switch is seen to be off. `_beside` gates the spread.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, StrictInt

from mldr.domain.identity import Frozen, ModelKey

HEALTHY, UNHEALTHY = "healthy", "unhealthy"
OFF, ON = "off", "on"
ABSENT, ABSENT_TOO = "absent", "absent-too"  # of a standby that answers beside the home: it is not well
BESIDE = (ABSENT, ABSENT_TOO)
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
    """An HTTPS check of a path on a gateway; `threshold` is how many looks in a row turn it, None: as its times say."""

    role: str
    host: str
    path: str
    inverted: bool = False
    threshold: int | None = None


class MetricCheck(Frozen):
    """A check that follows the data of a metric in a region: unhealthy while each of the last minutes breaches.

    `breach` says which values do, against 1; `unknown` what the check is while there is no data.
    """

    role: str
    region: str
    metric: str
    breach: Literal["below", "reached"]
    minutes: int
    unknown: Literal["Healthy", "Unhealthy", "LastKnownStatus"]


class CalculatedCheck(Frozen):
    """A check that is healthy when `needed` of its children are, None: all of them. They are leaves, by role."""

    role: str
    children: tuple[str, ...]
    inverted: bool = False
    needed: int | None = None  # None in the routes of older releases

    @property
    def threshold(self) -> int:
        """Return how many children must be healthy."""
        return len(self.children) if self.needed is None else self.needed


class SpreadBy(StrEnum):
    """What decides which of two regions that both answer a client is sent to."""

    LATENCY = "latency"
    WEIGHT = "weight"


def _percent(given: int) -> int:
    if not 1 <= given <= 99:
        raise ValueError(f"{given} is no share of two regions; give 1 to 99, the percent that the standby answers")
    return given


class Spread(Frozen):
    """How clients are shared while both regions answer. `weight` is the percent of answers that name the standby."""

    by: SpreadBy = SpreadBy.LATENCY
    weight: Annotated[StrictInt, AfterValidator(_percent)] = 50


class RoutedRecord(Frozen):
    """One of the records under a name: a half of a failover pair, or a region by its weight, or else by its latency.

    `check` is a role; a record without one is always healthy.
    """

    name: str
    type: Literal["CNAME", "TXT"]
    failover: Literal["PRIMARY", "SECONDARY"] | None = None
    region: str | None = None
    weight: int | None = None
    value: str
    check: str | None

    @property
    def identifier(self) -> str:
        """Return its SetIdentifier. It names the policy, so that another policy is another record and no change."""
        if self.failover:
            return self.failover.lower()
        return f"{SpreadBy.LATENCY if self.weight is None else SpreadBy.WEIGHT}-{self.region}"


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
    canaries: tuple[RoutedRecord, ...]
    records: tuple[RoutedRecord, ...]
    metric_checks: tuple[MetricCheck, ...] = ()
    spread: Spread | None = None
    beside_name: str | None = None

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
    spread: Spread | None = None,
) -> Route:
    """Return the graph of a model whose standby is `standby`; with a spread, both answer.

    The same model and parameters give the same graph.
    """
    name = f"{model.label}.{zone.rstrip('.')}"
    verdict, switch, beside = f"_health.{name}", f"_switch.{name}", f"_beside.{name}" if spread else None
    by_metric = kind is SwitchKind.METRIC
    paths, metrics = _paths(model, active, standby), _metrics(active.region, standby.region)
    return Route(
        name=name,
        verdict_name=verdict,
        switch_name=switch,
        active=active,
        standby=standby,
        times=times,
        endpoint_checks=() if by_metric else tuple(one for one in paths if spread or one.role not in BESIDE),
        metric_checks=tuple(one for one in metrics if spread or one.role not in BESIDE) if by_metric else (),
        calculated_checks=_calculated(kind, spread),
        canaries=(
            *_pair(verdict, "TXT", (HEALTHY, "endpoint"), (UNHEALTHY, None)),
            *_pair(switch, "TXT", (OFF, "takeover"), (ON, None)),
            *(_pair(beside, "TXT", (UNHEALTHY, ABSENT), (HEALTHY, None)) if beside else ()),
        ),
        records=_records(name, active, standby, spread),
        spread=spread,
        beside_name=beside,
    )


def _calculated(kind: SwitchKind, spread: Spread | None) -> tuple[CalculatedCheck, ...]:
    """Return the verdicts: T, which is healthy while the switch is off, and what follows from T and from health."""
    by_metric = kind is SwitchKind.METRIC
    switch, off = (("taken", "returned"), 1) if by_metric else (("flipped", "kept"), 2)
    absent = BESIDE if by_metric else BESIDE[:1]
    verdicts = (
        CalculatedCheck(role="takeover", children=switch, needed=off),
        CalculatedCheck(role="primary", children=("endpoint", *switch), needed=1 + off),
        CalculatedCheck(role="secondary", children=switch, needed=off, inverted=True),
    )
    if not spread:
        return verdicts
    beside = CalculatedCheck(role="standby", children=(*absent, *switch), needed=len(absent) + off, inverted=True)
    return (*verdicts, beside)


def _records(name: str, home: Front, standby: Front, spread: Spread | None) -> tuple[RoutedRecord, ...]:
    """Return what a model's own name is answered with."""
    if spread:
        return _spread(name, spread, home, standby)
    return _pair(name, "CNAME", (home.target, "primary"), (standby.target, "secondary"))


def _pair(
    name: str, kind: Literal["CNAME", "TXT"], first: tuple[str, str | None], second: tuple[str, str | None]
) -> tuple[RoutedRecord, ...]:
    """Return a failover pair of values with their checks."""
    return (
        RoutedRecord(name=name, type=kind, failover="PRIMARY", value=first[0], check=first[1]),
        RoutedRecord(name=name, type=kind, failover="SECONDARY", value=second[0], check=second[1]),
    )


def _spread(name: str, spread: Spread, home: Front, standby: Front) -> tuple[RoutedRecord, ...]:
    """Return the records of a name that both regions answer."""
    shares = (100 - spread.weight, spread.weight) if spread.by is SpreadBy.WEIGHT else (None, None)
    sides = zip((home, standby), shares, ("primary", "standby"), strict=True)
    return tuple(
        RoutedRecord(name=name, type="CNAME", region=front.region, weight=share, value=front.target, check=check)
        for front, share, check in sides
    )


def _paths(model: ModelKey, active: Front, standby: Front) -> tuple[EndpointCheck, ...]:
    switch: dict[str, Any] = {"host": standby.host, "path": f"/models/{model.name}/takeover", "inverted": True}
    return (
        EndpointCheck(role="endpoint", host=active.host, path=f"/models/{model.name}/health"),
        EndpointCheck(role="flipped", **switch, threshold=1),
        EndpointCheck(role="kept", **switch),
        EndpointCheck(role=ABSENT, host=standby.host, path=f"/models/{model.name}/health", inverted=True),
    )


def _metrics(home: str, standby: str) -> tuple[MetricCheck, ...]:
    """The switch turns on with the first datapoint; what speaks for a region's health may miss a minute."""
    below: dict[str, Any] = {"breach": "below", "minutes": 2, "unknown": "Unhealthy"}
    return (
        MetricCheck(role="endpoint", region=home, metric=DEEP_HEALTH, **below),
        MetricCheck(role="returned", region=home, metric=TAKEN_BACK, **below),
        MetricCheck(
            role="taken",
            region=standby,
            metric=TAKEOVER_SWITCH,
            breach="reached",
            minutes=1,
            unknown="LastKnownStatus",
        ),
        *(
            MetricCheck(role=role, region=standby, metric=DEEP_HEALTH, breach="reached", minutes=1, unknown="Healthy")
            for role in BESIDE
        ),
    )
