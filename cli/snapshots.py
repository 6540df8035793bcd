"""`mldr snapshots`: which snapshots there are, and until when they can be restored."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer
from rich.markup import escape

from cli import datasets
from cli.outcomes import Exit
from cli.output import AsJson, err, moment, out, phase, print_json, print_table, size, table
from cli.regions import Environment, Place, Region, look, places, silence
from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import SnapshotRecord

Dataset = Annotated[
    str | None, typer.Argument(metavar="[DATASET]", help="Without it: the newest of each.", show_default=False)
]


def snapshots(
    dataset: Dataset = None, as_json: AsJson = False, region: Region = None, env: Environment = "prod"
) -> None:
    """List the snapshots of a dataset, the newest first, or the newest of every dataset.

    [dim]$[/] mldr snapshots transactions
    [dim]$[/] mldr snapshots transactions --json | jq -r '.snapshots[0].snapshot'

    Exit codes: 0 the newest one can be restored (without DATASET: of every dataset), 1 it cannot, 2 no such name or
    region, 3 no catalog could be read.
    """
    if dataset is not None:
        datasets.check_name(dataset)
    looked = look(places(region, env), lambda place: _records(dataset, place))
    found = [(where, record) for where, records in looked.answers.items() for record in records]
    if as_json:
        shown = [datasets.described(record, where) for where, record in found]
        print_json({"snapshots": shown, "not_observed": {name: str(why) for name, why in looked.silent.items()}})
    else:
        _show(found, dataset)
        if looked.silent:
            err.print(f"[yellow]![/] {escape(silence(looked))}")
    if not _restorable([record for _, record in found]):
        raise typer.Exit(int(Exit.DOES_NOT_HOLD))


def _records(dataset: str | None, place: Place) -> list[SnapshotRecord]:
    if dataset is not None:
        return list(place.datasets.records(dataset))
    newest = (next(place.datasets.records(name), None) for name in place.datasets.names())
    return [record for record in newest if record]


def _restorable(records: list[SnapshotRecord]) -> bool:
    """Whether the newest that is over of every dataset can be restored; one that runs says nothing yet."""
    now = dt.datetime.now(dt.UTC)
    newest: dict[str, SnapshotRecord] = {}
    for record in records:
        if record.over:
            newest.setdefault(record.dataset, record)
    known = {record.dataset for record in records}
    return bool(known) and known == set(newest) and all(record.restorable(now) for record in newest.values())


def _show(found: list[tuple[str, SnapshotRecord]], dataset: str | None) -> None:
    if not found:
        what = f"a snapshot of {escape(dataset)}" if dataset else "a dataset with a snapshot"
        out.print(f"there is not yet {what}; `mldr snapshot DATASET` takes one")
        return
    rows = table("dataset", "kept in", "phase", "snapshot", "as of", "by", "holds", "changes", "can be restored until")
    for region, record in found:
        held = f"{record.objects} objects, {size(record.bytes)}" if record.objects else "-"
        until = moment(record.kept_until) if record.phase is Phase.SEALED else escape(record.reason)
        place = (record.dataset, region, phase(record.phase), record.snapshot)
        rows.add_row(*place, moment(record.as_of), record.how.value, held, _changes(record), until)
    print_table(rows)


def _changes(record: SnapshotRecord) -> str:
    """What is different from the one before, and how much of that no event had told of."""
    found = record.difference
    if found is None:
        return "-"
    least = "" if found.counted else "at least "
    missed = f", [yellow]{found.missed} untold[/]" if found.missed else ""
    return f"{least}+{found.added} -{found.removed} ~{found.changed}{missed}"
