"""Storage events, snapshots of datasets, and their restores: the wishes, the tasks, and what is told."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from mldr.domain.datasets import DATASET_NAME, Change, ChangeKind
from mldr.domain.manifests import ShardRef
from mldr.domain.snapshots import Difference, How, RestoreRecord, SnapshotRecord
from mldr.errors import BadEvent
from mldr.events.message import Envelope, Message, TaskError

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
