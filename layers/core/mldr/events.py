"""The messages we accept and emit, and the inputs of tasks. Unknown fields are ignored, bad ones named."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mldr.domain.evidence import Evidence, PhaseTime
from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import Manifest, Phase, PinnedObject, Retention
from mldr.errors import BadEvent

SOURCE = "mldr"
PROMOTED = "Model Promoted"
SEALED = "Recovery Point Sealed"
FAILED = "Recovery Point Failed"
FAILOVER_REQUESTED = "Failover Requested"
FAILOVER_COMPLETED = "Failover Completed"


def _model_key(value: object) -> object:
    return ModelKey.parse(value) if isinstance(value, str) else value


Model = Annotated[ModelKey, BeforeValidator(_model_key)]


class Message(BaseModel):
    """Base of everything that crosses a door."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @classmethod
    def parse(cls, raw: str | dict[str, Any]) -> Self:
        """Validate a message. Raises BadEvent naming every bad field and what would be right."""
        try:
            return cls.model_validate(json.loads(raw) if isinstance(raw, str) else raw)
        except json.JSONDecodeError as error:
            raise BadEvent(
                f"{cls.__name__}: the message is not JSON ({error}); see events/ for working ones"
            ) from error
        except ValidationError as error:
            found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            raise BadEvent(f"{cls.__name__}: {found}; see events/ for working ones") from error


PackageArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:model-package/.+/\d+$")]


class PackageDetail(Message):
    """The part of a SageMaker model package event that we trust; all else is described anew."""

    arn: PackageArn = Field(alias="ModelPackageArn")
    group: str = Field(alias="ModelPackageGroupName", min_length=1)
    status: str = Field(alias="ModelApprovalStatus")


class PromotedDetail(Message):
    """A promotion told by hand or by another registry. Without an ARN the newest approved version is meant."""

    model: Model
    arn: PackageArn | None = None


class Envelope(Message):
    """What EventBridge puts around every event."""

    id: str
    source: str
    detail_type: str = Field(alias="detail-type")
    region: str
    time: dt.datetime
    detail: dict[str, Any]


class Promotion(Message):
    """A version whose approval may have changed, from whichever event said so."""

    id: str
    model: ModelKey
    arn: str | None
    told_at: dt.datetime

    @classmethod
    def parse(cls, raw: str | dict[str, Any]) -> Self:
        """Read a SageMaker package event or a `Model Promoted` of ours. Raises BadEvent."""
        envelope = Envelope.parse(raw)
        model, arn = cls._subject(envelope)
        return cls(id=envelope.id, model=model, arn=arn, told_at=envelope.time)

    @staticmethod
    def _subject(envelope: Envelope) -> tuple[ModelKey, str | None]:
        match envelope.source, envelope.detail_type:
            case "aws.sagemaker", "SageMaker Model Package State Change":
                package = PackageDetail.parse(envelope.detail)
                return ModelKey(registry="sagemaker", name=package.group), package.arn
            case "mldr", "Model Promoted":
                promoted = PromotedDetail.parse(envelope.detail)
                return promoted.model, promoted.arn
        raise BadEvent(
            f"detail-type: {envelope.source!r} {envelope.detail_type!r} is not a promotion; "
            "send 'SageMaker Model Package State Change' or mldr's 'Model Promoted'"
        )


class FailoverRequest(Message):
    """Somebody, or decide_failover, asks the standby to take a model over."""

    model: Model
    reason: str = Field(min_length=1)
    requested_by: str = "unknown"
    failover_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,60}$")
    first_failure_at: dt.datetime | None = None


class FailoverRequested(Message):
    """`Failover Requested` as it arrives. Its event id names the failover unless it brings an id of its own."""

    id: str
    source: Literal["mldr"]
    detail_type: Literal["Failover Requested"] = Field(alias="detail-type")
    time: dt.datetime
    detail: FailoverRequest

    @property
    def failover_id(self) -> str:
        """Return the id under which this failover runs once, however often the event arrives."""
        return self.detail.failover_id or self.id


class ProtectTask(Message):
    """The input of every state of *protect*: one attempt at one recovery point."""

    model: Model
    recovery_point: str
    attempt: int


class BatchTask(ProtectTask):
    """One batch of a copy."""

    batch: int
    objects: tuple[PinnedObject, ...]
    retention: Retention | None = None


class SealTask(ProtectTask):
    """What the seal needs of the inventory."""

    batches: int
    retention: Retention


class TaskError(Message):
    """What a Catch of Step Functions hands over."""

    Error: str
    Cause: str = ""

    @property
    def sentence(self) -> str:
        """Return the error as a person reads it: the function's message without its stack trace."""
        try:
            message = json.loads(self.Cause)["errorMessage"]
        except (ValueError, KeyError, TypeError):
            message = self.Cause
        return f"{self.Error}: {message}" if message else self.Error


class ProtectConclusion(ProtectTask):
    """How *protect* ended; `error` only when it failed."""

    error: TaskError | None = None


class WatchTask(Message):
    """One look of *watch*: how many there were, how many there are to be, and the seconds between them."""

    round: int
    rounds: int
    pause: int


class FailoverTask(Message):
    """The input of every state of *failover*."""

    model: Model
    failover_id: str
    reason: str
    requested_by: str
    requested_at: dt.datetime
    first_failure_at: dt.datetime | None = None


class Claimed(Message):
    """What claim_epoch found: the epoch, and the point to restore."""

    epoch: int
    recovery_point: str
    endpoint: str
    at: dt.datetime


class ClaimedTask(FailoverTask):
    """A task after the claim."""

    claim: Claimed


class Mark(Message):
    """When a phase ended; an endpoint that is not in service has not ended its phase."""

    at: dt.datetime
    status: str = "InService"


class FailoverConclusion(FailoverTask):
    """How *failover* ended, with the time at which each phase did."""

    claim: Claimed | None = None
    serving: Mark | None = None
    warm: Mark | None = None
    verify: Mark | None = None
    switch: Mark | None = None
    confirm: Mark | None = None
    error: TaskError | None = None


class SealedDetail(Message):
    """The detail of `Recovery Point Sealed`."""

    model: Model
    recovery_point: str
    promoted_at: dt.datetime
    sealed_at: dt.datetime
    rpo_seconds: float
    objects: int
    bytes: int
    source_arn: str
    target_arn: str | None

    @classmethod
    def of(cls, manifest: Manifest, target_arn: str | None) -> Self:
        """Return what a sealed manifest says."""
        return cls(
            model=manifest.model,
            recovery_point=manifest.recovery_point,
            promoted_at=manifest.origin.promoted_at,
            sealed_at=manifest.sealed_at,
            rpo_seconds=round((manifest.sealed_at - manifest.origin.promoted_at).total_seconds(), 3),
            objects=len(manifest.objects),
            bytes=sum(item.size for item in manifest.objects),
            source_arn=manifest.origin.arn,
            target_arn=target_arn,
        )


class FailedDetail(Message):
    """The detail of `Recovery Point Failed`. The phase is SEALED when only what follows the seal failed."""

    model: Model
    recovery_point: str
    phase: Phase
    reason: str


class FailoverCompletedDetail(Message):
    """The detail of `Failover Completed`, whatever its outcome: the evidence, by its own words."""

    model: Model
    failover_id: str
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


def detail(message: Message) -> dict[str, Any]:
    """Return a detail as it travels: a model is written `registry/name`."""
    written = message.model_dump(mode="json")
    return {**written, "model": f"{written['model']['registry']}/{written['model']['name']}"}
