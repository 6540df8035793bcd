"""Requests to take one model over or back, the tasks of *failover*, and how it ended."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal, Self

from pydantic import Field

from mldr.domain.evidence import Evidence, PhaseTime
from mldr.domain.failover import Kind
from mldr.domain.late_answers import Sent
from mldr.events.message import Message, Model, TaskError


class FailbackRequest(Message):
    """Somebody asks a model's home to take it back."""

    model: Model
    reason: str = Field(min_length=1)
    requested_by: str = "unknown"
    failover_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,60}$")


class FailoverRequest(FailbackRequest):
    """Somebody, or decide_failover, asks a region to take a model over.

    A `move` is planned: the region that serves is well, and no request may fail. A `clear` only ends an open claim.
    """

    kind: Literal[Kind.FAILOVER, Kind.MOVE, Kind.CLEAR] = Kind.FAILOVER
    first_failure_at: dt.datetime | None = None
    clears: str | None = None  # with `clear`: the failover whose claim was seen; None: whichever is open


class RequestType(Message):
    """Which of the two requests to take a model over arrived."""

    detail_type: Literal["Failover Requested", "Failback Requested"] = Field(alias="detail-type")


class FailbackAsked(Message):
    """`Failback Requested` as it arrives."""

    id: str
    source: Literal["mldr"]
    time: dt.datetime
    detail: FailbackRequest


class FailoverAsked(Message):
    """`Failover Requested` as it arrives."""

    id: str
    source: Literal["mldr"]
    time: dt.datetime
    detail: FailoverRequest


class FailoverRequested(Message):
    """Either request. Its event id names the failover unless it brings an id of its own."""

    id: str
    time: dt.datetime
    kind: Kind
    detail: FailoverRequest

    @classmethod
    def parse(cls, raw: str | dict[str, Any]) -> Self:
        """Read either request. Raises BadEvent."""
        if RequestType.parse(raw).detail_type == "Failover Requested":
            asked = FailoverAsked.parse(raw)
            return cls(id=asked.id, time=asked.time, kind=asked.detail.kind, detail=asked.detail)
        home = FailbackAsked.parse(raw)
        detail = FailoverRequest.model_validate(home.detail.model_dump())
        return cls(id=home.id, time=home.time, kind=Kind.FAILBACK, detail=detail)

    @property
    def failover_id(self) -> str:
        """Return the id under which this failover runs once, however often the event arrives."""
        return self.detail.failover_id or self.id


class FailoverTask(Message):
    """The input of every state of *failover*."""

    model: Model
    failover_id: str
    kind: Kind = Kind.FAILOVER
    reason: str
    requested_by: str
    requested_at: dt.datetime
    first_failure_at: dt.datetime | None = None
    received_at: dt.datetime | None = None  # None for what no queue gave
    clears: str | None = None
    evacuation: str = ""  # of which this is a part: its page names this model, too
    poll_seconds: int = 15


class GateTold(Message):
    """What the gate of a planned move found: the point that holds what the peer serves."""

    recovery_point: str = ""


class MoveTask(FailoverTask):
    """A task at, or after, the gate of a planned move."""

    gate: GateTold | None = None


class Claimed(Message):
    """What claim_epoch found: the epoch, and the point to restore.

    `at_home` says that the model's own endpoint may serve it, `reuse` that it does: then nothing is restored. `stands`
    says that an endpoint of mldr's is there for it already. `component` is the inference component that will answer.
    """

    epoch: int
    recovery_point: str
    endpoint: str
    at: dt.datetime
    at_home: bool = False
    reuse: bool = False
    stands: bool = False
    component: str = ""


class ClaimedTask(FailoverTask):
    """A task after the claim."""

    claim: Claimed


class LayoutTold(Message):
    """How far the layout of a recovery point was when the last call ran out of time."""

    cursor: str = ""


class WarmTold(Message):
    """When the first round of warming began."""

    began: dt.datetime


class WarmTask(ClaimedTask):
    """A restored endpoint to be warmed, and what the round before told."""

    warm: WarmTold | None = None


class VerifyTold(Message):
    """How many golden questions were answered right when the last call ended, since when, and which one was sent."""

    cursor: int = 0
    began: dt.datetime | None = None
    sent: Sent | None = None


class VerifyTask(ClaimedTask):
    """An endpoint to be proven, from the question where the last call stopped."""

    verify: VerifyTold = VerifyTold()


class MaterialiseTask(ClaimedTask):
    """A point to lay out, from where the last call stopped."""

    layout: LayoutTold = LayoutTold()

    @property
    def cursor(self) -> str:
        """Return the last name that is laid out."""
        return self.layout.cursor


class LayoutMark(Message):
    """When the last call of laying out ended."""

    at: dt.datetime


class RestoreTask(ClaimedTask):
    """An endpoint to be created, of a point that is laid out."""

    layout: LayoutMark | None = None

    @property
    def began(self) -> dt.datetime:
        """Return when its creation was first asked for, as near as the task tells."""
        return self.layout.at if self.layout else self.claim.at


class Mark(Message):
    """When a phase ended; an endpoint that is not in service has not ended its phase."""

    at: dt.datetime
    status: str = "InService"


class RestoreMark(Mark):
    """When the endpoint stood, and what of it is not as it was: what its plan said before, and what came up."""

    warnings: tuple[str, ...] = ()
    foreseen: tuple[str, ...] = ()


class VerifyMark(Mark):
    """When the answers were compared, and whether there was nothing to compare them with."""

    warning: str = ""


class WarmMark(Mark):
    """When warming ended, and what traffic moved in spite of."""

    more: bool = False
    warning: str = ""


class GateMark(Message):
    """When the gate of a planned move was last looked at, and whether it let the move begin."""

    at: dt.datetime
    ready: bool = True


class SwitchMark(Mark):
    """When the switch was flipped, and who could not be told of it."""

    note: str = ""


class FailoverConclusion(FailoverTask):
    """How *failover* ended, with the time at which each phase did."""

    gate: GateMark | None = None
    claim: Claimed | None = None
    serving: RestoreMark | None = None
    warm: WarmMark | None = None
    verify: VerifyMark | None = None
    switch: SwitchMark | None = None
    confirm: Mark | None = None
    error: TaskError | None = None


class FailoverCompletedDetail(Message):
    """The detail of `Failover Completed` or `Failback Completed`, whatever its outcome: the evidence by its words."""

    model: Model
    failover_id: str
    kind: Kind = Kind.FAILOVER
    outcome: Literal["completed", "refused", "failed"]
    reason: str
    region: str
    epoch: int | None
    recovery_point: str | None
    phases: tuple[PhaseTime, ...]
    recorded_at: dt.datetime

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        """Return what a record of evidence says."""
        return cls.model_validate({**evidence.model_dump(), "failover_id": evidence.id})
