"""`mldr policy`: is a policy file valid, and what does it promise each model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cli.monthly import PRICES, changed, read_prices
from cli.outcomes import Ended, Exit, bad_input
from cli.output import AsJson, err, out, print_json, print_table, table
from cli.regions import Environment, Place, look
from cli.unkept import unkept_in
from mldr.domain.durations import format_duration
from mldr.domain.model_rules import ModelRules
from mldr.domain.policy import Policy
from mldr.errors import BadPolicy

Compared = Annotated[
    str | None,
    typer.Option("--region", help="Compare it with what this region has onboarded and captured.", show_default=False),
]

WITHOUT_WITNESS = 2  # vantage points: Route 53's checkers and the other region

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="What every model is owed, in one YAML file.")


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="For example samplecfg/policy.yaml.", show_default=False)
    ],
    as_json: AsJson = False,
    region: Compared = None,
    env: Environment = "prod",
) -> None:
    """Validate a policy file whole; every mistake is named, with its line and what would be right.

    [dim]$[/] mldr policy check samplecfg/policy.yaml
    [dim]$[/] mldr policy check policy.yaml --region ap-southeast-3

    With a region it also says what the models there would not get: how long DNS needs, whether an endpoint scales to
    zero, and how many vantage points look, no file knows. And where the file changes what a model costs there, it says
    the month by the policy in force and by this one (`mldr cost` says of what).

    Exit codes: 0 valid, 1 valid, but a model would not get it, 2 mistakes or no such file, 3 the region is not reached.
    """
    mistakes, policy = _read(file)
    missed = _missed(policy, Place(region, env)) if policy and region else {}
    costs = _costs(policy, Place(region, env)) if policy and region else {}
    if as_json:
        found = {"valid": policy is not None, "mistakes": mistakes, "unkept": missed, "costs": costs}
        print_json({"file": str(file), **found})
    elif policy is None:
        err.print(f"[bold red]✗[/] {escape(str(file))}: {len(mistakes)} mistake{'s' if len(mistakes) != 1 else ''}")
        for mistake in mistakes:
            err.print(f"  {escape(mistake)}")
    else:
        _show(file, policy)
        for model, change in costs.items():
            out.print(f"{escape(model)} a month: {escape(change)}")
    if policy is None:
        raise typer.Exit(int(Exit.BAD_INPUT))
    if missed:
        told = "; ".join(f"{model}: {sentence}" for model, sentences in missed.items() for sentence in sentences)
        raise Ended(Exit.DOES_NOT_HOLD, told, "edit it, and check it again")


def _missed(policy: Policy, place: Place) -> dict[str, list[str]]:
    """Return what the models of a region would not get, by model."""

    def compare(there: Place) -> dict[str, list[str]]:
        return {str(model): list(unkept_in(there, model, policy)) for model in there.catalog.models()}

    found: dict[str, list[str]] = look([place], compare).answers[place.region]
    return {model: told for model, told in found.items() if told}


def _costs(policy: Policy, place: Place) -> dict[str, str]:
    """Return what the policy changes in what the models of a region cost a month; nothing where none is in force."""

    def compare(there: Place) -> dict[str, str]:
        try:
            in_force, _ = there.policies.load()
        except BadPolicy:
            return {}
        prices = read_prices(PRICES)
        return {str(model): changed(there, model, in_force, policy, prices) for model in there.catalog.models()}

    found: dict[str, str] = look([place], compare).answers[place.region]
    return {model: told for model, told in found.items() if told}


def _read(file: Path) -> tuple[list[str], Policy | None]:
    try:
        return [], Policy.parse(file.read_text(encoding="utf-8"))
    except BadPolicy as error:
        return list(error.mistakes), None
    except (OSError, UnicodeDecodeError) as error:
        raise bad_input(f"{file} cannot be read: {error}", "start from samplecfg/policy.yaml") from error


def _show(file: Path, policy: Policy) -> None:
    out.print(f"[green]✓[/] {escape(str(file))} is valid; regions {' and '.join(policy.regions)}")
    rows = table("models", "criticality", "tier", "RTO", "RPO", "kept", "failover")
    for entry in policy.models:
        rows.add_row(entry.match, *_row(entry.rules))
    rows.add_row("[dim]all others[/]", *_row(policy.defaults))
    print_table(rows)
    if any(rules.health.quorum > WITHOUT_WITNESS for rules in (policy.defaults, *(one.rules for one in policy.models))):
        out.print(f"[yellow]health.quorum {WITHOUT_WITNESS + 1} needs a WitnessHost in each stack; --region looks[/]")
    if policy.datasets:
        print_table(_datasets(policy))


def _datasets(policy: Policy) -> Table:
    rows = table("datasets", "source", "in", "every", "listed every", "kept", "digest")
    for name, rule in policy.datasets.items():
        kept = f"{format_duration(rule.retention.period)} {rule.retention.mode}"
        times = (format_duration(rule.every), format_duration(rule.reconcile))
        rows.add_row(name, escape(rule.uri), rule.region, *times, kept, rule.digest)
    return rows


def _row(rules: ModelRules) -> tuple[str, ...]:
    kept = f"{format_duration(rules.retention.period)} {rules.retention.mode}"
    return (
        rules.criticality,
        rules.tier,
        format_duration(rules.rto),
        format_duration(rules.rpo),
        kept,
        rules.failover.mode,
    )
