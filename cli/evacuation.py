"""`mldr failover --region R` and `mldr failback --region R`: all models of a region at once, planned and followed."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.markup import escape

from cli.executions import Watched, newest_execution
from cli.failover import find_evidence, given, who
from cli.outcomes import Ended, Exit, bad_input
from cli.output import err, out, print_json, print_table, seconds, table
from cli.regions import Place, places
from mldr.aws.evidence import VaultEvidence
from mldr.aws.region_facts import CatalogFacts
from mldr.aws.workflows import status_of
from mldr.domain.capacity import STALE, Capacity
from mldr.domain.evacuation import Planned, Refused, recovery_id, region_key, work_key
from mldr.domain.evidence import Evidence, ModelOutcome
from mldr.domain.failover import Kind
from mldr.domain.policy import Policy
from mldr.domain.region_plan import SIDE_BY_SIDE, Direction, Draft, draw
from mldr.domain.regions import REGIONS
from mldr.errors import BadPolicy
from mldr.events.detail_types import FAILBACK_REQUESTED, FAILOVER_REQUESTED
from mldr.events.evacuation import RegionRequest
from mldr.ports.stack import Status

POLL = 2.0  # seconds
LOST = "look into the queues mldr-<env>-failover and mldr-<env>-failover-dlq"
ENDED = (Status.SUCCEEDED, Status.FAILED)
WORDS = {
    Status.RUNNING: "[cyan]recovering[/]",
    Status.SUCCEEDED: "[green]recovered[/]",
    Status.FAILED: "[red]failed[/]",
    Status.LOST: "[yellow]died, and is to go on[/]",
}
FOLLOWED = 64  # executions that are looked at in one round, in the order of the plan


@dataclass(frozen=True)
class Asked:
    """One region that was asked for: `target` is the region that takes its models over."""

    region: str
    kind: Kind
    target: Place
    failover_id: str


def evacuate(
    region: str | None, kind: Kind, reason: str | None, environment: str, bus: str, *,
    again: str | None, plan: bool, wait: bool, timeout: float, as_json: bool,
) -> None:  # fmt: skip
    """Plan, or ask for, all models of a region. Ends the command when it does not hold."""
    if region is None:
        raise bad_input("nothing is named", "name a model, or a region with --region")
    target, other = _sides(region, kind, environment)
    if plan:
        show_plan(drawn(target, other.region, kind), region, target.region, as_json)
        return
    asked = _ask(region, kind, given(reason), replace(target, bus_name=bus), again)
    if not wait:
        _told(asked, as_json)
        return
    _follow(asked, time.monotonic() + timeout, quiet=as_json)
    _finish(asked, as_json)


def _sides(region: str, kind: Kind, environment: str) -> tuple[Place, Place]:
    """Return the region that takes over, and the one that is left."""
    if region not in REGIONS:
        raise bad_input(f"{region} is not an AWS region")
    others = [place for place in places(None, environment) if place.region != region]
    if len(others) != 1:
        known = " and ".join(place.region for place in others) or "none"
        raise bad_input(
            f"the peer of {region} is not known: beside it {known} is configured", f"set MLDR_REGIONS={region},PEER"
        )
    named = Place(region, environment)
    return (named, others[0]) if kind is Kind.FAILBACK else (others[0], named)


def drawn(target: Place, there: str, kind: Kind) -> Draft:
    """Return the plan as the state machine would make it now; only `target` is asked."""
    now = dt.datetime.now(dt.UTC)
    direction = Direction(here=target.region, there=there, kind=kind)
    evidence = VaultEvidence(target.sealed, lambda: now)
    facts = CatalogFacts(target.catalog, target.sealed, evidence, target.captures)
    capacity = target.catalog.capacity()
    return draw(
        facts.gather(direction, now),
        direction,
        policy=_in_force(target),
        capacity=capacity,
        began_at=now,
        now=now,
        side_by_side=capacity.side_by_side if capacity else SIDE_BY_SIDE,
    )


def _in_force(place: Place) -> Policy | None:
    try:
        return place.policies.load()[0]
    except BadPolicy as error:
        err.print(f"[yellow]![/] the sealed policies hold: {escape(str(error))}")
        return None


def show_plan(made: Draft, region: str, target: str, as_json: bool) -> None:
    """Print a plan. Ends the command unless every recovery time is expected to hold."""
    count = len(made.plan.planned) + len(made.plan.refused)
    if as_json:
        print_json(described(made, region, target))
    elif count:
        _print_plan(made)
    if not made.plan.holds:
        late, refused = made.plan.late, len(made.plan.refused)
        raise Ended(Exit.DOES_NOT_HOLD, f"{late} late and {refused} refused of {_models(count)} of {region}",
                    "docs/runbooks/region.md says what helps")  # fmt: skip
    if not as_json and count:
        out.print(f"[green]✓[/] {target} is expected to serve {_models(count)} of {region} in time")
    elif not as_json:
        out.print(f"[green]✓[/] nothing is to be moved to {target}: no model that it knows of is served elsewhere")


def _models(count: int) -> str:
    return f"{count} model{'s' if count != 1 else ''}"


def described(made: Draft, region: str, target: str) -> dict[str, Any]:
    """Return a plan as JSON shows it; times are seconds from now."""
    capacity = made.capacity
    return {
        "region": region,
        "target": target,
        "holds": made.plan.holds,
        "side_by_side": made.side_by_side,
        "quotas_read_at": capacity.read_at.isoformat() if capacity else None,
        "planned": [_line(one, made.made_at) for one in made.plan.planned],
        "refused": [
            {"model": str(one.model), "criticality": one.criticality, "tried": one.tried, "reason": one.reason}
            for one in made.plan.refused
        ],
    }


def _line(one: Planned, now: dt.datetime) -> dict[str, Any]:
    return {
        "model": str(one.model),
        "kind": one.kind,
        "criticality": one.criticality,
        "wave": one.wave,
        "deadline_seconds": (one.deadline - now).total_seconds(),
        "starts_after_seconds": one.starts_after.total_seconds(),
        "expected_seconds": one.duration.total_seconds(),
        "measured": one.measured,
        "ready_after_seconds": (one.ready_at - now).total_seconds(),
        "in_time": one.in_time,
        "reason": one.reason,
    }


def _print_plan(made: Draft) -> None:
    rows = table("model", "criticality", "deadline", "expected", "in time?", "wave", "reason")
    for one in made.plan.planned:
        rows.add_row(
            str(one.model),
            one.criticality,
            seconds((one.deadline - made.made_at).total_seconds()),
            seconds((one.ready_at - made.made_at).total_seconds()),
            "[green]yes[/]" if one.in_time else "[red]no[/]",
            str(one.wave),
            escape(one.reason),
        )
    for no in made.plan.refused:
        last = "[yellow]last[/]" if no.tried else "[red]never[/]"
        rows.add_row(str(no.model), no.criticality, "-", "-", "[red]no[/]", last, escape(no.reason))
    print_table(rows)
    out.print(f"[dim]{escape(_basis(made))}[/]")


def _basis(made: Draft) -> str:
    assumed = sum(not one.measured for one in made.plan.planned)
    told = f"{made.side_by_side} side by side; {assumed} of {len(made.plan.planned)} durations are assumed"
    return f"{told}; {_age(made.capacity, made.made_at)}"


def _age(capacity: Capacity | None, now: dt.datetime) -> str:
    if capacity is None:
        return "the quotas were never read, so nothing is refused for them"
    age = now - capacity.read_at
    return f"quotas read {seconds(age.total_seconds())} ago" + (": they may have changed since" if age > STALE else "")


def _ask(region: str, kind: Kind, reason: str, target: Place, again: str | None) -> Asked:
    name = again or f"{kind}-{region}-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S%f}"[:60]
    given = {"region": region, "reason": reason, "requested_by": who(), "failover_id": name}
    back = kind is Kind.FAILBACK
    request = RegionRequest.parse(given if back else {**given, "kind": kind})
    detail = request.model_dump(mode="json", exclude_none=True, exclude={"kind"} if back else set())
    target.bus.put(FAILBACK_REQUESTED if back else FAILOVER_REQUESTED, detail)
    return Asked(region, kind, target, name)


def _told(asked: Asked, as_json: bool) -> None:
    if as_json:
        print_json({"region": asked.region, "failover_id": asked.failover_id, "target": asked.target.region})
        return
    out.print(f"[green]✓[/] asked {asked.target.region} for all models of {asked.region}: {asked.failover_id}")
    out.print("  [dim]→ each model is followed with `mldr status MODEL`[/]")


def _follow(asked: Asked, deadline: float, *, quiet: bool) -> None:
    """Show each model's beginning and end once, until the region's execution has ended."""
    states, shown = asked.target.client("stepfunctions"), dict[str, Status]()
    watched = Watched(states, asked.target.execution("evacuate", asked.failover_id), quiet=quiet)
    lines: list[Planned | Refused] = []
    while True:
        watched.look()
        lines = lines or _lines(asked)
        if not quiet:
            _progress(asked, states, lines, shown)
        if watched.over(lambda: _evidence(asked) is not None):
            return
        if time.monotonic() > deadline:
            so_far = f"{sum(one in ENDED for one in shown.values())} of {len(lines)} models have ended"
            raise Ended(Exit.DOES_NOT_HOLD, f"{asked.failover_id} has not completed in time; {so_far}", LOST)
        time.sleep(POLL)


def _lines(asked: Asked) -> list[Planned | Refused]:
    kept = asked.target.sealed.read(work_key(asked.failover_id, "plan.json"))
    made = Draft.model_validate_json(kept) if kept else None
    return [*made.plan.planned, *made.rest] if made else []


def _progress(asked: Asked, states: Any, lines: Sequence[Planned | Refused], shown: dict[str, Status]) -> None:
    open_ = [one for one in lines if shown.get(str(one.model)) not in ENDED]
    for one in open_[:FOLLOWED]:
        name = str(one.model)
        execution = asked.target.execution("failover", recovery_id(asked.failover_id, one.model))
        _, found = newest_execution(states, execution)
        status = status_of(found) if found else None
        if status and status != shown.get(name):
            shown[name] = status
            err.print(f"{WORDS[status]} {name}")


def _evidence(asked: Asked) -> Evidence | None:
    return find_evidence(asked.target, region_key(asked.region), asked.failover_id)


def _finish(asked: Asked, as_json: bool) -> None:
    evidence = _evidence(asked)
    if evidence is None:
        raise Ended(Exit.DOES_NOT_HOLD, f"{asked.failover_id} ended without evidence", LOST)
    if as_json:
        shown = evidence.model_dump(mode="json", exclude={"model", "models"})
        models = [{**one.model_dump(mode="json"), "model": str(one.model)} for one in evidence.models]
        print_json({**shown, "of_region": asked.region, "models": models})
    else:
        _show(evidence)
    if evidence.outcome != "completed":
        raise Ended(Exit.DOES_NOT_HOLD, f"{evidence.outcome}: {evidence.reason}", "ask for what is missing again")


def _show(evidence: Evidence) -> None:
    if not evidence.models:
        out.print(f"[green]✓[/] nothing was to be moved to {evidence.region}: no model that it knows of is elsewhere")
        return
    rows = table("model", "outcome", "took", "reason")
    for one in sorted(evidence.models, key=_worst_first):
        colour = "green" if one.outcome == "completed" else "red"
        rows.add_row(str(one.model), f"[{colour}]{one.outcome}[/]", seconds(one.seconds), escape(one.reason))
    print_table(rows)


def _worst_first(one: ModelOutcome) -> tuple[bool, str]:
    return one.outcome == "completed", str(one.model)
