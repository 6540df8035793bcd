"""`mldr runbook`: what to do when the region that serves a model fails, in that model's own names and commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import ModelName
from cli.outcomes import Exit, bad_input
from cli.output import AsJson, err, print_json
from cli.regions import Bus, Environment, Region, places
from cli.runbook_facts import Facts, gather
from cli.runbook_reasons import Ending
from cli.runbook_text import Reach, Section, endings, markdown, sections
from mldr.domain.identity import ModelKey

Output = Annotated[
    Path | None, typer.Option("--output", help="Write it to this file instead.", show_default=False, dir_okay=False)
]


def runbook(
    model: ModelName,
    output: Output = None,
    as_json: AsJson = False,
    region: Region = None,
    env: Environment = "prod",
    bus: Bus = "mldr",
) -> None:
    """Write a model's runbook, from its policy and tier and from what stands in the regions now.

    What happens by itself, what a person does, with which commands, how to know that it worked, how to fail back, what
    is allowed meanwhile, who is paged, and what to do about each way in which it can go wrong. Touches nothing.

    [dim]$[/] mldr runbook digits-classifier
    [dim]$[/] mldr runbook digits-classifier --output runbooks/digits-classifier.md

    Exit codes: 0 written, and the model could be recovered now, 1 written, but it could not (no sealed point, no name),
    or the model was never captured, 2 bad input, 3 the region that would take over cannot be read.
    """
    where = [replace(place, bus_name=bus) for place in places(region, env, others=True)]
    facts = gather(ModelKey.parse(model), where)
    written, wrong = sections(facts, Reach()), endings(facts)
    if output is not None:
        _write(output, markdown(facts, written, wrong))
    if as_json:
        print_json(described(facts, written, wrong))
    elif output is None:
        typer.echo(markdown(facts, written, wrong), nl=False)
    if not facts.recoverable:
        raise typer.Exit(int(Exit.DOES_NOT_HOLD))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise bad_input(f"{path} cannot be written: {error.strerror}") from error
    err.print(f"[green]✓[/] {path}")


def described(facts: Facts, written: list[Section], wrong: list[Ending]) -> dict[str, Any]:
    """Return the runbook as JSON shows it."""
    return {
        "model": str(facts.model),
        "tier": facts.rules.tier,
        "mode": facts.rules.failover.mode,
        "home": facts.home,
        "standby": facts.standby,
        "serving": facts.serving,
        "takes_over": facts.here,
        "recoverable": facts.recoverable,
        "troubles": facts.troubles,
        "recovery_point": facts.point.recovery_point if facts.point else None,
        "stands": [one.name for one in facts.stands],
        "pages": {region: list(who) for region, who in facts.pages.items()},
        "sections": [one.model_dump(mode="json") for one in written],
        "endings": [one._asdict() for one in wrong],
    }
