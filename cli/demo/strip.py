"""The client's traffic as one line of text: a column per time slice, its colour and glyph the outcome."""

from __future__ import annotations

from statistics import median

from rich.text import Text

from cli.demo.scene import ACTIVE
from cli.demo.traffic import Request

LEVELS = "▁▂▃▄▅▆▇█"
STYLES = {
    "active": ("█", "green"), "standby": ("▓", "cyan"), "both": ("▚", "magenta"), "failed": ("✗", "bold red"),
    "none": (" ", ""),
}  # fmt: skip


def slices(requests: list[Request], start: float, end: float, width: int) -> list[list[Request]]:
    """Return the requests sent in each of `width` equal time slices."""
    span = max(end - start, 1e-9)
    found: list[list[Request]] = [[] for _ in range(width)]
    for request in requests:
        if start <= request.at < end:
            found[min(width - 1, int((request.at - start) / span * width))].append(request)
    return found


def outcome(requests: list[Request]) -> str:
    """Return what a slice shows: one failure colours it, so that none is hidden."""
    if not requests:
        return "none"
    if not all(request.good for request in requests):
        return "failed"
    if len({request.region for request in requests}) > 1:
        return "both"
    return "active" if requests[-1].region == ACTIVE else "standby"


def availability(columns: list[list[Request]]) -> Text:
    """Return the line that shows who answered when."""
    text = Text()
    for column in columns:
        glyph, style = STYLES[outcome(column)]
        text.append(glyph, style)
    return text


def latency(columns: list[list[Request]]) -> tuple[Text, float]:
    """Return the line of the slices' median latencies, good answers only, and the highest of them in seconds."""
    medians = [median([r.seconds for r in column if r.good] or [0.0]) for column in columns]
    top = max(medians, default=0.0)
    text = Text()
    for value, column in zip(medians, columns, strict=True):
        level = LEVELS[min(len(LEVELS) - 1, int(value / top * len(LEVELS)))] if value and top else " "
        text.append(level, STYLES[outcome(column)][1])
    return text, top


def marks(events: list[tuple[float, str]], start: float, end: float, width: int) -> list[str]:
    """Return lines that point at moments below a strip; as many as it takes for no label to cover another."""
    span, lines = max(end - start, 1e-9), [""]
    for at, label in sorted(events):
        column = max(0, min(width - 1, int((at - start) / span * width)))
        text = f"▲ {label}"
        column = min(column, max(0, width - len(text)))
        line = next((i for i, line in enumerate(lines) if len(line) + 1 <= column or not line), None)
        if line is None:
            lines.append("")
            line = len(lines) - 1
        lines[line] = lines[line].ljust(column) + text
    return lines
