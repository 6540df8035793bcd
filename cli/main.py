"""The command `mldr`: its sub-commands, and how their refusals are told."""

from __future__ import annotations

from typing import Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from cli import (
    approve,
    cost,
    decisions,
    diff,
    epoch,
    failback,
    failover,
    local,
    policy,
    protect,
    restore_dataset,
    runbook,
    snapshot,
    snapshots,
    status,
    verify,
)
from cli.demo import command as demo
from cli.outcomes import EXIT_CODES, from_error
from cli.output import err


class Commands(TyperGroup):
    """Tells an operator what went wrong and what to do next; a traceback means a defect of ours."""

    def invoke(self, ctx: Any) -> Any:
        """Run the sub-command."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(130) from interrupt
        except Exception as error:
            if type(error).__module__.startswith("typer"):
                raise
            ended = from_error(error)
            err.print(f"[bold red]✗[/] {escape(str(ended))}")
            if ended.advice:
                err.print(f"  [dim]→ {escape(ended.advice)}[/]")
            raise typer.Exit(int(ended.exit_code)) from error


app = typer.Typer(
    name="mldr",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help=f"""Disaster recovery for machine-learning models on AWS.

The stack in the standby region does the work; this command asks it and shows what it knows. With
[bold]AWS_ENDPOINT_URL[/] set (see [bold]mldr local up[/]) it speaks to the local cloud, else to AWS.

{EXIT_CODES}""",
)
app.command("demo")(demo.demo)
app.add_typer(local.app, name="local")
app.command("status")(status.status)
app.command("protect")(protect.protect)
app.command("failover")(failover.failover)
app.command("failback")(failback.failback)
app.command("move")(failback.move)
app.command("epoch")(epoch.epoch)
app.command("approve")(approve.approve)
app.command("decisions")(decisions.decisions)
app.command("cost")(cost.cost_)
app.command("runbook")(runbook.runbook)
app.command("verify")(verify.verify)
app.command("snapshot")(snapshot.snapshot)
app.command("snapshots")(snapshots.snapshots)
app.command("restore-dataset")(restore_dataset.restore_dataset)
app.command("diff")(diff.diff)
app.add_typer(policy.app, name="policy")
