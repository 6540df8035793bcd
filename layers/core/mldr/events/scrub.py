"""Checks of the vault: the requests, the tasks of *scrub*, and what it found."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from mldr.domain.scrub import ALL, FULL, Outcome, Report, ScrubItem
from mldr.events.message import Message, TaskError

RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")]
Owner = Annotated[str, Field(pattern=rf"^({ALL}|model/[a-z]{{1,32}}/[A-Za-z0-9-]{{1,63}}|dataset/[a-z0-9-]{{1,63}})$")]
Sample = Annotated[float, Field(gt=0, le=FULL)]


class VerificationRequest(Message):
    """Somebody, or the schedule, asks for the vault's bytes to be checked: a share of them, in percent."""

    owner: Owner = ALL
    sample: Sample = FULL
    requested_by: str = "unknown"
    run: RunId | None = None


class VerificationRequested(Message):
    """`Verification Requested` as it arrives. Its event id names the run unless it brings an id of its own."""

    id: RunId
    source: Literal["mldr"]
    detail_type: Literal["Verification Requested"] = Field(alias="detail-type")
    detail: VerificationRequest

    @property
    def run(self) -> str:
        """Return the id under which this check runs once, however often the event arrives."""
        return self.detail.run or self.id


class ScrubRun(Message):
    """The input of every state of *scrub*."""

    run: RunId
    owner: Owner
    sample: Sample


class ScrubTask(Message):
    """One shard to check."""

    run: RunId
    sample: Sample
    item: ScrubItem


class ScrubConclusion(ScrubRun):
    """How *scrub* ended; `error` only when it failed."""

    error: TaskError | None = None


class VerificationDetail(Message):
    """The detail of `Verification Completed`."""

    run: str
    owner: str
    sample: float
    outcome: Outcome
    reason: str
    objects: int
    bytes: int
    bad: int
    repaired: int

    @classmethod
    def of(cls, report: Report, reason: str = "") -> Self:
        """Return what a report says."""
        told = report.tallies
        return cls(
            run=report.run,
            owner=report.owner,
            sample=report.sample,
            outcome=report.outcome,
            reason=reason or next((one.reason for one in told if one.reason), ""),
            objects=sum(one.objects for one in told),
            bytes=sum(one.bytes for one in told),
            bad=sum(one.bad for one in told),
            repaired=sum(one.repaired for one in told),
        )
