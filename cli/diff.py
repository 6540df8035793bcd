"""`mldr diff`: what two snapshots of a dataset do not share."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Annotated, Any

import typer
from rich.markup import escape

from cli import datasets
from cli.outcomes import Exit, bad_input
from cli.output import AsJson, out, print_json, size
from cli.regions import Environment, Region, places
from mldr.domain.snapshots import Changed, compare

SIGNS = {"added": "[green]+[/]", "removed": "[red]-[/]", "changed": "[yellow]~[/]"}

Snapshot = Annotated[str, typer.Argument(help="The id of a snapshot; see `mldr snapshots`.", show_default=False)]


def diff(
    before: Snapshot,
    after: Snapshot,
    lines: Annotated[int, typer.Option(help="Names to show; all are counted.", min=0)] = 100,
    as_json: AsJson = False,
    region: Region = None,
    env: Environment = "prod",
) -> None:
    """Show which objects were added, removed or changed between two snapshots; shards that both share are not read.

    [dim]$[/] mldr diff 20261123T083000Z-87aa0c21 20261123T093000Z-1c1780d6

    Exit codes: 0 they hold the same, 1 they differ, 2 bad input, 3 a region cannot be reached.
    """
    where = places(region, env)
    place, one = datasets.find(before, where)
    other_place, other = datasets.find(after, where)
    if one.dataset != other.dataset or place.region != other_place.region:
        sides = f"{one.dataset} in {place.region} and {other.dataset} in {other_place.region}"
        raise bad_input(f"the snapshots are of {sides}", "name two of one dataset")
    manifests = [datasets.manifest(place, record).shards for record in (one, other)]
    found = compare(manifests[0], manifests[1], lambda ref: datasets.lines(place, ref))
    shown: list[Changed] = []
    counts = Counter(changed.kind for changed in _kept(found, shown, lines))
    if as_json:
        print_json({"dataset": one.dataset, "before": before, "after": after, **_told(counts, shown)})
    else:
        _show(counts, shown)
    if counts:
        raise typer.Exit(int(Exit.DOES_NOT_HOLD))


def _kept(found: Any, shown: list[Changed], lines: int) -> Any:
    """Pass everything on, and keep the first of it to be shown."""
    for changed in islice(found, lines):
        shown.append(changed)
        yield changed
    yield from found


def _told(counts: Counter[str], shown: list[Changed]) -> dict[str, Any]:
    rows = [
        {
            "name": changed.name,
            "what": changed.kind,
            "bytes_before": changed.before.size if changed.before else None,
            "bytes_after": changed.after.size if changed.after else None,
        }
        for changed in shown
    ]
    return {**{kind: counts[kind] for kind in SIGNS}, "lines": rows, "all_lines": len(shown) == counts.total()}


def _show(counts: Counter[str], shown: list[Changed]) -> None:
    for changed in shown:
        sizes = [size(entry.size) for entry in (changed.before, changed.after) if entry]
        out.print(f"{SIGNS[changed.kind]} {escape(changed.name)}  [dim]{' → '.join(sizes)}[/]")
    if counts.total() > len(shown):
        out.print(f"[dim]… and {counts.total() - len(shown)} more; --lines shows them[/]")
    out.print(", ".join(f"{counts[kind]} {kind}" for kind in SIGNS))
