"""The latency of every request before, during and after, as a picture: one SVG file that any browser shows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from xml.sax.saxutils import escape

from cli.demo.picture import Moment, common_moments, moments_of
from cli.demo.report import Observed, Report
from cli.demo.scene import ACTIVE, STANDBY
from cli.demo.traffic import Request, of_model

WIDTH, LEFT, RIGHT = 1200, 76, 24
TOP, PANEL, GAP, FOOT = 84, 210, 66, 64
LOST = 16  # pixels at the top of a panel, for requests without an answer
SLOWEST, QUICKEST = 10_000.0, 1.0  # ms, the ends of the axis
LINES = (1, 10, 100, 1000, 10_000)
COLOURS = {ACTIVE: "#2e9e4f", STANDBY: "#1f7ad1"}
FAILED, INK, FAINT = "#d6293e", "#333333", "#dddddd"


def plot(report: Report, seen: Observed) -> str:
    """Return the SVG: a panel per model, its requests as dots by the region that answered."""
    start, end = _span(seen)
    height = TOP + len(seen.courses) * (PANEL + GAP) + FOOT - GAP
    parts = [_head(height, report)]
    for number, (one, course) in enumerate(zip(report.models, seen.courses, strict=True)):
        requests = of_model(seen.requests, course.model)
        moments = moments_of(seen, requests, course.asked.requested_at.timestamp(), both=one.both)
        top = TOP + number * (PANEL + GAP)
        parts.append(_panel(f"{one.model}, {one.tier}", top, start, end))
        parts.append(_moments([*common_moments(seen), *moments], top, start, end))
        parts.extend(_dots(requests, top, start, end))
    parts.append(_seconds_axis(start, end, seen.failed_at, height))
    return "\n".join([*parts, "</svg>\n"])


def _span(seen: Observed) -> tuple[float, float]:
    times = [request.at for request in seen.requests] or [seen.failed_at]
    return max(min(times), seen.failed_at - 20), max(times) + 1


def _head(height: int, report: Report) -> str:
    failed = sum(one.failback.failed for one in report.models)
    way = f"{ACTIVE} fails, {STANDBY} serves, and home again ({failed} failed on the way)"
    title = f"Latency of each request: {way}; time since it failed"
    keys = [(COLOURS[ACTIVE], f"{ACTIVE} answered"), (COLOURS[STANDBY], f"{STANDBY} answered"), (FAILED, "failed")]
    legend = "".join(
        f'<circle cx="{LEFT + 6 + number * 210}" cy="47" r="4" fill="{colour}"/>'
        f'<text x="{LEFT + 16 + number * 210}" y="51">{escape(label)}</text>'
        for number, (colour, label) in enumerate(keys)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12" fill="{INK}">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n'
        f'<text x="{LEFT}" y="26" font-size="16">{escape(title)}</text>{legend}'
    )


def _x(at: float, start: float, end: float) -> float:
    return LEFT + (at - start) / max(end - start, 1e-9) * (WIDTH - LEFT - RIGHT)


def _y(milliseconds: float, top: int) -> float:
    inside = min(max(milliseconds, QUICKEST), SLOWEST)
    share = math.log(inside / QUICKEST) / math.log(SLOWEST / QUICKEST)
    return top + PANEL - share * (PANEL - LOST)


def _panel(title: str, top: int, start: float, end: float) -> str:
    left, right = _x(start, start, end), _x(end, start, end)
    grid = "".join(
        f'<line x1="{left:.0f}" x2="{right:.0f}" y1="{_y(ms, top):.1f}" y2="{_y(ms, top):.1f}" stroke="{FAINT}"/>'
        f'<text x="{LEFT - 8}" y="{_y(ms, top) + 4:.1f}" text-anchor="end">{_span_of(ms)}</text>'
        for ms in LINES
    )
    return f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{escape(title)}</text>{grid}'


def _span_of(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds // 1000} s"


def _moments(moments: Iterable[Moment], top: int, start: float, end: float) -> str:
    """Return lines with their names below the panel; neighbours are written at different heights."""
    parts = []
    for number, (at, label) in enumerate(sorted(moments)):
        x, under = _x(at, start, end), top + PANEL + 14 + 13 * (number % 3)
        anchor = "end" if x > WIDTH - 160 else "start"
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{under - 9}" stroke="{INK}" stroke-dasharray="3 3"/>'
            f'<text x="{x + (3 if anchor == "start" else -3):.1f}" y="{under}" font-size="11" '
            f'text-anchor="{anchor}">{escape(label)}</text>'
        )
    return "".join(parts)


def _dots(requests: Iterable[Request], top: int, start: float, end: float) -> Iterable[str]:
    for request in requests:
        if not start <= request.at <= end:
            continue
        x = _x(request.at, start, end)
        if request.good:
            colour = COLOURS.get(request.region or "", INK)
            yield f'<circle cx="{x:.1f}" cy="{_y(request.seconds * 1000, top):.1f}" r="2" fill="{colour}"/>'
        else:
            yield f'<path d="M{x - 2:.1f} {top + 2}l4 6m0 -6l-4 6" stroke="{FAILED}" fill="none"/>'


def _seconds_axis(start: float, end: float, failed_at: float, height: int) -> str:
    first = math.ceil((start - failed_at) / 20) * 20
    ticks = range(first, int(end - failed_at) + 1, 20)
    return "".join(
        f'<text x="{_x(failed_at + tick, start, end):.1f}" y="{height - 10}" text-anchor="middle">{tick} s</text>'
        for tick in ticks
    )
