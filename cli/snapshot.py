"""`mldr snapshot`: ask the standby for a snapshot of a dataset, and watch it being sealed."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.markup import escape

from cli import datasets
from cli.options import Timeout, Wait
from cli.outcomes import Ended, Exit
from cli.output import AsJson, out, print_json
from cli.progress import Ticker, progress_of, told
from cli.regions import Bus, Environment, Place, Region, places
from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import SnapshotRecord
from mldr.domain.transfers import owner_of
from mldr.events.detail_types import SNAPSHOT_REQUESTED

POLL = 1.0  # seconds
LOST = (
    "look into the queues mldr-<env>-snapshot and mldr-<env>-snapshot-dlq, and at the state machine mldr-<env>-snapshot"
)

Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset of the policy.", show_default=False)]


def snapshot(
    dataset: Dataset,
    wait: Wait = False,
    listing: Annotated[
        bool, typer.Option("--listing", help="List the whole bucket, whatever storage events have told.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; it stands in the snapshot's record.")] = "asked for by hand",
    timeout: Timeout = 3600,
    as_json: AsJson = False,
    region: Region = None,
    env: Environment = "prod",
    bus: Bus = "mldr",
) -> None:
    """Ask for a snapshot of a dataset as it is now, besides those that the policy takes by itself.

    [dim]$[/] mldr snapshot transactions --wait

    While one is running, the next one follows it. `Dataset Snapshot Requested` is put on the standby's bus; this
    command does none of the work.

    Exit codes: 0 sealed (without --wait: asked), 1 failed or not sealed in time, 2 bad input, 3 a region cannot be
    reached.
    """
    place = datasets.keeper(dataset, places(region, env, others=True), region, bus)
    before = {record.snapshot for record in place.datasets.records(dataset)}
    place.bus.put(SNAPSHOT_REQUESTED, {"dataset": dataset, "reason": reason, "listing": listing})
    if not wait:
        _asked(dataset, place, as_json)
        return
    record = _watch(dataset, place, before, time.monotonic() + timeout, quiet=as_json)
    if as_json:
        print_json(datasets.described(record, place.region))
    if record.phase is not Phase.SEALED:
        advice = f"mend the cause and run `mldr snapshot {dataset} --wait` again; what was copied is kept"
        raise Ended(Exit.DOES_NOT_HOLD, f"{record.snapshot} is {record.phase}: {record.reason}", advice)


def _asked(dataset: str, place: Place, as_json: bool) -> None:
    if as_json:
        print_json({"dataset": dataset, "region": place.region, "requested": True})
    else:
        out.print(f"[green]✓[/] asked {place.region} for a snapshot of {escape(dataset)}")
        out.print(f"  [dim]→ follow it with `mldr snapshots {escape(dataset)}`[/]")


def _watch(dataset: str, place: Place, before: set[str], deadline: float, *, quiet: bool) -> SnapshotRecord:
    """Show each phase once, and how far the copy is, until a snapshot that was not there before is over."""
    said = ""
    with Ticker(quiet) as ticker:
        while True:
            record = next((one for one in place.datasets.records(dataset) if one.snapshot not in before), None)
            current = record or place.datasets.running(dataset)
            if current and (line := datasets.line(current)) != said:
                said = line
                ticker.phase(line)
            if record and record.over:
                return record
            if current and not quiet:
                ticker.show(told(progress_of(place, owner_of("dataset", dataset), current.snapshot)))
            if time.monotonic() > deadline:
                raise Ended(Exit.DOES_NOT_HOLD, f"not sealed in time; {said or 'it was never begun'}", LOST)
            time.sleep(POLL)
