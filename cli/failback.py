"""`mldr failback` and `mldr move`: planned moves, to a model's home and away from it, without a failed request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.markup import escape

from cli.evacuation import evacuate
from cli.failover import Again, OptionalModel, ask, check_reason, conclude
from cli.options import ModelName, Timeout, Wait
from cli.outcomes import Ended, Exit, bad_input, unreachable
from cli.output import AsJson, out, print_json
from cli.regions import Bus, Environment, Looked, Place, Region, look, places, route_in, silence
from cli.standing import foreseen
from mldr.aws.capacities import component_names, copies, instances
from mldr.domain.draining import too_short
from mldr.domain.failover import Kind, Takeover
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Leadership, Role, home_of, role
from mldr.domain.recovery_point import Record
from mldr.domain.routing import Route
from mldr.domain.warming import Count, missing
from mldr.registries.sagemaker import SageMakerRegistry
from mldr.sdk import is_absent

Reason = Annotated[str, typer.Option(help="Why; it is kept in the evidence.")]
HomeRegion = Annotated[
    str | None, typer.Option("--region", help="Of a model: one of its regions. Alone: the home of all that come back.")
]
Plan = Annotated[bool, typer.Option("--plan", help="Only say what would happen, and whether it may begin.")]


@dataclass(frozen=True)
class Held:
    """What serves now, as the region that is to serve captured it, and what its own endpoint lacks of that."""

    counts: dict[str, int]
    captured_at: dt.datetime
    own: str
    grows: dict[str, int]

    @property
    def told(self) -> str:
        """What it has, in words."""
        return f"{_counted(self.counts) or 'no instances of its own'}, captured {self.captured_at:%Y-%m-%d %H:%M:%S}"


@dataclass(frozen=True)
class Move:
    """A planned move: who serves now, who is to serve, and what must be protected there first."""

    model: ModelKey
    kind: Kind
    source: Place
    target: Place
    now: Role
    version: str
    here: Record | None
    refused: str = ""  # why the gate would refuse it, however long it waits
    held: Held | None = None  # how it is served now, where that was captured
    foreseen: tuple[str, ...] = ()  # what will not be as it is, where it is restored

    @property
    def ready(self) -> bool:
        """Whether the gate would let it begin now."""
        return self.sealed and not self.refused

    @property
    def sealed(self) -> bool:
        """Whether what is served is protected where it goes."""
        return self.here is not None and self.here.restorable

    @property
    def lag(self) -> str:
        """What is missing, in words."""
        if self.here is None:
            return "its protection has not begun; the gate asks for it"
        behind = dt.datetime.now(dt.UTC) - self.here.origin.promoted_at
        return f"{self.here.recovery_point} is {self.here.phase}, {int(behind.total_seconds())} s behind"

    def described(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "model": str(self.model), "kind": self.kind, "from": self.source.region, "to": self.target.region,
            "epoch": self.now.epoch, "serves": self.now.reason, "version": self.version, "ready": self.ready,
            "recovery_point": self.here.recovery_point if self.here and self.sealed else None,
            "lag": None if self.sealed else self.lag, "refused": self.refused or None,
            "serves_with": self.held.counts if self.held else None, "grows": self.held.grows if self.held else {},
            "foreseen": list(self.foreseen),
        }  # fmt: skip


def failback(
    model: OptionalModel = None,
    reason: Reason = "the region is well again",
    plan: Plan = False,
    again: Again = None,
    wait: Wait = False,
    timeout: Timeout = 1800,
    as_json: AsJson = False,
    region: HomeRegion = None,
    env: Environment = "prod",
    bus: Bus = "mldr",
) -> None:
    """Bring a model home after a failover, without a failed request; or all that are at home in a region.

    [dim]$[/] mldr failback digits-classifier --plan
    [dim]$[/] mldr failback digits-classifier --wait
    [dim]$[/] mldr failback --region ap-southeast-1 --plan

    `Failback Requested` is put on the bus of the model's home. Nothing is switched before all that the standby serves
    is sealed there and the golden questions are answered; the standby then stands down by itself.

    Exit codes: 0 completed (without --wait: asked; with --plan: it may begin), 1 refused, failed or not completed in
    time, 2 bad input, 3 a region cannot be reached.
    """
    if model is None:
        evacuate(region, Kind.FAILBACK, reason, env, bus,
                 again=again, plan=plan, wait=wait, timeout=timeout, as_json=as_json)  # fmt: skip
        return
    if again:
        raise bad_input("--id is of a whole region", "leave out the model, and name a region")
    key = ModelKey.parse(model)
    _run(key, Kind.FAILBACK, reason, places(region, env, others=True), bus,
         plan=plan, wait=wait, timeout=timeout, as_json=as_json)  # fmt: skip


def move(
    model: ModelName,
    reason: Reason,
    plan: Plan = False,
    wait: Wait = False,
    timeout: Timeout = 1800,
    as_json: AsJson = False,
    region: Region = None,
    env: Environment = "prod",
    bus: Bus = "mldr",
) -> None:
    """Move a healthy model to its standby, for an exercise, without a failed request; `mldr failback` brings it home.

    [dim]$[/] mldr move digits-classifier --reason "exercise of 31 January" --wait

    Both regions must answer. When the one that serves is down, it is not a move: use `mldr failover`.

    Exit codes: as those of `mldr failback`.
    """
    key = ModelKey.parse(model)
    _run(key, Kind.MOVE, reason, places(region, env, others=True), bus,
         plan=plan, wait=wait, timeout=timeout, as_json=as_json)  # fmt: skip


def _run(
    key: ModelKey, kind: Kind, reason: str, where: Sequence[Place], bus: str, *,
    plan: bool, wait: bool, timeout: float, as_json: bool,
) -> None:  # fmt: skip
    check_reason(key, reason)
    source, target, now = route_of(key, kind, where)
    if plan:
        _show(planned(key, kind, source, target, now), as_json)
        return
    conclude(ask(key, replace(target, bus_name=bus), kind, reason), wait=wait, timeout=timeout, as_json=as_json)


def route_of(model: ModelKey, kind: Kind, where: Sequence[Place]) -> tuple[Place, Place, Role]:
    """Return where a planned move leaves, where it goes, and who serves now. Ends the command when it makes no sense.

    A move of a whole region asks this for each of its models.
    """
    looked = look(where, lambda place: _known(model, place))
    found: dict[str, tuple[Leadership, Route | None]] = looked.answers
    route = next((route for _, route in found.values() if route), None)
    if route is None:
        raise _unknown(model, looked)
    by_region = {place.region: place for place in where}
    home, standby = route.active.region, route.standby.region
    target, source = (home, standby) if kind is Kind.FAILBACK else (standby, home)
    for name in (target, source):
        if name not in by_region:
            by_region[name] = replace(where[0], region=name)
    if target not in found:
        advice = f"a planned move wants both regions: wait until {target} is well; `mldr epoch {model.name}`"
        raise unreachable(f"{target} does not answer; {silence(looked)}", advice)
    now = _role(target, *found[target])
    if now.serving:
        raise Ended(Exit.DOES_NOT_HOLD, f"{model}: {now.reason}", f"there is nothing to do; `mldr epoch {model.name}`")
    return by_region[source], by_region[target], now


def planned(model: ModelKey, kind: Kind, source: Place, target: Place, now: Role) -> Move:
    """Return a move as its gate would judge it: both regions are asked."""
    takeover = source.catalog.leadership(model).takeover
    record = source.catalog.record(model, takeover.recovery_point) if takeover else None
    registry = SageMakerRegistry(source.client("sagemaker"), target.client("sagemaker"))
    newest = registry.newest_approved(model)
    copied = newest is not None and registry.describe(newest).copied_from is not None
    version = (record.target_arn if record and (newest is None or copied) else newest) or ""
    records = [one for one in target.catalog.records(model) if one.origin.arn == version]
    best = max(records, key=lambda one: (one.restorable, one.started_at), default=None)
    return Move(model=model, kind=kind, source=source, target=target, now=now, version=version, here=best,
                refused=_refused(model, source, target),
                held=_held(model, kind, target, takeover),
                foreseen=foreseen(target, best if best and best.restorable else None))  # fmt: skip


def _held(model: ModelKey, kind: Kind, target: Place, takeover: Takeover | None) -> Held | None:
    """What was captured of another endpoint than the one that serves now says nothing of it."""
    state, (policy, _) = target.captures.newest(model), target.policies.load()
    rules = policy.for_model(model.registry, model.name, {}).serving
    if state is None or state.endpoint != (takeover.endpoint if takeover else rules.endpoint):
        return None
    grows: dict[str, int] = {}
    if kind is Kind.FAILBACK and not rules.kserve:
        there = _own_counts(target.client("sagemaker"), rules.endpoint)
        grows = missing(state.counts_at(there, rules.component), there)
    return Held(counts=state.capacity, captured_at=state.captured_at, own=rules.endpoint, grows=grows)


def _own_counts(sagemaker: Any, endpoint: str) -> dict[str, Count]:
    """Return what the model's own endpoint has at home, nothing where there is none."""
    try:
        found = instances(sagemaker.describe_endpoint(EndpointName=endpoint))
        return found | copies(sagemaker, component_names(sagemaker, endpoint))
    except ClientError as error:
        if not is_absent(error):
            raise
        return {}


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _refused(model: ModelKey, source: Place, target: Place) -> str:
    """The region that is left drains by its own policy, the gate reads the other one: both files must be right."""
    routes = (route_in(place, model, place.catalog.leadership(model)) for place in (target, source))
    route = next((found for found in routes if found), None)
    for place in (source, target):
        policy, _ = place.policies.load()
        drain = policy.for_model(model.registry, model.name, {}).failover.drain
        if route and (why := too_short(drain, route)):
            return f"{place.region}: {why}"
    return ""


