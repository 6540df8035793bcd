"""Tables from results: the same rows for the terminal and for the documents."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from bench.copy.race import CHANGED, FIRST, TOLD, UNCHANGED

Document = dict[str, Any]
MISSING = "-"
PHASES = (FIRST, UNCHANGED, CHANGED)
PEERS = ("s5cmd", "rclone", "aws s3 sync")
ENGINE = ("mldr", "mldr, warm")
PLAIN, PARTS = "s5cmd, bucket without versions", ("mldr, in parts", "mldr, in parts, warm")


class Table(NamedTuple):
    """A title, the heads of the columns, and the rows."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return the table as Markdown, numbers to the right."""
        rule = [":--", *("--:" for _ in self.heads[1:])]
        lines = [self.heads, rule, *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


class Row(NamedTuple):
    """What the rounds of one contestant in one phase come to."""

    seconds: float
    least: float
    most: float
    cpu: float
    peak_mib: float
    requests: float
    parts: bool
    complete: bool
    rounds: int

    @property
    def spread(self) -> str:
        """Return the median with the least and the most."""
        return f"{number(self.seconds)} ({number(self.least)} to {number(self.most)})"


def number(value: float) -> str:
    """Return a figure with three digits that count."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def folded(document: Document, *keys: str) -> dict[tuple[str, ...], Row]:
    """Return the medians of all samples that agree in some fields."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for sample in document["samples"]:
        groups.setdefault(tuple(sample[key] for key in keys), []).append(sample)
    return {place: _row(samples) for place, samples in groups.items()}


def _row(samples: list[dict[str, Any]]) -> Row:
    def middle(name: str) -> float:
        return statistics.median(sample[name] for sample in samples)

    seconds = [sample["seconds"] for sample in samples]
    return Row(
        seconds=middle("seconds"),
        least=min(seconds),
        most=max(seconds),
        cpu=middle("cpu"),
        peak_mib=max(sample["peak_mib"] for sample in samples),
        requests=middle("requests"),
        parts=any("part" in sample["kinds"] for sample in samples),
        complete=all(sample.get("complete", True) for sample in samples),
        rounds=len(samples),
    )


def ratios(document: Document) -> Table:
    """Return, for each workload and phase, mldr against the fastest peer: above 1.0 mldr is ahead."""
    found = folded(document, "workload", "phase", "contestant")
    rows = [_ratio(found, workload, phase) for workload in _workloads(document) for phase in PHASES]
    heads = (
        "copy",
        "fastest peer",
        "its s",
        "mldr, warm, s",
        "ratio",
        "mldr with its start, s",
        "ratio",
        "told by events, s",
        "ratio",
    )
    return Table("mldr against the fastest peer (ratio above 1: mldr is ahead)", heads, rows)


def _ratio(found: dict[tuple[str, ...], Row], workload: str, phase: str) -> list[str]:
    peers = {name: found[workload, phase, name].seconds for name in PEERS if (workload, phase, name) in found}
    name = min(peers, key=lambda peer: peers[peer], default=MISSING)
    best = peers.get(name)
    cells = [f"{workload}, {phase}", name, number(best) if best else MISSING]
    for contestant in ("mldr, warm", "mldr", f"mldr, warm{TOLD}"):
        row = found.get((workload, phase, contestant))
        cells += [number(row.seconds), number(best / row.seconds)] if row and best else [MISSING, MISSING]
    return cells


def copies(document: Document) -> Table:
    """Return every contestant in every phase."""
    found = folded(document, "workload", "phase", "contestant")
    counts = {sample["workload"]: sample["objects"] for sample in document["samples"]}
    order = sorted(
        found, key=lambda place: (_workloads(document).index(place[0]), PHASES.index(place[1]), found[place].seconds)
    )
    rows = [_copy(place, found[place], counts[place[0]]) for place in order]
    heads = (
        "copy",
        "contestant",
        "s: median (least to most)",
        "CPU s",
        "CPU ms per request",
        "requests",
        "per object",
        "peak MiB",
        "bytes",
        "rounds",
    )
    return Table("Every contestant: medians of the rounds", heads, rows)


def _copy(place: tuple[str, ...], row: Row, objects: int) -> list[str]:
    workload, phase, contestant = place
    mark = "" if row.complete else " (incomplete)"
    return [
        f"{workload}, {phase}",
        contestant + mark,
        row.spread,
        number(row.cpu),
        number(1000 * row.cpu / row.requests) if phase == FIRST else MISSING,
        f"{row.requests:,.0f}",
        f"{row.requests / objects:.3f}",
        f"{row.peak_mib:.0f}",
        MISSING if phase == UNCHANGED else "moved" if row.parts else "shared",
        str(row.rounds),
    ]


def correctness(document: Document) -> Table:
    """Return what every contestant keeps and loses."""
    verdicts = {sample["contestant"]: sample["verdicts"] for sample in document["samples"]}
    names = list(dict.fromkeys(name for found in verdicts.values() for name in found))
    rows = [[name, *(_loud(found.get(name, MISSING)) for found in verdicts.values())] for name in names]
    return Table("What arrives", ("", *verdicts), rows)


def _loud(verdict: str) -> str:
    return verdict if verdict.startswith("kept") else f"**{verdict}**"


def snapshots(document: Document) -> Table:
    """Return the snapshots of one dataset."""
    heads = ("snapshot", "contestant", "files", "s", "s per 1,000 files", "CPU s", "requests", "peak MiB")
    order = {phase: place for place, phase in enumerate(("first snapshot", UNCHANGED, CHANGED, "verified"))}
    samples = sorted(document["samples"], key=lambda sample: order[sample["phase"]])
    rows = [
        [
            sample["phase"],
            sample["contestant"],
            f"{sample['files']:,}",
            number(sample["seconds"]),
            number(1000 * sample["seconds"] / sample["files"]),
            number(sample["cpu"]),
            f"{sample['requests']:,}",
            f"{sample['peak_mib']:.0f}",
        ]
        for sample in samples
    ]
    return Table("Snapshots of a dataset of small files", heads, rows)


def memory(document: Document) -> Table:
    """Return what the planner takes at several sizes."""
    what = {"first": "plan", "seal": "write the sealed lines", "again": "plan again, 1 % changed"}
    heads = ("step", "objects", "peak MiB", "CPU s", "CPU µs per object", "shards", "parts")
    rows = [
        [
            what[sample["verb"]],
            f"{sample['count']:,} of {size(sample['size'])}",
            f"{sample['peak_mib']:.0f}",
            number(sample["cpu"]),
            number(1e6 * sample["cpu"] / sample["count"]),
            f"{sample.get('shards', 0):,}" if "shards" in sample else MISSING,
            f"{sample.get('parts', 0):,}" if "parts" in sample else MISSING,
        ]
        for sample in document["samples"]
    ]
    return Table("The planner, measured in fresh processes", heads, rows)


def size(value: float) -> str:
    """Return a size in bytes as people say it."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MiB", 1024**2), ("KiB", 1024)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.0f} bytes"


def scale(document: Document) -> Table:
    """Return what a transfer would take on AWS, by simulation."""
    heads = (
        "simulated",
        "sealed after",
        "inventory",
        "copying",
        "bound by",
        "functions run",
        "transitions",
        "requests",
        "$ requests and compute",
        "$ transfer",
    )
    rows = [_simulated(case) for case in document.get("simulated", ())]
    return Table("On AWS, simulated", heads, rows)


def _simulated(case: dict[str, Any]) -> list[str]:
    dollars = dict(case["dollars"])
    transfer = dollars.pop("transfer between regions")
    return [
        case["name"],
        duration(case["total_seconds"]),
        duration(case["seconds"]["inventory"]),
        duration(case["seconds"]["copying"]),
        case["bound"],
        f"{case['items']:,}",
        f"{case['transitions']:,}",
        f"{sum(case['requests'].values()):,}",
        f"{sum(dollars.values()):.2f}",
        f"{transfer:.2f}",
    ]


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def limits(document: Document) -> Table:
    """Return the numbers that the simulation works with."""
    rows = [[name, f"{value:g} {unit}", source] for name, (value, unit, source) in document.get("limits", {}).items()]
    rows += [
        [name.replace("_", " "), f"{value:g}", "the product"] for name, value in document.get("engine", {}).items()
    ]
    return Table("What the simulation works with", ("limit", "value", "from"), rows)


def client(document: Document) -> Table:
    """Return what a request costs this process, by client; results hold (CPU, wall) milliseconds."""
    heads = ("request", "threads", "boto3, CPU ms", "mldr, CPU ms", "ratio", "boto3, wall ms", "mldr, wall ms")
    rows = [
        [
            row["work"],
            str(row["threads"]),
            number(row["boto3"][0]),
            number(row["wire"][0]),
            number(row["boto3"][0] / row["wire"][0]),
            number(row["boto3"][1]),
            number(row["wire"][1]),
        ]
        for row in document["samples"]
    ]
    return Table("One request: boto3 against mldr's own client", heads, rows)


def cold_start(document: Document) -> Table:
    """Return the CPU time of cold starts."""
    rows = [[row["function"], f"{row['cpu_ms']:.0f}", number(row["ratio"])] for row in document["samples"]]
    return Table(f"Cold starts (budget: {document.get('budget', MISSING)})", ("function", "CPU ms", "ratio"), rows)


def _workloads(document: Document) -> list[str]:
    return list(dict.fromkeys(sample["workload"] for sample in document["samples"]))


MAKERS: dict[str, Iterable[Callable[[Document], Table]]] = {
    "copy": (ratios, copies),
    "correctness": (correctness,),
    "snapshots": (snapshots,),
    "scale": (memory, scale, limits),
    "client": (client,),
    "cold_start": (cold_start,),
}
