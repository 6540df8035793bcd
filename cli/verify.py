"""`mldr verify`: have the vault's bytes read and compared with what was sealed."""

from __future__ import annotations

import datetime as dt
import json
import time
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.markup import escape

from cli.executions import describe_execution
from cli.failover import who
from cli.options import Timeout, Wait
from cli.outcomes import Ended, Exit, bad_input
from cli.output import AsJson, err, out, print_json, print_table, size, table
from cli.regions import Bus, Environment, Place, Region, look, places, silence, standby_of
from mldr.aws.datasets import DynamoDatasets
from mldr.domain.identity import ModelKey
from mldr.domain.scrub import ALL, FULL, Outcome, Report, report_key
from mldr.domain.transfers import owner_of
from mldr.events.detail_types import VERIFICATION_REQUESTED
from mldr.events.scrub import VerificationRequest
from mldr.sdk import code

POLL = 1.0  # seconds
GOOD = {Outcome.SOUND, Outcome.REPAIRED}
LOST = "look into the queues mldr-<env>-scrub and mldr-<env>-scrub-dlq, and at the state machine mldr-<env>-scrub"
DATASET = "dataset/"

Subject = Annotated[
    str | None,
    typer.Argument(metavar="[MODEL|dataset/NAME]", help="What to check. Without it: all.", show_default=False),
]
Sample = Annotated[
    str, typer.Option(metavar="N%", help="How many of the objects to read, in percent; every check draws others.")
]


@dataclass(frozen=True)
class Asked:
    """One check in one region."""

    run: str
    owner: str
    sample: float
    place: Place


def verify(
    subject: Subject = None,
    sample: Sample = "100%",
    wait: Wait = False,
    timeout: Timeout = 7200,
    as_json: AsJson = False,
    region: Region = None,
    env: Environment = "prod",
    bus: Bus = "mldr",
) -> None:
    """Read what the vault holds, byte by byte, and compare it with the manifests. What is bad is copied again.

    [dim]$[/] mldr verify digits-classifier --wait
    [dim]$[/] mldr verify --sample 5% --wait
    [dim]$[/] mldr verify dataset/images --sample 1%

    `Verification Requested` is put on the bus of the region that keeps the vault; without a subject on that of each
    region. A bad object whose pinned source is gone takes its recovery point out of recovery, and pages.

    Exit codes: 0 everything read is as it was sealed, or is again (without --wait: asked), 1 something is damaged or
    could not be read, or it took too long, 2 bad input, 3 a region cannot be reached.
    """
    percent = _percent(sample)
    runs = [_ask(owner, replace(place, bus_name=bus), percent) for owner, place in _subjects(subject, region, env)]
    if not wait:
        _asked(runs, as_json)
        return
    deadline = time.monotonic() + timeout
    reports = {one.place.region: _report(one, deadline, quiet=as_json) for one in runs}
    if as_json:
        print_json({"reports": {name: report.model_dump(mode="json") for name, report in reports.items()}})
    else:
        _show(reports)
    wrong = [report for report in reports.values() if report.outcome not in GOOD]
    if wrong:
        advice = "see `mldr status`, and docs/runbooks/bad-object.md"
        raise Ended(Exit.DOES_NOT_HOLD, "; ".join(f"{one.run} is {one.outcome}" for one in wrong), advice)


def _percent(sample: str) -> float:
    try:
        percent = float(sample.strip().removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= FULL:
        raise bad_input(f"--sample {sample!r} is not a share", "give a percentage above 0, like 5%")
    return percent


def _subjects(subject: str | None, region: str | None, env: str) -> list[tuple[str, Place]]:
    where = places(region, env)
    if subject is None:
        return [(ALL, place) for place in where]
    if not subject.startswith(DATASET):
        model = ModelKey.parse(subject)
        return [(owner_of("model", str(model)), standby_of(model, where))]
    name = subject.removeprefix(DATASET)
    looked = look(where, lambda place: name in DynamoDatasets(place.client("dynamodb"), table=place.table).names())
    knowing = [place for place in where if looked.answers.get(place.region)]
    if len(knowing) != 1:
        found = " and ".join(place.region for place in knowing) or "no region"
        advice = f"say which one with --region. {silence(looked)}" if knowing else silence(looked)
        raise Ended(Exit.DOES_NOT_HOLD, f"dataset {name} has snapshots in {found}", advice)
    return [(owner_of("dataset", name), knowing[0])]


def _ask(owner: str, place: Place, sample: float) -> Asked:
    run = f"by-hand-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S%f}"
    request = VerificationRequest.parse({"owner": owner, "sample": sample, "run": run, "requested_by": who()})
    place.bus.put(VERIFICATION_REQUESTED, request.model_dump(mode="json"))
    return Asked(run, owner, sample, place)


def _asked(runs: list[Asked], as_json: bool) -> None:
    if as_json:
        told = [{"run": one.run, "owner": one.owner, "sample": one.sample, "region": one.place.region} for one in runs]
        print_json({"requested": told})
        return
    for one in runs:
        out.print(f"[green]✓[/] asked {one.place.region} to check {one.owner}: {one.run}")


def _report(asked: Asked, deadline: float, *, quiet: bool) -> Report:
    """Wait until a check has ended, and return what it found."""
    states, said = asked.place.client("stepfunctions"), ""
    while True:
        found = describe_execution(states, asked.place.execution("scrub", asked.run))
        line = f"{asked.place.region}: {'reading and comparing' if found else 'waiting to begin'}"
        if line != said and not quiet:
            said = line
            err.print(f"[cyan]{line}[/]")
        if found and found["status"] != "RUNNING":
            return _sealed(asked, found)
        if time.monotonic() > deadline:
            raise Ended(Exit.DOES_NOT_HOLD, f"{asked.run} has not ended in time; it goes on by itself", LOST)
        time.sleep(POLL)


def _sealed(asked: Asked, execution: dict[str, Any]) -> Report:
    try:
        found = asked.place.client("s3").get_object(Bucket=asked.place.vault, Key=report_key(asked.run))
    except ClientError as error:
        if code(error) != "NoSuchKey":
            raise
        cause = f"{execution['status']} {execution.get('error', '')} {execution.get('cause', '')}".strip()
        raise Ended(Exit.DOES_NOT_HOLD, f"{asked.run} left no report: {cause}", LOST) from error
    return Report.model_validate(json.loads(found["Body"].read()))


def _show(reports: dict[str, Report]) -> None:
    rows = table("region", "checked", "manifests", "read", "bad", "repaired", "unread", "not checked")
    for region, report in reports.items():
        for one in report.tallies:
            read = f"{one.objects} objects, {size(one.bytes)}"
            counts = (one.bad, one.repaired, one.unread, one.unchecked)
            wrong = (str(count) if count else "-" for count in counts)
            rows.add_row(region, one.owner, str(one.manifests), read, *wrong)
    if rows.row_count:
        print_table(rows)
    else:
        out.print("there is nothing sealed to check")
    for report in reports.values():
        for finding in report.findings:
            out.print(f"[yellow]{finding.problem}[/] {escape(finding.name or finding.key)}: {escape(finding.reason)}")
        for damage in report.damaged:
            out.print(f"[red]damaged[/] {damage.owner} {damage.id}: {escape(damage.reason)}")
