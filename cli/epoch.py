"""`mldr epoch`: who serves a model and why, as each region knows it; and the end of a claim that does not end."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer
from rich.markup import escape

from cli.executions import newest_execution
from cli.failover import ask, check_reason, conclude
from cli.options import ModelName, Timeout, Wait
from cli.outcomes import Ended, Exit, bad_input, unreachable
from cli.output import AsJson, out, print_json, print_table, table
from cli.regions import Bus, Environment, Place, Region, look, places, route_in, silence
from mldr.aws.workflows import status_of
from mldr.domain.failover import Epoch, Kind
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Leadership, Role, home_of, role
from mldr.ports.stack import Status


@dataclass(frozen=True)
class Known:
    """What one region knows."""

    claim: Epoch | None
    knowledge: Leadership
    role: Role
    work: Status | None
    onboarded: bool

    @property
    def open(self) -> bool:
        """Whether a claim has not concluded."""
        return self.claim is not None and not self.claim.concluded

    @property
    def explained(self) -> str:
        """What the region's claim is about, in words."""
        if self.claim is None:
            return "never claimed"
        claim = f"{self.claim.number} by {self.claim.failover_id}, {self.claim.claimed_at:%Y-%m-%d %H:%M:%S}"
        if self.claim.concluded:
            return f"{claim}: concluded"
        if self.work is Status.RUNNING:
            return f"{claim}: its execution runs"
        if self.work is None:
            return f"{claim}: open, its execution is not found; an hour after the claim it is told that it failed"
        return f"{claim}: open, and its execution died; within a minute it goes on, or is told to have failed"

    def described(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "role": self.role.model_dump(mode="json"),
            "claim": self.claim.model_dump(mode="json") if self.claim else None,
            "execution": self.work,
            **self.knowledge.model_dump(mode="json", exclude={"standing": {"route"}}),
        }


def epoch(
    model: ModelName,
    clear: Annotated[bool, typer.Option("--clear", help="End the open claim; its work is refused.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; with --clear it is kept in the evidence.")] = None,
    wait: Wait = False,
    timeout: Timeout = 120,
    as_json: AsJson = False,
    region: Region = None,
    env: Environment = "prod",
    bus: Bus = "mldr",
) -> None:
    """Say who serves a model, by which epoch, and which claims are open; or end a claim that hangs.

    [dim]$[/] mldr epoch digits-classifier
    [dim]$[/] mldr epoch digits-classifier --clear --reason "the endpoint has been Creating for an hour" --wait

    Clearing claims a newer epoch that nobody serves by. It switches nothing: who serves, serves on.

    Exit codes: 0 one region serves and no claim is open (with --clear: asked, or completed), 1 otherwise, 2 bad input,
    3 no region can be reached.
    """
    key = ModelKey.parse(model)
    where = places(region, env, others=not clear)
    looked = look(where, lambda place: _known(key, place))
    found: dict[str, Known] = looked.answers
    if not found:
        raise unreachable(f"no region answers; {silence(looked)}")
    if clear:
        place = _to_clear(key, reason, found, where)
        seen = found[place.region].claim
        clears = seen.failover_id if seen else None
        followed = ask(key, replace(place, bus_name=bus), Kind.CLEAR, reason or "", clears=clears)
        conclude(followed, wait=wait, timeout=timeout, as_json=as_json)
        return
    if not looked.silent and not any(one.onboarded for one in found.values()):
        advice = f"approve a version in the registry, or run `mldr protect {key.name}`"
        raise Ended(Exit.DOES_NOT_HOLD, f"{key} was never onboarded: no region takes it over", advice)
    _show(key, found, {name: str(ended) for name, ended in looked.silent.items()}, as_json)


def _to_clear(model: ModelKey, reason: str | None, found: dict[str, Known], where: list[Place]) -> Place:
    if not reason:
        raise bad_input("clearing needs a reason", 'add --reason "…"; it is kept in the evidence')
    check_reason(model, reason)
    claimed = [place for place in where if place.region in found and found[place.region].open]
    if len(claimed) == 1:
        return claimed[0]
    if claimed:
        raise bad_input(f"{model} has open claims in both regions", "say which one with --region")
    raise Ended(Exit.DOES_NOT_HOLD, f"no claim of {model} is open", f"look at `mldr epoch {model.name}`")


def _known(model: ModelKey, place: Place) -> Known:
    claim, knowledge = place.catalog.epoch(model), place.catalog.leadership(model)
    route = route_in(place, model, knowledge)
    home = home_of(place.region, knowledge, route)
    now = role(place.region, home, knowledge, now=dt.datetime.now(dt.UTC), drain=dt.timedelta(0))
    work = _work(place, claim.failover_id) if claim and not claim.concluded else None
    onboarded = bool(claim or route or knowledge.epoch)
    return Known(claim=claim, knowledge=knowledge, role=now, work=work, onboarded=onboarded)


def _work(place: Place, failover_id: str) -> Status | None:
    """Return how the newest execution for a claim stands."""
    _, found = newest_execution(place.client("stepfunctions"), place.execution("failover", failover_id))
    return status_of(found) if found else None


def _show(model: ModelKey, found: dict[str, Known], silent: dict[str, str], as_json: bool) -> None:
    serving = [name for name, one in found.items() if one.role.serving]
    beside = [name for name, one in found.items() if one.role.beside]
    if as_json:
        regions = {name: one.described() for name, one in found.items()}
        print_json({"model": str(model), "serving": serving, "beside": beside, "regions": regions, "silent": silent})
    else:
        rows = table("region", "who serves, as it knows", "its last claim")
        for name, one in found.items():
            rows.add_row(name, escape(one.role.reason), escape(one.explained))
        for name, why in silent.items():
            rows.add_row(name, escape(f"does not answer: {why}"), "")
        print_table(rows)
        if serving and beside:
            out.print(f"both regions answer: {serving[0]} holds the epoch, {beside[0]} answers beside it")
        out.print("[dim]the standby claims odd epochs, the home even ones; the highest that was flipped serves[/]")
    if any(one.open for one in found.values()):
        advice = f'if it hangs: `mldr epoch {model.name} --clear --reason "…"`'
        raise Ended(Exit.DOES_NOT_HOLD, f"a claim of {model} is open", advice)
    if len(serving) != 1:
        who = " and ".join(serving) or "no region that answers"
        advice = "the gateways learn of each other within ten seconds of a health check; look again"
        raise Ended(Exit.DOES_NOT_HOLD, f"{who} serves {model}, as far as each of them knows", advice)
