"""The messages we accept and emit, and the inputs of tasks. Unknown fields are ignored, bad ones named."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mldr.domain.datasets import DATASET_NAME, Change, ChangeKind
from mldr.domain.evidence import Evidence, PhaseTime
from mldr.domain.identity import ModelKey
from mldr.domain.manifests import Entry, ShardRef
from mldr.domain.recovery_point import Manifest, Phase, Retention
from mldr.domain.scrub import ALL, FULL, Outcome, Report, ScrubItem
from mldr.domain.snapshots import Difference, How, RestoreRecord, SnapshotRecord
from mldr.domain.transfers import Transfer
from mldr.errors import BadEvent

SOURCE = "mldr"
PROMOTED = "Model Promoted"
SEALED = "Recovery Point Sealed"
FAILED = "Recovery Point Failed"
FAILOVER_REQUESTED = "Failover Requested"
FAILOVER_COMPLETED = "Failover Completed"
SNAPSHOT_REQUESTED = "Dataset Snapshot Requested"
SNAPSHOT_SEALED = "Dataset Snapshot Sealed"
SNAPSHOT_FAILED = "Dataset Snapshot Failed"
RESTORE_REQUESTED = "Dataset Restore Requested"
DATASET_RESTORED = "Dataset Restored"
VERIFICATION_REQUESTED = "Verification Requested"
VERIFICATION_COMPLETED = "Verification Completed"


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


class PieceTask(Message):
    """A piece of a transfer: whose it is does not matter to the function that does it."""

    transfer: Transfer
    retention: Retention
    item: str


class PartsTask(PieceTask):
    """A range of parts of one large object."""

    entry: Entry
    upload: str
    first: int = Field(ge=1)
    last: int = Field(ge=1)


class ShardTask(PieceTask):
    """One shard: what is planned of it is a working file."""

    plan_key: str
    extend: bool = False
    locked_until: dt.datetime | None = None

    @property
    def all_locked_until(self) -> dt.datetime:
        """Return until when everything in the shard is locked once it is copied: what is reused may end sooner."""
        reused = None if self.extend else self.locked_until
        return min(self.retention.until, reused or self.retention.until)


class SealTask(ProtectTask):
    """What the seal needs of the inventory."""

    transfer: Transfer
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


class LayoutTold(Message):
    """How far the layout of a recovery point was when the last call ran out of time."""

    cursor: str = ""


class MaterialiseTask(ClaimedTask):
    """A point to lay out, from where the last call stopped."""

    layout: LayoutTold = LayoutTold()

    @property
    def cursor(self) -> str:
        """Return the last name that is laid out."""
        return self.layout.cursor


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


DatasetName = Annotated[str, Field(pattern=rf"^{DATASET_NAME.pattern}$")]
SnapshotId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$")]


class StoredKey(Message):
    """The object of a storage event."""

    key: str = Field(min_length=1)
    version_id: str = Field(default="", alias="version-id")
    sequencer: str = ""


class BucketName(Message):
    """The bucket of a storage event."""

    name: str


class StorageDetail(Message):
    """The part of a storage event that we use: docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html."""

    bucket: BucketName
    object: StoredKey


class StorageEvent(Message):
    """S3 says that something happened to a key. What is there now is asked for when a snapshot is taken."""

    bucket: str
    region: str
    told_at: dt.datetime
    kind: ChangeKind
    stored: StoredKey

    @classmethod
    def parse(cls, raw: str | dict[str, Any]) -> Self:
        """Read `Object Created` or `Object Deleted` of S3. Raises BadEvent."""
        envelope = Envelope.parse(raw)
        kinds = {"Object Created": ChangeKind.CREATED, "Object Deleted": ChangeKind.DELETED}
        kind = kinds.get(envelope.detail_type) if envelope.source == "aws.s3" else None
        if kind is None:
            raise BadEvent(
                f"detail-type: {envelope.source!r} {envelope.detail_type!r} does not change an object; "
                f"send S3's {' or '.join(kinds)}"
            )
        said = StorageDetail.parse(envelope.detail)
        bucket = said.bucket.name
        return cls(bucket=bucket, region=envelope.region, told_at=envelope.time, kind=kind, stored=said.object)

    def change(self, dataset: str, name: str) -> Change:
        """Return what it means for a dataset."""
        stored = self.stored
        return Change(
            dataset=dataset,
            name=name,
            kind=self.kind,
            told_at=self.told_at,
            version_id=stored.version_id,
            sequencer=stored.sequencer,
        )


class TrainingDetail(Message):
    """The part of a SageMaker training job event that names its data."""

    job: str = Field(alias="TrainingJobName")
    status: str = Field(alias="TrainingJobStatus")
    channels: list[dict[str, Any]] = Field(default=[], alias="InputDataConfig")

    @property
    def uris(self) -> tuple[str, ...]:
        """Return the S3 URIs that the job read."""
        sources = [channel.get("DataSource", {}).get("S3DataSource", {}) for channel in self.channels]
        return tuple(str(source["S3Uri"]) for source in sources if source.get("S3Uri"))


class SnapshotRequest(Message):
    """Somebody asks for a snapshot. With `if_due` only while the policy wants one; with `listing` by a full listing."""

    dataset: DatasetName
    reason: str = Field(min_length=1)
    if_due: bool = False
    listing: bool = False


class SnapshotWish(Message):
    """A wish for snapshots, from whichever event brought it: of a dataset, or of those that a job read."""

    id: str
    told_at: dt.datetime
    region: str
    request: SnapshotRequest | None = None
    uris: tuple[str, ...] = ()
    reason: str

    @classmethod
    def parse(cls, raw: str | dict[str, Any]) -> Self:
        """Read a `Dataset Snapshot Requested` of ours or the end of a SageMaker training job. Raises BadEvent."""
        envelope = Envelope.parse(raw)
        given: dict[str, Any] = {"id": envelope.id, "told_at": envelope.time, "region": envelope.region}
        match envelope.source, envelope.detail_type:
            case "mldr", "Dataset Snapshot Requested":
                request = SnapshotRequest.parse(envelope.detail)
                return cls(**given, request=request, reason=request.reason)
            case "aws.sagemaker", "SageMaker Training Job State Change":
                job = TrainingDetail.parse(envelope.detail)
                uris = job.uris if job.status == "Completed" else ()
                return cls(**given, uris=uris, reason=f"training job {job.job}")
        raise BadEvent(
            f"detail-type: {envelope.source!r} {envelope.detail_type!r} asks for no snapshot; "
            "send mldr's 'Dataset Snapshot Requested' or 'SageMaker Training Job State Change'"
        )


class SnapshotTask(Message):
    """The input of every state of *snapshot*: one attempt at one snapshot."""

    dataset: DatasetName
    snapshot: SnapshotId
    attempt: int


class SnapshotConclusion(SnapshotTask):
    """How *snapshot* ended; `error` only when it failed."""

    error: TaskError | None = None


class SnapshotSealedDetail(Message):
    """The detail of `Dataset Snapshot Sealed`."""

    dataset: DatasetName
    snapshot: SnapshotId
    as_of: dt.datetime
    sealed_at: dt.datetime
    kept_until: dt.datetime
    how: How
    reason: str
    previous: str
    objects: int
    bytes: int
    copied: int
    difference: Difference | None

    @classmethod
    def of(cls, record: SnapshotRecord) -> Self:
        """Return what a sealed record says."""
        known = record.model_dump(include=set(cls.model_fields))
        return cls.model_validate({**known, "reason": record.requested_by})


class SnapshotFailedDetail(Message):
    """The detail of `Dataset Snapshot Failed`."""

    dataset: DatasetName
    snapshot: SnapshotId
    reason: str


class RestoreRequest(Message):
    """Somebody asks for a snapshot, or a part of it, back in a bucket."""

    dataset: DatasetName
    snapshot: SnapshotId
    to: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$")
    prefix: str = ""

    @property
    def bucket(self) -> str:
        """Return the bucket to fill."""
        return self.to.removeprefix("s3://").partition("/")[0]

    @property
    def base(self) -> str:
        """Return what is put before every name."""
        base = self.to.removeprefix("s3://").partition("/")[2]
        return base if not base or base.endswith("/") else f"{base}/"


class RestoreRequested(Message):
    """`Dataset Restore Requested` as it arrives; its event id names the restore."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")
    source: Literal["mldr"]
    detail_type: Literal["Dataset Restore Requested"] = Field(alias="detail-type")
    detail: RestoreRequest


class RestoreTask(RestoreRequest):
    """The input of every state of *restore_dataset*."""

    restore: str


class RestoreShardTask(RestoreTask):
    """One shard of a snapshot to bring back."""

    item: str
    ref: ShardRef


class RestoreConclusion(RestoreTask):
    """How *restore_dataset* ended; `error` only when it failed."""

    error: TaskError | None = None


class RestoredDetail(Message):
    """The detail of `Dataset Restored`, whatever its outcome."""

    dataset: DatasetName
    restore: str
    snapshot: SnapshotId
    to: str
    prefix: str
    outcome: Literal["completed", "failed"]
    reason: str
    objects: int
    bytes: int

    @classmethod
    def of(cls, record: RestoreRecord) -> Self:
        """Return what the record of a restore says."""
        known = record.model_dump(include=set(cls.model_fields))
        return cls.model_validate({**known, "outcome": record.phase.lower()})


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
