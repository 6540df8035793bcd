"""`mldr failover`: ask the standby to take a model over, and follow it."""

from __future__ import annotations

import datetime as dt
import getpass
import json
import time
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.markup import escape

from cli.options import Timeout, Wait
from cli.outcomes import Ended, Exit, bad_input
from cli.output import AsJson, err, out, print_json, print_table, seconds, table
from cli.regions import Bus, Environment, Place, places, standby_of
from mldr.domain.evidence import Evidence, evidence_key
from mldr.domain.failover import Kind
from mldr.domain.identity import ModelKey
from mldr.events.detail_types import FAILBACK_REQUESTED, FAILOVER_REQUESTED
from mldr.events.failover import FailbackRequest, FailoverRequest
from mldr.events.message import TaskError
from mldr.sdk import code

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
PHASES = {
    "GateMove": "asking the other region, and looking whether all that it serves is protected here",
    "WaitForProtection": "waiting until it is",
    "ClaimEpoch": "claiming the epoch",
    "FindEndpoint": "looking whether the model's own endpoint serves that version",
    "RestoreServing": "restoring the endpoint",
    "WarmServing": "warming it",
    "VerifyServing": "comparing its answers with the golden ones",
    "FlipSwitch": "flipping the takeover switch",
    "ConfirmTakeover": "waiting for clients outside to see it",
    "Conclude": "writing the evidence",
    "RecordFailure": "writing the evidence",
}


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


def _follow(followed: Followed, deadline: float, *, quiet: bool) -> dict[str, Any]:
    """Show each state once, until the execution has ended; returns its description."""
    states, shown = followed.standby.client("stepfunctions"), 0
    while True:
        found = describe_execution(states, followed.execution)
        names = entered(states, followed.execution) if found else []
        for name in () if quiet else names[shown:]:
            err.print(f"[cyan]{dt.datetime.now():%H:%M:%S}[/] {PHASES[name]}")  # noqa: DTZ005 - the operator's own clock
        shown = len(names)
        if found and found["status"] != "RUNNING":
            return found
        if time.monotonic() > deadline:
            so_far = f"it is {PHASES[names[-1]]}" if names else "it has not started"
            raise Ended(Exit.DOES_NOT_HOLD, f"{followed.failover_id} has not completed in time; {so_far}", LOST)
        time.sleep(POLL)


def describe_execution(states: Any, arn: str) -> dict[str, Any] | None:
    """Return the execution; None while it has not started."""
    try:
        found: dict[str, Any] = states.describe_execution(executionArn=arn)
    except ClientError as error:
        if code(error) != "ExecutionDoesNotExist":
            raise
        return None
    return found


def entered(states: Any, arn: str) -> list[str]:
    """Return the phases in the order in which they were entered, each once; none while it has not started."""
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    try:
        history = [event for page in pages for event in page["events"]]
    except ClientError as error:
        if code(error) != "ExecutionDoesNotExist":
            raise
        return []
    names = [event.get("stateEnteredEventDetails", {}).get("name") for event in history]
    return list(dict.fromkeys(name for name in names if name in PHASES))


def _finish(followed: Followed, execution: dict[str, Any], as_json: bool) -> None:
    evidence = find_evidence(followed.standby, followed.model, followed.failover_id)
    outcome = evidence.outcome if evidence else "completed" if execution["status"] == "SUCCEEDED" else "failed"
    why = evidence.reason if evidence else _cause(execution)
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
        record = Evidence.model_validate_json(s3.get_object(Bucket=place.vault, Key=key)["Body"].read())
        if record.id == failover_id:
            return record
    return None


def _cause(execution: dict[str, Any]) -> str:
    error = {"Error": execution.get("error", execution["status"]), "Cause": execution.get("cause", "")}
    return TaskError.parse(json.dumps(error)).sentence


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
