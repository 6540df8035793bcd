"""The report as people read it."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
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
BAR = 26
MEANINGS = {
    "detect": "several vantage points, several rounds in a row",
    "decide": "epoch claimed, newest sealed point chosen",
    "restore": "endpoint made from the vault, in service",
    "warm": "so that no client meets a cold model",
    "verify": "every golden answer reproduced",
    "switch": "one conditional write",
    "confirm": "Route 53 saw it; clients outside are served",
}


def draw(console: Console, report: Report, seen: Observed) -> None:
    """Print the whole report."""
    width = min(console.width, WIDEST)
    console.print()
    console.print(_headline(report), width=width)
    console.print(_timeline(report, seen, width - 4), width=width)
    console.print(_phases(report), width=width)
    console.print(_laws(report), width=width)
    console.print(Padding(_small_print(report), (1, 2)), width=width)


def _headline(report: Report) -> Panel:
    wrong = report.shortcomings
    if wrong:
        text = Text(f"{MODEL.name} was not recovered as it should be\n\n", "bold red")
        text.append("\n".join(f"✗ {sentence}" for sentence in wrong), "red")
        return Panel(text, border_style="red", padding=(1, 3))
    figures = Table.grid(padding=(0, 2))
    figures.add_column(justify="right", style="bold", no_wrap=True)
    figures.add_column()
    figures.add_row(
        seconds(report.rto_seconds), "without answers: first lost request to good answers that continue (RTO)"
    )
    figures.add_row(seconds(report.rpo_seconds), "from its approval to a sealed, verified recovery point (RPO)")
    figures.add_row(str(report.calls_to_failed_region), "API calls to the failed region while it was recovered")
    figures.add_row(str(report.control_plane_calls), "calls to control planes elsewhere")
    title = Text(f"{MODEL.name} survived the loss of {ACTIVE}\n", "bold green")
    return Panel(Group(title, figures), border_style="green", padding=(1, 3))


def _timeline(report: Report, seen: Observed, width: int) -> RenderableType:
    if not seen.requests:
        return Text("the client sent nothing", "red")
    start, end = max(seen.requests[0].at, seen.failed_at - 15), seen.requests[-1].ended
    columns = strip.slices(seen.requests, start, end, width)
    speed, top = strip.latency(columns)
    client = report.client
    title = f"[bold]the client's {client.requests} requests[/], {client.failed} of them failed"
    lines = [
        strip.availability(columns),
        *(Text(line, "dim") for line in strip.marks(_moments(seen), start, end, width)),
        speed,
        Text(f"latency, median per column; the highest is {top * 1000:.0f} ms", "dim"),
        _legend(),
    ]
    return Group(Rule(title, align="left", style="dim"), Padding(Group(*lines), (0, 2, 1, 2)))


def _legend() -> Text:
    labels = {"active": f"{ACTIVE} answers", "failed": "a request failed", "standby": f"{STANDBY} answers"}
    text = Text()
    for name, label in labels.items():
        glyph, style = strip.STYLES[name]
        text.append(f"{glyph} ", style).append(f"{label}   ", "dim")
    return text


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


def _phases(report: Report) -> RenderableType:
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    table.add_column("phase", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("one after the other", no_wrap=True)
    table.add_column("", style="dim")
    total = sum(phase.seconds for phase in report.phases) or 1.0
    begun = 0.0
    for phase in report.phases:
        left, right = (round(at / total * BAR) for at in (begun, begun + phase.seconds))
        bar = Text(" " * min(left, BAR - 1) + "█" * max(1, right - left), "cyan")
        table.add_row(phase.name, seconds(phase.seconds), bar, MEANINGS.get(phase.name, ""))
        begun += phase.seconds
    rest = (report.rto_seconds or 0.0) - begun
    when = f"{seconds(abs(rest))} {'after' if rest >= 0 else 'before'} the last phase ended"
    title = Rule("[bold]where the time went[/]", align="left", style="dim")
    said = Text(f"together {seconds(begun)}; the client had good answers {when}", "dim")
    return Group(title, Padding(Group(table, said), (0, 2)))


def _laws(report: Report) -> Padding:
    client, point = report.client, report.recovery_point
    table = Table.grid(padding=(0, 1))
    moved = f"answered by {client.region_before} before, by {client.region_after} after, also once it healed"
    equal = f"{client.good_before} good answers before, {client.good_after} after, each equal to the recorded one"
    calls, elsewhere = report.calls_to_failed_region, report.control_plane_calls
    rows = [
        (point.phase == "SEALED", f"{point.id} {point.phase}: {point.objects} objects, {size(point.bytes)}"),
        (client.answers_equal, equal),
        (report.has_moved, moved),
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