def _capacity(move: Move) -> str:
    held = move.held
    if held is None:
        return (
            f"how it is served was not captured in {move.target.region}: what is restored has the policy's instances, "
            f"and no autoscaling; `mldr status {move.model.name}`"
        )
    if not held.grows:
        return f"it is served with: {held.told}"
    return (
        f"it is served with: {held.told}; if {held.own} serves that version in {move.target.region}, it is asked for "
        f"{_counted(held.grows)} before the switch"
    )


def _known(model: ModelKey, place: Place) -> tuple[Leadership, Route | None]:
    knowledge = place.catalog.leadership(model)
    return knowledge, route_in(place, model, knowledge)


def _role(region: str, knowledge: Leadership, route: Route | None) -> Role:
    home = home_of(region, knowledge, route)
    return role(region, home, knowledge, now=dt.datetime.now(dt.UTC), drain=dt.timedelta(0))


def _unknown(model: ModelKey, looked: Looked) -> Ended:
    advice = f"`mldr protect {model.name}` gives it a name and a standby"
    if looked.silent:
        return unreachable(f"no region that answers knows where {model} is at home; {silence(looked)}", advice)
    return Ended(Exit.DOES_NOT_HOLD, f"{model} was never onboarded", advice)


def _show(move: Move, as_json: bool) -> None:
    if as_json:
        print_json(move.described())
    else:
        mark = "[green]✓[/]" if move.ready else "[yellow]…[/]"
        out.print(f"{mark} {move.kind} of {move.model}: {move.source.region} → {move.target.region}")
        out.print(escape(f"  now: {move.now.reason}"))
        out.print(escape(f"  what is served: {move.version}"))
        sealed = f"sealed as {move.here.recovery_point}" if move.here and move.sealed else move.lag
        out.print(escape(f"  in {move.target.region}: {sealed}"))
        out.print(escape(f"  {_capacity(move)}"))
        for one in move.foreseen:
            out.print(escape(f"  known by now: {one}"))
        out.print(f"  then: claim an epoch above {move.now.epoch}, golden check, switch; the old side drains")
    if move.refused:
        raise Ended(Exit.DOES_NOT_HOLD, move.refused, "then ask again")
    if not move.ready:
        raise Ended(Exit.DOES_NOT_HOLD, f"{move.target.region} lags: {move.lag}", "ask again, or let the gate wait")
