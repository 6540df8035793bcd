"""One picture of the race: seconds for each contestant, workload and phase."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from bench.tables import PHASES, Document, Row, folded, number

SERIES = {
    "mldr, warm": ("#1b7837", "o"),
    "mldr": ("#7fbf7b", "o"),
    "s5cmd": ("#2166ac", "s"),
    "rclone": ("#b35806", "^"),
    "aws s3 sync": ("#762a83", "D"),
}


def race(document: Document, path: Path) -> None:
    """Draw the medians, with a line from the least to the most, on a logarithmic scale."""
    found = folded(document, "workload", "phase", "contestant")
    workloads = list(dict.fromkeys(place[0] for place in found))
    figure, axes = pyplot.subplots(1, len(workloads), figsize=(4.4 * len(workloads), 4.2), sharey=True, squeeze=False)
    for axis, workload in zip(axes[0], workloads, strict=True):
        _panel(axis, workload, found)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(SERIES), frameon=False, fontsize=10)
    figure.suptitle("Bucket to bucket on one radosgw: seconds, less is better", fontsize=13)
    figure.tight_layout(rect=(0, 0.07, 1, 0.98))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _panel(axis: Axes, workload: str, found: dict[tuple[str, ...], Row]) -> None:
    for offset, (name, (colour, marker)) in enumerate(SERIES.items()):
        places = [(place, found[workload, phase, name]) for place, phase in _known(workload, name, found)]
        if not places:
            continue
        heights = [place + (offset - 2) * 0.16 for place, _ in places]
        middles = [row.seconds for _, row in places]
        reach = [[row.seconds - row.least for _, row in places], [row.most - row.seconds for _, row in places]]
        axis.errorbar(middles, heights, xerr=reach, fmt=marker, color=colour, markersize=6, elinewidth=1, label=name)
        for seconds, height, (_, row) in zip(middles, heights, places, strict=True):
            axis.annotate(number(seconds), (row.most, height), (6, -3), textcoords="offset points", fontsize=7.5)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.margins(x=0.18)
    axis.set_yticks(range(len(PHASES)), PHASES)
    axis.set_ylim(len(PHASES) - 0.45, -0.55)
    axis.set_title(workload, fontsize=11)
    axis.set_xlabel("seconds")
    axis.grid(axis="x", which="both", color="#e6e6e6", linewidth=0.6)
    axis.set_axisbelow(True)
    for boundary in range(1, len(PHASES)):
        axis.axhline(boundary - 0.5, color="#cccccc", linewidth=0.6)


def _known(workload: str, name: str, found: dict[tuple[str, ...], Row]) -> list[tuple[int, str]]:
    return [(place, phase) for place, phase in enumerate(PHASES) if (workload, phase, name) in found]
