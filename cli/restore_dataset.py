"""`mldr restore-dataset`: bring a snapshot, or a part of it, back into a bucket of the standby region."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

import typer
from rich.markup import escape

from cli import datasets
from cli.options import Timeout, Wait
from cli.outcomes import Ended, Exit
from cli.output import AsJson, out, print_json, size
from cli.progress import Ticker, progress_of, told
from cli.regions import Bus, Environment, Place, Region, places
from mldr.domain.snapshots import RestoreRecord
from mldr.events.detail_types import RESTORE_REQUESTED
from mldr.events.snapshots import RestoreRequest

POLL = 1.0  # seconds
REFUSED = (
    "is the bucket one of the stack's RestoreBuckets? look into the queue mldr-<env>-restore-dlq, and at the state "
    "machine mldr-<env>-restore-dataset"
)


def restore_dataset(
    snapshot: Annotated[str, typer.Argument(help="The id of a snapshot; see `mldr snapshots`.", show_default=False)],
    to: Annotated[
        str,
        typer.Option(metavar="S3-URI", help="Where to, in the standby region: s3://bucket/prefix/", show_default=False),
    ],
    prefix: Annotated[str, typer.Option(help="Only objects whose name in the dataset begins so.")] = "",
    wait: Wait = False,
    timeout: Timeout = 3600,
    as_json: AsJson = False,
    region: Region = None,
    env: Environment = "prod",
    bus: Bus = "mldr",
) -> None:
    """Copy a snapshot out of the vault, each object verified. Nothing that stands there already is written over.

    [dim]$[/] mldr restore-dataset 20261123T093000Z-1c1780d6 --to s3://restored/transactions/ --prefix 2026/11/ --wait

    Asking again goes on where it stopped. The bucket must be one of the stack's RestoreBuckets.

    Exit codes: 0 restored (without --wait: asked), 1 failed or not done in time, 2 bad input, 3 a region cannot be
    reached.
    """
    place, record = datasets.find(snapshot, places(region, env))
    datasets.manifest(place, record)
    request = RestoreRequest.parse({"dataset": record.dataset, "snapshot": snapshot, "to": to, "prefix": prefix})
    restore = replace(place, bus_name=bus).bus.tell(RESTORE_REQUESTED, request.model_dump(mode="json"))
    if not wait:
        _asked(restore, place, as_json)
        return
    ended = _watch(record.dataset, restore, place, time.monotonic() + timeout, quiet=as_json)
    if as_json:
        print_json({**ended.model_dump(mode="json"), "region": place.region})
    if ended.phase != "COMPLETED":
        raise Ended(Exit.DOES_NOT_HOLD, f"restore {restore} failed: {ended.reason}", "mend the cause and ask again")
    if not as_json:
        out.print(f"[green]✓[/] {ended.objects} objects, {size(ended.bytes)}, stand in {escape(to)}")


def _asked(restore: str, place: Place, as_json: bool) -> None:
    if as_json:
        print_json({"restore": restore, "region": place.region, "requested": True})
    else:
        out.print(f"[green]✓[/] asked {place.region} for restore {restore}")
        out.print("  [dim]→ `Dataset Restored` on its bus says how it ended; --wait would have waited for it[/]")


def _watch(dataset: str, restore: str, place: Place, deadline: float, *, quiet: bool) -> RestoreRecord:
    with Ticker(quiet) as ticker:
        while True:
            record = place.datasets.restore(dataset, restore)
            if record and record.phase != "RUNNING":
                return record
            if record and not quiet:
                ticker.show(told(progress_of(place, f"restore/{dataset}", restore)))
            if time.monotonic() > deadline:
                raise Ended(Exit.DOES_NOT_HOLD, f"restore {restore} is not done in time", REFUSED)
            time.sleep(POLL)
