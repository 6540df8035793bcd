"""`mldr failover`: ask the standby to take a model over, and follow it."""

from __future__ import annotations

import datetime as dt
import getpass
import json
import time
from dataclasses import dataclass, replace
from typing import Annotated

import typer
from rich.markup import escape

from cli.executions import PHASES, Watched, entered
from cli.options import Timeout, Wait
from cli.outcomes import Ended, Exit, bad_input
from cli.output import AsJson, out, print_json, print_table, seconds, table
from cli.regions import Bus, Environment, Place, places, standby_of
from mldr.domain.evidence import Evidence, evidence_key
from mldr.domain.failover import Kind
from mldr.domain.identity import ModelKey
from mldr.events.detail_types import FAILBACK_REQUESTED, FAILOVER_REQUESTED
from mldr.events.failover import FailbackRequest, FailoverRequest
from mldr.events.message import TaskError
from mldr.ports.stack import Status

POLL = 1.0  # seconds
OptionalModel = Annotated[
    str | None, typer.Argument(metavar="MODEL", help="churn, or sagemaker/churn.", show_default=False)
]
Plan = Annotated[
    bool, typer.Option("--plan", help="With --region: print who would be back when, and whether all would be in time.")
]
Again = Annotated[
    str | None, typer.Option("--id", help="With --region: ask again for one whose execution died; it goes on.")
]
EitherRegion = Annotated[
    str | None,
    typer.Option("--region", help="Of a model: the standby region, to choose it. Alone: the region that is left."),
]
LOST = "look into the queues mldr-<env>-failover and mldr-<env>-failover-dlq"


@dataclass(frozen=True)
class Followed:
    """One failover that was asked for."""

    model: ModelKey
    failover_id: str
    standby: Place

    @property
    def execution(self) -> str:
        """The execution that carries it out."""
        return self.standby.execution("failover", self.failover_id)


def failover(
    model: OptionalModel = None,
    reason: Annotated[str | None, typer.Option(help="Why; it is kept in the evidence.")] = None,
    plan: Plan = False,
    again: Again = None,
    wait: Wait = False,
    timeout: Timeout = 1800,
    as_json: AsJson = False,
    region: EitherRegion = None,
    env: Environment = "prod",
    bus: Bus = "mldr",
) -> None:
    """Ask the standby region to restore a model, prove its answers and take its traffic; or all models of a region.

    [dim]$[/] mldr failover digits-classifier --reason "exercise of 31 January" --wait
    [dim]$[/] mldr failover --region ap-southeast-1 --plan
    [dim]$[/] mldr failover --region ap-southeast-1 --reason "the region is gone" --wait

    Without a MODEL, --region names the region that is left; with one, the region that takes over. --plan touches
    nothing, and exits with 0 only when every recovery time is expected to hold.

    `Failover Requested` is put on the standby's bus. Nothing in the failed region is called. Without a sealed recovery
    point the request is refused before any traffic is touched.

    Exit codes: 0 completed (without --wait: asked), 1 refused, failed or not completed in time, 2 bad input, 3 the
    standby cannot be reached.
    """
    if model is None:
        from cli.evacuation import evacuate  # it needs what is here

        evacuate(region, Kind.FAILOVER, reason, env, bus,
                 again=again, plan=plan, wait=wait, timeout=timeout, as_json=as_json)  # fmt: skip
        return
    if plan or again:
        raise bad_input("--plan and --id are of a whole region", "leave out the model, and name a region")
    key, why = ModelKey.parse(model), given(reason)
    check_reason(key, why)
    standby = replace(standby_of(key, places(region, env)), bus_name=bus)
    conclude(ask(key, standby, Kind.FAILOVER, why), wait=wait, timeout=timeout, as_json=as_json)


def given(reason: str | None) -> str:
    """Return the reason. Raises Ended where there is none."""
    if not reason:
        raise bad_input("a reason is missing", 'add --reason "…"; it is kept in the evidence')
    return reason


def check_reason(model: ModelKey, reason: str) -> None:
    """Refuse a request that its contract would refuse, before any region is asked. Raises BadEvent."""
    FailbackRequest.parse({"model": str(model), "reason": reason})


def ask(model: ModelKey, place: Place, kind: Kind, reason: str, *, clears: str | None = None) -> Followed:
    """Ask a region to take a model over, or to end the claim of a failover; returns what can be followed."""
    given = {"model": str(model), "reason": reason, "requested_by": who(), "failover_id": _new_id(model, kind)}
    home = kind is Kind.FAILBACK
    asked = FailbackRequest.parse(given) if home else FailoverRequest.parse({**given, "kind": kind, "clears": clears})
    detail = asked.model_dump(mode="json", exclude_none=True) | {"model": str(model)}
    place.bus.put(FAILBACK_REQUESTED if home else FAILOVER_REQUESTED, detail)
    return Followed(model, str(asked.failover_id), place)


