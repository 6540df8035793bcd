"""`mldr protect`: tell the standby that a version is in production, and watch it being sealed."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from typing import Annotated

import typer
from rich.markup import escape

from cli.options import ModelName, Timeout, Wait
from cli.outcomes import Ended, Exit, bad_input, unreachable
from cli.output import AsJson, out, phase, print_json, size
from cli.progress import Ticker, progress_of, told
from cli.regions import Bus, Environment, Place, Region, look, places, silence
from cli.status import point
from mldr.domain.identity import ModelKey, recovery_point_id
from mldr.domain.recovery_point import UNANNOUNCED, Phase, Record
from mldr.domain.registry import RegistryEntry
from mldr.domain.transfers import Progress, owner_of
from mldr.events.detail_types import PROMOTED
from mldr.events.protection import PromotedDetail
from mldr.registries.sagemaker import SageMakerRegistry

PACKAGE_ARN = r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:model-package/.+/\d+"
LOST = "look into the queues mldr-<env>-capture and mldr-<env>-capture-dlq, and at the state machine mldr-<env>-protect"
POLL = 1.0  # seconds
SETTLE = 20.0  # seconds after which a version that was edited would have shown its new recovery point


@dataclass(frozen=True)
class Subject:
    """What is to be protected: a version in its active region, and where it is to be kept."""

    model: ModelKey
    entry: RegistryEntry
    standby: Place

    def current(self) -> Record | None:
        """Return the recovery point of this version as it is described now, else the newest of this version."""
        records = [one for one in self.standby.catalog.records(self.model) if one.origin.arn == self.entry.arn]
        exact = [one for one in records if self.is_exact(one)]
        return max(exact or records, key=lambda one: one.started_at, default=None)

    def progress(self, record: Record) -> Progress | None:
        """Return how far the copy of a point is; None while nothing is planned."""
        return progress_of(self.standby, owner_of("model", str(self.model)), record.recovery_point)

    def is_exact(self, record: Record) -> bool:
        """Whether the point holds the version as it is described now. An older SDK in the stack may describe less."""
        entry = self.entry
        return record.recovery_point == recovery_point_id(entry.version, entry.arn, entry.document)


def protect(
    model: ModelName,
    version: Annotated[
        str | None, typer.Option(metavar="ARN", help="A model package; without it the newest approved one.")
    ] = None,
    wait: Wait = False,
    timeout: Timeout = 1800,
    as_json: AsJson = False,
    region: Region = None,
    env: Environment = "prod",
    bus: Bus = "mldr",
) -> None:
    """Ask the standby for a recovery point: for a model approved before mldr was there, or to resume a failed one.

    [dim]$[/] mldr protect digits-classifier --wait

    Asking again is harmless: a sealed point stays as it is. `Model Promoted` is put on the standby's bus; this command
    does none of the work.

    Exit codes: 0 sealed (without --wait: asked), 1 failed, not approved or not sealed in time, 2 bad input, 3 a region
    cannot be reached.
    """
    subject = _subject(ModelKey.parse(model), version, places(region, env, others=True), region, bus)
    before = subject.current()
    detail = PromotedDetail.parse({"model": str(subject.model), "arn": subject.entry.arn})
    subject.standby.bus.put(PROMOTED, {"model": str(detail.model), "arn": detail.arn})
    if not wait:
        _asked(subject, as_json)
        return
    record = _watch(subject, before, time.monotonic() + timeout, quiet=as_json)
    if as_json:
        print_json({**point(record), "region": subject.standby.region, "transfer": told(subject.progress(record))})
    if not record.phase.restorable or record.reason:
        advice = f"mend the cause and run `mldr protect {subject.model.name} --wait` again"
        raise Ended(Exit.DOES_NOT_HOLD, f"{record.recovery_point} is {record.phase}: {record.reason}", advice)


def _subject(model: ModelKey, arn: str | None, where: list[Place], region: str | None, bus: str) -> Subject:
    if arn and not re.fullmatch(PACKAGE_ARN, arn):
        raise bad_input(
            f"--version {arn!r} is not the ARN of a model package", "see `aws sagemaker list-model-packages`"
        )
    home, entry = _described(model, arn, [place for place in where if place.region != region])
    standbys = [place for place in where if place.region != home and region in (None, place.region)]
    if len(standbys) != 1:
        names = ", ".join(place.region for place in standbys) or "none"
        raise bad_input(f"which region stands by for {home} is not clear: {names}", "say so with --region")
    if entry.copied_from:
        raise bad_input(f"{entry.arn} is mldr's own copy of {entry.copied_from}", "protect the original")
    if not entry.approved:
        raise Ended(Exit.DOES_NOT_HOLD, f"{entry.arn} is {entry.status}", "approve it; it is then protected by itself")
    return Subject(model, entry, replace(standbys[0], bus_name=bus))


def _described(model: ModelKey, arn: str | None, candidates: list[Place]) -> tuple[str, RegistryEntry]:
    """Return the active region and the version, as that region's registry describes it."""
    if arn:
        home = Place(arn.split(":")[3], "")
        return home.region, _registry(home).describe(arn)
    looked = look(candidates, lambda place: _newest(model, place))
    found = {region: entry for region, entry in looked.answers.items() if entry and not entry.copied_from}
    if len(found) == 1:
        return next(iter(found.items()))
    if found:
        names = " and ".join(found)
        raise bad_input(f"{model} has approved versions of its own in {names}", "name one with --version")
    if looked.silent:
        raise unreachable(f"no region that answers has an approved version of {model}; {silence(looked)}")
    advice = "approve a version in the registry; it is then protected by itself"
    raise Ended(Exit.DOES_NOT_HOLD, f"{model} has no approved version in {', '.join(looked.answers)}", advice)


