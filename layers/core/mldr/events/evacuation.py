"""Requests for all models of a region, the tasks of *evacuate*, and how it ended."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from mldr.domain.evidence import Evidence, ModelOutcome
from mldr.domain.failover import Kind
from mldr.errors import BadEvent
from mldr.events.detail_types import FAILBACK_REQUESTED
from mldr.events.failover import FailoverRequested, FailoverTask
from mldr.events.message import Message, TaskError

RegionName = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]


class RegionRequest(Message):
    """Somebody asks for all models of a region at once.

    With `Failover Requested` it is the region that they leave; with `Failback Requested` their home, which takes them
    back. A `move` is planned: the region that is left is well. `listed` asks for those models alone that
    `decide_failover` listed in the vault under the evacuation's id.
    """

    region: RegionName
    reason: str = Field(min_length=1)
    requested_by: str = "unknown"
    failover_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,60}$")
    kind: Literal[Kind.FAILOVER, Kind.MOVE] = Kind.FAILOVER
    listed: bool = False
    first_failure_at: dt.datetime | None = None


class Asked(Message):
    """A request of which only the subject is read yet."""

    detail: dict[str, Any] = {}


class RegionRequested(Message):
    """`Failover Requested` or `Failback Requested` that names a region instead of a model."""

    id: str
    source: Literal["mldr"]
    detail_type: Literal["Failover Requested", "Failback Requested"] = Field(alias="detail-type")
    time: dt.datetime
    detail: RegionRequest

    @property
    def failover_id(self) -> str:
        """Return the id under which this evacuation runs once, however often the event arrives."""
        return self.detail.failover_id or self.id

    @property
    def kind(self) -> Kind:
        """Return what is asked for: the detail's own word, but for a failback."""
        return Kind.FAILBACK if self.detail_type == FAILBACK_REQUESTED else self.detail.kind


def parse_takeover(raw: str | dict[str, Any]) -> FailoverRequested | RegionRequested:
    """Read a request to take over one model, or all of a region: it names exactly one of them. Raises BadEvent."""
    subject = Asked.parse(raw).detail
    if "region" not in subject:
        return FailoverRequested.parse(raw)
    if "model" in subject:
        raise BadEvent("model: a request names a model or a region, not both; leave one of them out")
    return RegionRequested.parse(raw)


class RegionSwitchCall(Message):
    """What ARC Region switch hands to a Lambda block: its execution's metadata beside the plan's own payload.

    It merges the four capitalised keys into a JSON object (arc-region-switch/latest/api/API_Lambdas, payload).
    `unplanned` is ours: the region that is left is not well, so nothing waits for it.
    """

    plan_arn: str = Field(alias="PlanArn", min_length=1)
    execution_id: str = Field(alias="ExecutionId", min_length=1)
    step_name: str = Field(default="?", alias="StepName")
    invoked_by: str = Field(default="ARC Region switch", alias="InvokedBy")
    unplanned: bool = False


class EvacuationTask(Message):
    """The input of every state of *evacuate*."""

    region: str
    failover_id: str
    kind: Kind
    reason: str
    requested_by: str
    requested_at: dt.datetime
    first_failure_at: dt.datetime | None = None
    received_at: dt.datetime | None = None
    listed: bool = False

    @property
    def began_at(self) -> dt.datetime:
        """Return from when the recovery times count."""
        return self.first_failure_at or self.requested_at


class EvacuationPlanned(Message):
    """What *evacuate* goes on with: where its items lie, how many they are, and how many run at once."""

    models_key: str
    models: int
    rest_key: str
    rest: int
    side_by_side: int
    at: dt.datetime


class EvacuationConclusion(EvacuationTask):
    """How *evacuate* ended; `error` only when it could not be planned, or its maps did not run."""

    plan: EvacuationPlanned | None = None
    error: TaskError | None = None


class Followed(Message):
    """What the last look at one model's failover found: since when it is followed."""

    since: dt.datetime | None = None


class RecoverTask(FailoverTask):
    """One model of an evacuation, to start and to follow for `patience` seconds; its slot is another's then."""

    patience: float
    listed: bool = False
    failover: Followed = Followed()


NAMED = 100  # models that an event or a page names one by one; the evidence names all


class RegionCompletedDetail(Message):
    """The detail of `Failover Completed` or `Failback Completed` when it was asked for a region."""

    of_region: str
    failover_id: str
    kind: Kind
    outcome: Literal["completed", "refused", "failed"]
    reason: str
    region: str
    recovered: int
    not_recovered: int
    models: tuple[ModelOutcome, ...]  # those that were not recovered: the first hundred
    recorded_at: dt.datetime

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        """Return what a region's record of evidence says."""
        bad = [one for one in evidence.models if one.outcome != "completed"]
        known = {**dict(evidence), "failover_id": evidence.id, "of_region": evidence.model.name}
        counts = {"recovered": len(evidence.models) - len(bad), "not_recovered": len(bad)}
        return cls.model_validate({**known, **counts, "models": tuple(bad[:NAMED])})
