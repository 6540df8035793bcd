"""Promotions, the tasks of *protect*, and what is told of a recovery point."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Self

from pydantic import Field

from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import Manifest, Phase, Retention
from mldr.domain.transfers import Transfer
from mldr.errors import BadEvent
from mldr.events.message import Envelope, Message, Model, TaskError

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


class SealedNotice(Message):
    """Which point was sealed."""

    model: Model
    recovery_point: str


class ProtectTask(Message):
    """The input of every state of *protect*: one attempt at one recovery point."""

    model: Model
    recovery_point: str
    attempt: int


class SealTask(ProtectTask):
    """What the seal needs of the inventory."""

    transfer: Transfer
    retention: Retention


class InventoryTold(Message):
    """What of the inventory the end of *protect* needs: the plan whose pieces may have failed."""

    transfer: Transfer | None = None


class InventoryValue(Message):
    """The inventory as the state machine keeps it."""

    value: InventoryTold = InventoryTold()


class ProtectConclusion(ProtectTask):
    """How *protect* ended; `error` only when it failed."""

    error: TaskError | None = None
    inventory: InventoryValue = InventoryValue()

    @property
    def transfer(self) -> Transfer | None:
        """Return the plan that was in force, if the inventory came that far."""
        return self.inventory.value.transfer


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
            objects=manifest.objects,
            bytes=manifest.bytes,
            source_arn=manifest.origin.arn,
            target_arn=target_arn,
        )


class FailedDetail(Message):
    """The detail of `Recovery Point Failed`. The phase is SEALED when only what follows the seal failed."""

    model: Model
    recovery_point: str
    phase: Phase
    reason: str
