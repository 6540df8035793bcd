"""`mldr demo`: plays it, draws the report, writes report.json."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cli.demo.scene import HOME, MODEL, PARAMETERS
from cli.outcomes import Exit
from cli.output import AsJson, print_json, seconds

if TYPE_CHECKING:
    from cli.demo.report import Report
    from cli.demo.run import Demo

REPORT, LATENCY = HOME / "report.json", HOME / "latency.svg"


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the local cloud running afterwards, to look around; Ctrl-C ends it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Watch models survive the loss of their region, and come home, on this machine, in under three minutes.

    Trains a real classifier, serves it in ap-southeast-1, once for each tier, and approves it. Fails that region under
    a client's requests, watches ap-southeast-3 take over by itself, heals the region, and brings the models home. Needs
    no AWS account. The figures go to .mldr/demo/report.json, the latency of each request to .mldr/demo/latency.svg.

    [dim]$[/] mldr demo
    [dim]$[/] mldr demo --json 2>/dev/null | jq '.models[] | {tier, rto_seconds, floor}'

    Exit codes: 0 recovered, with equal answers and no call to the failed region or to a control plane elsewhere, and
    home again without a failed request; 1 not so.
    """
    console, began = Console(highlight=False, stderr=as_json), time.monotonic()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    said = ", ".join(f"{name}={value}" for name, value in PARAMETERS.items() if name != "CertificateArn")
    console.print(f"[bold]mldr demo[/]\n[dim]The stack runs with {said} and samplecfg/policy.yaml.[/]\n")
    # Imported here because scikit-learn takes a second to load, which no other command should cost.
    from cli.demo.run import Demo

    play = Demo(HOME.resolve(), console)
    try:
        report = _report(play, console)
        console.print(f"  [dim]figures: {REPORT}   latency: {LATENCY}[/]")
        console.print(f"  [dim]the whole demo took {seconds(time.monotonic() - began)}[/]\n")
        if as_json:
            print_json(report.model_dump(mode="json"))
        if keep:
            _keep(console)
    finally:
        play.close()
    if report.shortcomings:
        raise typer.Exit(int(Exit.DOES_NOT_HOLD))


def _report(play: Demo, console: Console) -> Report:
    """Play, and draw and write what came of it."""
    from cli.demo.picture import draw
    from cli.demo.plot import plot
    from cli.demo.report import compute

    seen = play.play()
    report = compute(seen)
    REPORT.write_text(json.dumps(report.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
    LATENCY.write_text(plot(report, seen), encoding="utf-8")
    draw(console, report, seen)
    return report


def _keep(console: Console) -> None:
    """Stay until Ctrl-C."""
    names = (
        "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "DNS_RESOLVER",
        "GATEWAY_TRANSPORT",
    )  # fmt: skip
    console.print("The local cloud stays until Ctrl-C. In another terminal:\n")
    for name in names:
        console.print(f"export {name}={os.environ[name]}", markup=False, soft_wrap=True)
    console.print(f"mldr status {MODEL.name}\n")
    with contextlib.suppress(KeyboardInterrupt):
        # Short naps: a wait without an end is not woken when the kernel gives Ctrl-C to another thread.
        while True:
            time.sleep(0.2)