def conclude(followed: Followed, *, wait: bool, timeout: float, as_json: bool) -> None:
    """Say what was asked, or with `wait` how it ended. Raises Ended when it did not complete."""
    if not wait:
        _asked(followed, as_json)
        return
    _finish(followed, _follow(followed, time.monotonic() + timeout, quiet=as_json), as_json)


def _new_id(model: ModelKey, kind: Kind) -> str:
    by = "by-hand" if kind is Kind.FAILOVER else kind.value
    return f"{by}-{model.name[:30]}-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S%f}"[:60]


def who() -> str:
    """Return who asks, for the records."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def _asked(followed: Followed, as_json: bool) -> None:
    if as_json:
        print_json(
            {"model": str(followed.model), "failover_id": followed.failover_id, "region": followed.standby.region}
        )
        return
    out.print(f"[green]✓[/] asked {followed.standby.region} about {followed.model}: {followed.failover_id}")
    out.print(f"  [dim]→ follow it with `mldr status {followed.model.name}`[/]")


def _follow(followed: Followed, deadline: float, *, quiet: bool) -> Watched:
    """Show each state once, until the failover has ended or nothing goes on with it; returns its last execution."""
    states = followed.standby.client("stepfunctions")
    watched, shown = Watched(states, followed.execution, quiet=quiet), dict[str, int]()
    while True:
        watched.look()
        names = entered(states, watched.arn) if watched.newest else []
        for name in names[shown.get(watched.arn, 0) :]:
            watched.say(PHASES[name])
        shown[watched.arn] = len(names)
        if watched.over(lambda: _concluded(followed)):
            return watched
        if time.monotonic() > deadline:
            late = f"{followed.failover_id} has not completed in time; {_so_far(watched, names)}"
            raise Ended(Exit.DOES_NOT_HOLD, late, LOST)
        time.sleep(POLL)


def _so_far(watched: Watched, names: list[str]) -> str:
    if watched.status is Status.LOST:
        return "its execution died, and no other one goes on yet"
    return f"it is {PHASES[names[-1]]}" if names else "it has not started"


def _concluded(followed: Followed) -> bool:
    """Return whether its claim is over, so that nobody goes on with it."""
    claim = followed.standby.catalog.epoch(followed.model)
    return claim is not None and claim.concluded and claim.failover_id == followed.failover_id


def _finish(followed: Followed, watched: Watched, as_json: bool) -> None:
    evidence = find_evidence(followed.standby, followed.model, followed.failover_id)
    outcome = evidence.outcome if evidence else "completed" if watched.status is Status.SUCCEEDED else "failed"
    why = evidence.reason if evidence else _cause(watched)
    if as_json:
        shown = evidence.model_dump(mode="json") if evidence else {"outcome": outcome, "reason": why}
        print_json({**shown, "model": str(followed.model), "failover_id": followed.failover_id})
    elif outcome == "completed" and evidence:
        _show(evidence)
    if outcome != "completed":
        raise Ended(Exit.DOES_NOT_HOLD, f"{outcome}: {why}", f"see `mldr status {followed.model.name}`")


def find_evidence(place: Place, model: ModelKey, failover_id: str) -> Evidence | None:
    """Return the record of a failover from the region's vault, looking at the newest ones first."""
    s3 = place.client("s3")
    prefix = evidence_key(model, 0).rpartition("/")[0] + "/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=place.vault, Prefix=prefix)
    for key in reversed([item["Key"] for page in pages for item in page.get("Contents", [])]):
        record = Evidence.stored(s3.get_object(Bucket=place.vault, Key=key)["Body"].read())
        if record.id == failover_id:
            return record
    return None


def _cause(watched: Watched) -> str:
    execution = watched.newest or {"status": "unknown"}
    error = {"Error": execution.get("error", execution["status"]), "Cause": execution.get("cause", "")}
    sentence = TaskError.parse(json.dumps(error)).sentence
    return f"{sentence}; nothing goes on with it" if watched.status is Status.LOST else sentence


def _show(evidence: Evidence) -> None:
    if evidence.kind == "clear":
        out.print(f"[green]✓[/] the claim of {evidence.model} in {evidence.region} is over: epoch {evidence.epoch}")
    else:
        out.print(f"[green]✓[/] {evidence.region} serves {evidence.model} from {evidence.recovery_point}")
    rows = table("phase", "took")
    for one in evidence.phases:
        rows.add_row(one.name, seconds(one.seconds))
    print_table(rows)
    out.print(
        f"[dim]evidence {evidence_key(evidence.model, evidence.sequence)}, epoch {evidence.epoch}[/]", markup=True
    )
    out.print(escape(f"reason: {evidence.reason}"))
