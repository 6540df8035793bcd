"""The report as people read it."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from cli.demo import strip
from cli.demo.report import ModelReport, Observed, Report, arrived_home, first_failed, first_lasting
from cli.demo.scene import ACTIVE, STANDBY
from cli.demo.traffic import Request, of_model
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
STRETCHES = {
    "before": "before",
    "first_after": "first 20",
    "standby": "standby",
    "going_home": "going home",
    "first_home": "home, first 20",
}
Moment = tuple[float, str]


def draw(console: Console, report: Report, seen: Observed) -> None:
    """Print the whole report."""
    width = min(console.width, WIDEST)
    console.print()
    console.print(_headline(report), width=width)
    console.print(_timeline(report, seen, width - 4), width=width)
    console.print(_latencies(report), width=width)
    for model in report.models:
        console.print(_phases(model), width=width)
    console.print(_floors(report), width=width)
    console.print(_laws(report), width=width)
    console.print(Padding(_small_print(report), (1, 2)), width=width)


def _headline(report: Report) -> Panel:
    wrong = report.shortcomings
    if wrong:
        text = Text("not all was as it should be\n\n", "bold red")
        text.append("\n".join(f"✗ {sentence}" for sentence in wrong), "red")
        return Panel(text, border_style="red", padding=(1, 3))
    figures = Table.grid(padding=(0, 2))
    figures.add_column(justify="right", style="bold", no_wrap=True)
    figures.add_column()
    for one in report.models:
        lost = "some of its requests were lost" if one.both else "without answers"
        took = f"{one.model}, {one.tier}: {lost}, from the first lost request to good ones that continue (RTO)"
        figures.add_row(seconds(one.rto_seconds), took)
    figures.add_row(
        seconds(max(one.rpo_seconds for one in report.models)),
        "from approval to a sealed, verified recovery point, at most (RPO)",
    )
    figures.add_row(str(report.calls_to_failed_region), "API calls to the failed region while they were recovered")
    figures.add_row(str(report.control_plane_calls), "calls to control planes elsewhere")
    figures.add_row(str(sum(one.failback.failed for one in report.models)), "failed requests on the way home")
    title = Text(f"{len(report.models)} models survived the loss of {ACTIVE}, and came home\n", "bold green")
    return Panel(Group(title, figures), border_style="green", padding=(1, 3))


def _timeline(report: Report, seen: Observed, width: int) -> RenderableType:
    if not seen.requests:
        return Text("the clients sent nothing", "red")
    start, end = max(seen.requests[0].at, seen.failed_at - 15), seen.requests[-1].ended
    lines: list[RenderableType] = []
    for one, course in zip(report.models, seen.courses, strict=True):
        columns = strip.slices(of_model(seen.requests, course.model), start, end, width)
        speed, top = strip.latency(columns)
        said = f"{one.model}, {one.tier}; median latency per column, the highest is {top * 1000:.0f} ms"
        lines += [Text(said, "dim"), strip.availability(columns), speed]
    marks = [Text(line, "dim") for line in strip.marks(common_moments(seen), start, end, width)]
    failed = sum(one.client.failed + one.failback.failed for one in report.models)
    title = f"[bold]the clients' {len(seen.requests)} requests[/], {failed} of them failed"
    body = Group(*lines, *marks, _legend())
    return Group(Rule(title, align="left", style="dim"), Padding(body, (0, 2, 1, 2)))


def _legend() -> Text:
    labels = {
        "active": f"{ACTIVE} answers", "standby": f"{STANDBY} answers", "both": "both answer", "failed": "one failed",
    }  # fmt: skip
    text = Text()
    for name, label in labels.items():
        glyph, style = strip.STYLES[name]
        text.append(f"{glyph} ", style).append(f"{label}   ", "dim")
    return text


def common_moments(seen: Observed) -> list[Moment]:
    """Return what happened to all models at once; times as in `Observed`."""
    lost = first_failed(seen.requests, seen.failed_at)
    outage = f"{ACTIVE} fails" if lost else f"{ACTIVE} fails, unnoticed"
    return [(seen.failed_at, outage), (seen.healed_at, "it heals"), (seen.home_asked_at, "failback asked")]


def moments_of(seen: Observed, requests: list[Request], requested_at: float, *, both: bool) -> list[Moment]:
    """Return what happened to one model, whose requests these are."""
    out = [request for request in requests if request.at < seen.home_asked_at]
    home = [request for request in requests if request.at >= seen.home_asked_at]
    lasting, arrived = first_lasting(out, seen.failed_at), arrived_home(home, both=both)
    found = [(requested_at, "failover decided")]
    found += [(lasting.ended, "good again")] if lasting else []
    return found + ([(arrived.at, "both again" if both else "home")] if arrived else [])


def _latencies(report: Report) -> RenderableType:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for label in STRETCHES.values():
        table.add_column(label, justify="right")
    for one in report.models:
        cells = [one.latency_ms[name] for name in STRETCHES]
        table.add_row(one.model, *("-" if cell.median is None else f"{cell.median:.0f}/{cell.p95 or 0:.0f}"
                                   for cell in cells))  # fmt: skip
    title = Rule("[bold]latency in ms[/], median/95 % of the good answers", align="left", style="dim")
    return Group(title, Padding(table, (0, 2, 1, 2)))


def _phases(model: ModelReport) -> RenderableType:
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    table.add_column("phase", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("one after the other", no_wrap=True)
    table.add_column("", style="dim")
    total = sum(phase.seconds for phase in model.phases) or 1.0
    begun = 0.0
    for phase in model.phases:
        left, right = (round(at / total * BAR) for at in (begun, begun + phase.seconds))
        bar = Text(" " * min(left, BAR - 1) + "█" * max(1, right - left), "cyan")
        table.add_row(phase.name, seconds(phase.seconds), bar, MEANINGS.get(phase.name, ""))
        begun += phase.seconds
    rest = (model.rto_seconds or 0.0) - begun
    when = f"{seconds(abs(rest))} {'after' if rest >= 0 else 'before'} the last phase ended"
    title = Rule(f"[bold]where the time went[/]: {model.model}, {model.tier}", align="left", style="dim")
    said = Text(f"together {seconds(begun)}; the clients had good answers {when}", "dim")
    return Group(title, Padding(Group(table, said), (0, 2)))


def _floors(report: Report) -> RenderableType:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("tier", no_wrap=True)
    for label in ("detect", "TTL", "endpoint", "floor", "RTO", "ratio", "with switch"):
        table.add_column(label, justify="right")
    for one in report.models:
        floor = one.floor
        ratios = (f"{ratio:.2f}" if ratio is not None else "-" for ratio in (floor.ratio, floor.with_switch))
        parts = (floor.detection, floor.ttl, floor.endpoint_start, floor.seconds, one.rto_seconds)
        table.add_row(one.tier, *(seconds(part) if part != 0 else "none" for part in parts), *ratios)
    switch = max(one.floor.switch for one in report.models)
    said = f"the switch: Route 53's checkers take up to {seconds(switch)} to see the takeover"
    if any(one.both for one in report.models):
        said += "; active-active waits for none: DNS itself leaves out the region that is down"
    note = Text(said, "dim")
    title = Rule("[bold]against the floor[/]: what it cannot take less than", align="left", style="dim")
    return Group(title, Padding(Group(table, note), (0, 2)))


def _laws(report: Report) -> Padding:
    table = Table.grid(padding=(0, 1))
    for one in report.models:
        for holds, sentence in _held(one):
            table.add_row(_mark(holds), sentence)
    calls, elsewhere, back = (
        report.calls_to_failed_region, report.control_plane_calls, report.failback_control_plane_calls,
    )  # fmt: skip
    rows = [
        (calls == 0, f"{calls} API calls to {ACTIVE} from its failure to the evidence"),
        (
            elsewhere == 0,
            f"{elsewhere} calls to control planes elsewhere (Route 53 changes, IAM, bucket configuration)",
        ),
        (back == 0, f"{back} of those during the failback: no record was edited"),
    ]
    for holds, sentence in rows:
        table.add_row(_mark(holds), sentence)
    return Padding(table, (1, 2, 0, 2))


def _held(one: ModelReport) -> list[tuple[bool, str]]:
    client, point, home = one.client, one.recovery_point, one.failback
    equal = f"{client.good_before} good answers before, {client.good_after} after, each equal to the recorded one"
    moved = f"answered by {client.region_before}, then by {client.region_after} until it was asked home"
    arrived = f"{'both again' if one.both else 'home'} in {seconds(home.seconds)}"
    way = f"{arrived}: {home.requests} requests since it was asked, {home.failed} failed"
    return [
        (
            point.phase == "SEALED",
            f"{one.model}: {point.id} {point.phase}, {point.objects} objects, {size(point.bytes)}",
        ),
        (client.answers_equal, f"{one.model}: {equal}"),
        (one.has_moved, f"{one.model}: {moved}"),
        (one.is_home, f"{one.model}: {way}"),
    ]


def _mark(holds: bool) -> Text:
    return Text("✓", "green") if holds else Text("✗", "bold red")


def _small_print(report: Report) -> Text:
    said = ", ".join(f"{name}={value}" for name, value in report.parameters.items() if name != "CertificateArn")
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return Text(f"Run with the stack's own parameters {said}.\n{versions}", "dim")
