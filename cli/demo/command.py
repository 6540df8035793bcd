"""`mldr demo`: plays it, draws the report, writes report.json."""

from __future__ import annotations

import json
import shutil
import time
from typing import Annotated

import typer
from rich.markup import escape

from cli.demo.scene import HOME, PARAMETERS
from cli.outcomes import Ended, Exit
from cli.output import AsJson, err, out, print_json, seconds

REPORT = HOME / "report.json"


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the local cloud running afterwards, to look around; Ctrl-C ends it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Watch a model survive the loss of its region, on this machine, in under three minutes.

    Trains a real classifier, serves it in ap-southeast-1, approves it, fails that region under a client's requests, and
    watches ap-southeast-3 take over by itself. Needs no AWS account. The figures go to .mldr/demo/report.json.

    [dim]$[/] mldr demo
    [dim]$[/] mldr demo --json 2>/dev/null | jq .rto_seconds

    Exit codes: 0 recovered, with equal answers and no call that law 1 forbids; 1 not so.
    """
    # Imported here because scikit-learn and moto take seconds to load, which no other command should cost.
    from cli.demo.picture import draw
    from cli.demo.report import compute
    from cli.demo.run import Demo
    from cli.demo.screen import Screen

    console, began = err if as_json else out, time.monotonic()
    _prepare(as_json)
    with Screen(console) as screen:
        play = Demo(HOME.resolve(), screen)
        try:
            seen = play.play()
        except Ended as ended:
            raise Ended(ended.exit_code, f"{screen.act_name}: {ended}", ended.advice or f"logs: {play.logs}") from ended
        finally:
            if not keep:
                play.close()
    report = compute(seen)
    REPORT.write_text(json.dumps(report.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
    draw(console, report, seen)
    console.print(
        f"  [dim]figures: {escape(str(REPORT))}   the whole demo took {seconds(time.monotonic() - began)}[/]\n"
    )
    if as_json:
        print_json(report.model_dump(mode="json"))
    if report.shortcomings:
        raise typer.Exit(int(Exit.DOES_NOT_HOLD))


def _prepare(as_json: bool) -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    if not as_json:
        said = ", ".join(f"{name}={value}" for name, value in PARAMETERS.items() if name != "CertificateArn")
        out.print(f"[bold]mldr demo[/]  [dim]the stack runs with {said}; policy samplecfg/policy.yaml[/]\n")