def _newest(model: ModelKey, place: Place) -> RegistryEntry | None:
    registry = _registry(place)
    arn = registry.newest_approved(model)
    return registry.describe(arn) if arn else None


def _registry(place: Place) -> SageMakerRegistry:
    client = place.client("sagemaker")
    return SageMakerRegistry(client, client)


def _asked(subject: Subject, as_json: bool) -> None:
    asked = {"model": str(subject.model), "version": subject.entry.arn, "region": subject.standby.region}
    if as_json:
        print_json({**asked, "requested": True})
    else:
        out.print(f"[green]✓[/] asked {subject.standby.region} to protect {subject.entry.arn}")
        out.print(f"  [dim]→ follow it with `mldr status {subject.model.name}`[/]")


def _watch(subject: Subject, before: Record | None, deadline: float, *, quiet: bool) -> Record:
    """Show each phase once, and how far the copy is, until the point is sealed or has failed."""
    said, settled = "", time.monotonic() + SETTLE
    with Ticker(quiet) as ticker:
        while True:
            record = subject.current()
            if record and (line := _line(record)) != said:
                said = line
                ticker.phase(line)
            if record and _is_over(record, before, subject.is_exact(record) or time.monotonic() > settled):
                return record
            if record and not quiet:
                ticker.show(told(subject.progress(record)))
            if time.monotonic() > deadline:
                raise Ended(Exit.DOES_NOT_HOLD, f"not sealed in time; {said or 'it was never captured'}", LOST)
            time.sleep(POLL)


def _is_over(record: Record, before: Record | None, certain: bool) -> bool:
    if record.phase is Phase.SEALED:
        return certain if not record.reason else record.reason != UNANNOUNCED and record != before
    return record.phase is Phase.FAILED and record != before


def _line(record: Record) -> str:
    held = f", {record.objects} objects, {size(record.bytes)}" if record.objects else ""
    why = f": {escape(record.reason)}" if record.reason else ""
    return f"{phase(record.phase)} {record.recovery_point}, attempt {record.attempt}{held}{why}"
