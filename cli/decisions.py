"""`mldr decisions`: what was decided about a model's health, round by round, and why."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from cli.options import ModelName
from cli.outcomes import Exit
from cli.output import AsJson, err, moment, out, print_json, print_table, table
from cli.regions import Environment, Place, Region, look, places, silence
from mldr.domain.approvals import Approval
from mldr.domain.health import Action, Decided
from mldr.domain.identity import ModelKey

COLOURS = {"healthy": "green", "unhealthy": "red", "unknown": "yellow"}
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many lines of each region, the newest ones.")]


def decisions(
    model: ModelName, limit: Limit = 20, as_json: AsJson = False, region: Region = None, env: Environment = "prod"
) -> None:
    """Show what was decided about a model's health, also the decisions not to act, and the reason of each.

    [dim]$[/] mldr decisions digits-classifier
    [dim]$[/] mldr decisions digits-classifier --json | jq '.decisions[] | select(.action != "none")'

    Rounds in a row that rest on the same are one line. Lines are kept for a month. Either region may have some: each
    watches what the other one serves.

    Exit codes: 0 there are some, 1 nobody watched the model, 2 bad input, 3 no catalog could be read.
    """
    key = ModelKey.parse(model)
    looked = look(places(region, env), lambda place: (_lines(place, key, limit), place.decisions.approval(key)))
    lines = [(where, line) for where, (found, _) in looked.answers.items() for line in found]
    lines.sort(key=lambda one: one[1].at, reverse=True)
    asked = {where: approval for where, (_, approval) in looked.answers.items() if approval}
    if as_json:
        shown = [{"region": where, **line.model_dump(mode="json")} for where, line in lines]
        told = [{"region": where, **_told(approval)} for where, approval in asked.items()]
        print_json({"model": str(key), "decisions": shown, "approvals": told})
    else:
        _show(key, lines, asked)
        if looked.silent:
            err.print(f"[yellow]![/] {escape(silence(looked))}")
    if not lines:
        raise typer.Exit(int(Exit.DOES_NOT_HOLD))


def _lines(place: Place, model: ModelKey, limit: int) -> list[Decided]:
    """Return the newest lines; one that still goes on has its rounds in what is remembered of the last one."""
    found = place.decisions.newest(model, limit)
    last = (place.catalog.health(model).decided, place.survivors.of(model).decided)
    going_on = {line.at: line for line in last if line}
    return [going_on.get(line.at, line) for line in found]


def _told(approval: Approval) -> dict[str, Any]:
    return approval.model_dump(mode="json", exclude={"digest"})


def _show(model: ModelKey, lines: list[tuple[str, Decided]], asked: dict[str, Approval]) -> None:
    if not lines:
        out.print(f"nobody watched {model}: it has no name that could be switched, or nothing was captured yet")
        return
    rows = table("from", "rounds", "in", "verdict", "what", "reason")
    for where, line in lines:
        colour = COLOURS[line.verdict]
        what = line.why if line.action is Action.NONE else f"[bold]{line.action}[/]"
        verdict = f"[{colour}]{line.verdict}[/]"
        rows.add_row(moment(line.at), str(line.rounds), where, verdict, what, escape(line.reason))
    print_table(rows)
    for where, approval in asked.items():
        out.print(f"{where} asked for an approval at {moment(approval.asked_at)}: {_state(approval)}")


def _state(approval: Approval) -> str:
    if approval.used_at:
        return f"given by {escape(approval.used_by)} at {moment(approval.used_at)}, failover {approval.failover_id}"
    if approval.withdrawn:
        return f"withdrawn, {escape(approval.withdrawn)}"
    return f"it can be given until {moment(approval.expires_at)}"
