"""The report as people read it."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from cli.demo import strip
from cli.demo.report import Observed, Report, first_failed, first_lasting
from cli.demo.scene import ACTIVE, MODEL, STANDBY
from cli.output import seconds, size

WIDEST = 96
MEANINGS = {
    "detect": "from the first lost request to the decision: several vantage points, several rounds in a row",
    "decide": "claim the epoch, choose the newest sealed recovery point",
    "restore": "model, endpoint configuration and endpoint, from the vault",
    "warm": "golden requests, so that clients do not meet a cold model",
    "verify": "every golden answer reproduced",
    "switch": "flip the takeover switch: one conditional write",
    "confirm": "Route 53's checkers see the switch, DNS answers the standby, clients outside are served",
}


def draw(console: Console, report: Report, seen: Observed) -> None:
    """Print the whole report."""
    width = min(console.width, WIDEST)
    console.print()
    console.print(_headline(report), width=width)
    _timeline(console, report, seen, width - 4)
    console.print(_phases(report))
    console.print(_laws(report))
    console.print(Padding(_small_print(report), (1, 2)), width=width)


def _headline(report: Report) -> Panel:
    wrong = report.shortcomings
    if wrong:
        text = Text(f"{MODEL.name} was not recovered as it should be\n\n", "bold red")
        text.append("\n".join(f"✗ {sentence}" for sentence in wrong))
        return Panel(text, border_style="red", padding=(1, 3))
    text = Text(f"{MODEL.name} survived the loss of {ACTIVE}\n\n", "bold green")
    text.append("clients were without answers for  ").append(seconds(report.rto_seconds), "bold")
    text.append("   (RTO, first lost request to good answers that continue)\n", "dim")
    text.append("an approved version was safe after ").append(seconds(report.rpo_seconds), "bold")
    text.append("   (RPO, approval to sealed recovery point)\n", "dim")
    text.append("calls to the failed region         ").append(str(report.calls_to_failed_region), "bold")
    text.append("   and to remote control planes ").append(str(report.control_plane_calls), "bold")
    return Panel(text, border_style="green", padding=(1, 3))


def _timeline(console: Console, report: Report, seen: Observed, width: int) -> None:
    if not seen.requests:
        return
    start, end = max(seen.requests[0].at, seen.failed_at - 15), seen.requests[-1].ended
    columns = strip.slices(seen.requests, start, end, width)
    speed, top = strip.latency(columns)
    client = report.client
    console.print(
        Rule(
            f"[bold]the client's {client.requests} requests[/], {client.failed} of them failed",
            align="left",
            style="dim",
        ),
        width=width + 4,
    )
    console.print(Padding(strip.availability(columns), (0, 2)))
    for line in strip.marks(_moments(seen), start, end, width):
        console.print(Padding(Text(line, "dim"), (0, 2)))
    console.print(
        Padding(speed + Text(f"\nlatency, median per column; the highest is {top * 1000:.0f} ms", "dim"), (0, 2))
    )
    legend = Text()
    for name, label in (
        ("active", f"{ACTIVE} answers"),
        ("failed", "a request failed"),
        ("standby", f"{STANDBY} answers"),
    ):
        glyph, style = strip.STYLES[name]
        legend.append(f"{glyph} ", style).append(f"{label}   ", "dim")
    console.print(Padding(legend, (0, 2, 1, 2)))


def _moments(seen: Observed) -> list[tuple[float, str]]:
    lasting = first_lasting(seen.requests, seen.failed_at)
    failed = first_failed(seen.requests, seen.failed_at)
    outage = f"{ACTIVE} fails" if failed else f"{ACTIVE} fails, unnoticed"
    found = [
        (seen.failed_at, outage),
        (seen.asked.requested_at.timestamp(), "failover decided"),
        (seen.healed_at, "it heals"),
    ]
    return found + ([(lasting.ended, "good again")] if lasting else [])


def _phases(report: Report) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2), title="where the time went", title_justify="left")
    table.add_column("phase")
    table.add_column("took", justify="right")
    table.add_column("")
    table.add_column("what happened", style="dim", overflow="fold")
    longest = max((phase.seconds for phase in report.phases), default=1.0) or 1.0
    for phase in report.phases:
        bar = Text("█" * max(1, round(phase.seconds / longest * 20)), "cyan")
        table.add_row(phase.name, seconds(phase.seconds), bar, MEANINGS.get(phase.name, ""))
    return table


def _laws(report: Report) -> Padding:
    client, point = report.client, report.recovery_point
    table = Table.grid(padding=(0, 1))
    moved = f"answered by {client.region_before} before, by {client.region_after} after, also once it healed"
    equal = f"{client.good_before} good answers before, {client.good_after} after, each equal to the recorded one"
    calls, elsewhere = report.calls_to_failed_region, report.control_plane_calls
    rows = [
        (point.phase == "SEALED", f"{point.id} {point.phase}: {point.objects} objects, {size(point.bytes)}"),
        (client.answers_equal, equal),
        (client.region_before != client.region_after, moved),
        (calls == 0, f"{calls} API calls to {ACTIVE} from its failure to the evidence"),
        (
            elsewhere == 0,
            f"{elsewhere} calls to control planes elsewhere (Route 53 changes, IAM, bucket configuration)",
        ),
    ]
    for holds, sentence in rows:
        table.add_row(Text("✓", "green") if holds else Text("✗", "bold red"), sentence)
    return Padding(table, (1, 2, 0, 2))


def _small_print(report: Report) -> Text:
    said = ", ".join(f"{name}={value}" for name, value in report.parameters.items() if name != "CertificateArn")
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return Text(f"Run with the stack's own parameters {said}.\n{versions}", "dim")
