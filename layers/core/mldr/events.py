"""The messages we accept and emit, and the inputs of tasks. Unknown fields are ignored, bad ones named."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mldr.domain.datasets import DATASET_NAME, Change, ChangeKind
from mldr.domain.evidence import Evidence, ModelOutcome, PhaseTime
from mldr.domain.failover import Kind
from mldr.domain.identity import ModelKey
from mldr.domain.manifests import Entry, ShardRef
from mldr.domain.prediction_cache import Cached
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
FAILOVER_APPROVED = "Failover Approved"
FAILBACK_REQUESTED = "Failback Requested"
FAILBACK_COMPLETED = "Failback Completed"
SNAPSHOT_REQUESTED = "Dataset Snapshot Requested"
SNAPSHOT_SEALED = "Dataset Snapshot Sealed"
SNAPSHOT_FAILED = "Dataset Snapshot Failed"
RESTORE_REQUESTED = "Dataset Restore Requested"
DATASET_RESTORED = "Dataset Restored"
TIERS_DUE = "Tiers Due"
PREDICTIONS_KEPT = "Predictions Kept"
SERVING_CAPTURE_REQUESTED = "Serving Capture Requested"
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


RegionName = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]


class RegionRequest(Message):
    """Somebody asks for all models of a region at once.

    With `Failover Requested` it is the region that they leave; with `Failback Requested` their home, which takes them
    back. A `move` is planned: the region that is left is well.
    """

    region: RegionName
    reason: str = Field(min_length=1)
    requested_by: str = "unknown"
    failover_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,60}$")
    kind: Literal[Kind.FAILOVER, Kind.MOVE] = Kind.FAILOVER
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


class FailoverApproval(Message):
    """A person confirms the failover that a page asked about."""

    model: Model
    token: str = Field(min_length=8, max_length=200)
    approved_by: str = Field(default="unknown", min_length=1, max_length=200)
    approval_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,60}$")


class FailoverApproved(Message):
    """`Failover Approved` as it arrives. Its event id is the approval's unless it brings an id of its own."""

    id: str
    source: Literal["mldr"]
    detail_type: Literal["Failover Approved"] = Field(alias="detail-type")
    detail: FailoverApproval

    @property
    def approval_id(self) -> str:
        """Return the id under which this approval counts once, however often the event arrives."""
        return self.detail.approval_id or self.id


class EndpointDetail(Message):
    """The part of a SageMaker endpoint event that we trust; all else is described anew."""

    name: str = Field(alias="EndpointName", pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,62}$")
    status: str = Field(alias="EndpointStatus", min_length=1)


class ServingCaptureRequest(Message):
    """Somebody asks for a model's serving state to be looked at."""

    model: Model
    reason: str = Field(min_length=1)


class ServingNotice(Message):
    """The envelope of what may have changed a serving state. SageMaker's own documentation writes the time as a number
    in a text, so it is not read.
    """

    id: str
    source: str
    detail_type: str = Field(alias="detail-type")
    region: str
    detail: dict[str, Any]


class ServingWish(Message):
    """A serving state that may have changed, of an endpoint or of a model, from whichever event said so."""

    id: str
    region: str
    reason: str
    endpoint: str = ""
    model: ModelKey | None = None

    @classmethod
    def parse(cls, raw: str | dict[str, Any]) -> Self:
        """Read an endpoint event of SageMaker, a `Recovery Point Sealed` or a request of ours. Raises BadEvent."""
        told = ServingNotice.parse(raw)
        given: dict[str, Any] = {"id": told.id, "region": told.region}
        match told.source, told.detail_type:
            case "aws.sagemaker", "SageMaker Endpoint State Change" | "SageMaker Endpoint Deployment State Change":
                endpoint = EndpointDetail.parse(told.detail)
                return cls(**given, endpoint=endpoint.name, reason=f"{told.detail_type}: {endpoint.status}")
            case "mldr", "Recovery Point Sealed":
                sealed = SealedNotice.parse(told.detail)
                return cls(**given, model=sealed.model, reason=f"{sealed.recovery_point} was sealed")
            case "mldr", "Serving Capture Requested":
                asked = ServingCaptureRequest.parse(told.detail)
                return cls(**given, model=asked.model, reason=asked.reason)
        raise BadEvent(
            f"detail-type: {told.source!r} {told.detail_type!r} says nothing of an endpoint; "
            "send 'SageMaker Endpoint State Change' or mldr's 'Serving Capture Requested'"
        )


class TiersDue(Message):
    """The detail of `Tiers Due`, and what is read of any event after which other endpoints may be wanted."""

    model: Model | None = None


class TiersWish(Message):
    """Endpoints that stand are to be looked at: of one model, or of all."""

    id: str
    model: ModelKey | None = None
    reason: str

    @classmethod
    def parse(cls, raw: str | dict[str, Any]) -> Self:
        """Read `Tiers Due`, or an event of ours that changes what a tier wants. Raises BadEvent."""
        told = TiersEnvelope.parse(raw)
        model = TiersDue.parse(told.detail).model
        return cls(id=told.id, model=model, reason=told.detail_type)


class TiersEnvelope(Message):
    """The envelope of such an event."""

    id: str
    source: Literal["mldr"]
    detail_type: Literal["Tiers Due", "Recovery Point Sealed", "Failover Completed", "Failback Completed"] = Field(
        alias="detail-type"
    )
    detail: dict[str, Any] = {}


class KeptDetail(Message):
    """The detail of `Predictions Kept`."""

    entries: tuple[Cached, ...] = Field(max_length=1000)


class PredictionsKept(Message):
    """Answers that a region gave: as its gateway offers them, or as EventBridge delivers them to the other one."""

    region: str
    detail: KeptDetail

    @property
    def entries(self) -> tuple[Cached, ...]:
        """Return the answers."""
        return self.detail.entries


class SealedNotice(Message):
    """Which point was sealed."""

    model: Model
    recovery_point: str


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


class DigestTask(Message):
    """A look at the checksums that S3 computes for the shards that a map has read."""

    shards_key: str = Field(pattern=r"^in-progress/.+/[^/]+\.json$")


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
    kind: Kind = Kind.FAILOVER
    reason: str
    requested_by: str
    requested_at: dt.datetime
    first_failure_at: dt.datetime | None = None


class GateTold(Message):
    """What the gate of a planned move found: the point that holds what the peer serves."""

    recovery_point: str = ""


class MoveTask(FailoverTask):
    """A task at, or after, the gate of a planned move."""

    gate: GateTold | None = None


class Claimed(Message):
    """What claim_epoch found: the epoch, and the point to restore.

    `at_home` says that the model's own endpoint may serve it, `reuse` that it does: then nothing is restored. `stands`
    says that an endpoint of mldr's is there for it already.
    """

    epoch: int
    recovery_point: str
    endpoint: str
    at: dt.datetime
    at_home: bool = False
    reuse: bool = False
    stands: bool = False


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
    serving: Mark | None = None
    warm: WarmMark | None = None
    verify: Mark | None = None
    switch: SwitchMark | None = None
    confirm: Mark | None = None
    error: TaskError | None = None


class EvacuationTask(Message):
    """The input of every state of *evacuate*."""

    region: str
    failover_id: str
    kind: Kind
    reason: str
    requested_by: str
    requested_at: dt.datetime
    first_failure_at: dt.datetime | None = None

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


class RecoverTask(FailoverTask):
    """One model of an evacuation, to start and to follow."""

    poll_seconds: int


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
