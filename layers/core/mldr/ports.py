"""What the steps need from the outside world. Every adapter and every fake keeps these promises (tests/contract)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, Protocol

from mldr.domain.evidence import Evidence
from mldr.domain.failover import Epoch, Takeover
from mldr.domain.health import HealthState, Observation
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.images import Image
from mldr.domain.policy import Policy
from mldr.domain.recovery_point import Checksum, PinnedObject, Record, Retention, SourceVersion
from mldr.domain.registry import RegistryEntry
from mldr.domain.routing import FailoverRecord, Front, Route
from mldr.domain.serving import ServingPlan


class Clock(Protocol):
    """Time."""

    def now(self) -> dt.datetime:
        """Return the time in UTC."""


class FoundObject(Frozen):
    """An object of the source as S3 describes it. `checksum` is None when S3 has none over the whole object."""

    source: SourceVersion
    size: int
    etag: str
    checksum: Checksum | None
    content_type: str = "binary/octet-stream"
    metadata: dict[str, str] = {}


class Sources(Protocol):
    """Objects in the active region: read, never written."""

    def find(self, bucket: str, key: str, version_id: str | None = None) -> FoundObject:
        """Return the current version, or the named one. Raises MissingArtifact."""

    def list(self, bucket: str, prefix: str) -> Iterator[str]:
        """Yield the keys under a prefix, in order. Raises MissingArtifact when the bucket does not exist."""

    def digest(self, source: SourceVersion, etag: str) -> Checksum:
        """Return the SHA-256 of the bytes, read in pieces. Raises ArtifactChanged when they are not of this ETag."""

    def read(self, source: SourceVersion, limit: int) -> bytes:
        """Return the bytes of a small object. Raises BadReference when it is larger than `limit`."""


class StoredObject(Frozen):
    """An object of the vault as S3 describes it."""

    version_id: str
    size: int
    checksum: Checksum | None


class Vault(Protocol):
    """The versioned, locked bucket in the standby region."""

    def copy(self, item: PinnedObject) -> None:
        """Copy a pinned version to its key, on the server. Copying twice is harmless; a damaged copy is made again.

        Raises MissingArtifact when the pinned version is gone, ArtifactChanged when it has another ETag, VaultRefused.
        """

    def stored(self, key: str, version_id: str | None = None) -> StoredObject | None:
        """Return what is at a key, or None."""

    def digest(self, key: str, version_id: str) -> Checksum:
        """Return the SHA-256 of the bytes, read in pieces."""

    def lock(self, key: str, version_id: str, retention: Retention) -> None:
        """Keep a version until a time. Locking again to the same or a later time is harmless."""

    def seal(self, key: str, content: bytes, retention: Retention) -> str:
        """Write a locked object where none is, and return its version. Raises LostRace when one is there already."""

    def read(self, key: str, version_id: str | None = None) -> bytes | None:
        """Return the bytes at a key, or None."""

    def versions(self, key: str) -> list[str]:
        """Return the versions of a key, the oldest first. A delete marker hides none of them."""

    def keep(self, key: str, content: bytes) -> None:
        """Write a working file, over whatever is there."""

    def uri(self, key: str) -> str:
        """Return the s3:// URI of a key."""


class Catalog(Protocol):
    """Recovery points, epochs, routes and health in one table of the standby region."""

    def begin(self, record: Record) -> Record:
        """Write a new record, or return the one that is there."""

    def resume(self, record: Record, attempt: int) -> Record:
        """Take the next attempt of an unfinished point: attempt + 1, CAPTURING. Raises LostRace when another did."""

    def advance(self, record: Record) -> None:
        """Write a record of the same attempt, but for `target_arn` and `withdrawn`, which only `annotate` sets.

        Raises LostRace when the attempt is over or the point is sealed.
        """

    def annotate(self, model: ModelKey, recovery_point: str, **fields: str | None) -> None:
        """Set `target_arn`, `withdrawn` or `reason`, whatever the phase. Raises LostRace when there is no record."""

    def record(self, model: ModelKey, recovery_point: str) -> Record | None:
        """Return one record, or None."""

    def records(self, model: ModelKey) -> list[Record]:
        """Return all records of a model."""

    def models(self) -> list[ModelKey]:
        """Return every model that has a record."""

    def epoch(self, model: ModelKey) -> Epoch | None:
        """Return the current epoch, or None."""

    def claim(self, model: ModelKey, epoch: Epoch, previous: Epoch | None) -> None:
        """Write the epoch if `previous` is still current. Raises LostRace."""

    def conclude(self, model: ModelKey, epoch: Epoch) -> None:
        """Mark an epoch as concluded, if it is still current."""

    def flip(self, model: ModelKey, takeover: Takeover, epoch: Epoch) -> None:
        """Turn the takeover switch on, only while `epoch` is current. Raises EpochTaken."""

    def takeover(self, model: ModelKey) -> Takeover | None:
        """Return the takeover switch, or None while it is off."""

    def put_route(self, model: ModelKey, route: Route, checks: dict[str, str]) -> None:
        """Remember the onboarded graph and its health check ids, by role."""

    def route(self, model: ModelKey) -> Route | None:
        """Return the onboarded graph, or None."""

    def health(self, model: ModelKey) -> HealthState:
        """Return what the last round left."""

    def put_health(self, model: ModelKey, state: HealthState) -> None:
        """Remember this round."""


class Registry(Protocol):
    """A model registry that has a side in each region."""

    def describe(self, arn: str) -> RegistryEntry:
        """Return a version of the active region. Raises MissingArtifact."""

    def models(self) -> Iterator[ModelKey]:
        """Yield every model of the active region."""

    def newest_approved(self, model: ModelKey) -> str | None:
        """Return the ARN of the newest approved version in the active region, or None."""

    def register(self, entry: RegistryEntry, recovery_point: str) -> str:
        """Register a version in the standby region and return its ARN there. Registering twice gives the same ARN."""

    def set_status(self, arn: str, status: str) -> None:
        """Set the approval of a version in the standby region."""


class Images(Protocol):
    """Container images in ECR, in both regions."""

    def digest(self, image: Image) -> str | None:
        """Return the image's digest in its region, or None when it is not there."""


class PolicyStore(Protocol):
    """The policy in force."""

    def load(self) -> tuple[Policy, str]:
        """Return the policy and its version. Raises BadPolicy."""


class Status(StrEnum):
    """How an execution stands."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"  # and concluded: its failure was recorded and told
    LOST = "LOST"  # aborted, out of time, or dead before it concluded


class Workflows(Protocol):
    """State machines."""

    def start(self, name: str, payload: dict[str, Any]) -> None:
        """Start an execution. The same name again is harmless."""

    def status(self, name: str) -> Status | None:
        """Return how an execution stands, or None when there is none of this name."""


class Bus(Protocol):
    """The `mldr` event bus of this region."""

    def put(self, detail_type: str, detail: dict[str, Any]) -> None:
        """Publish an event with source `mldr`."""


class Pager(Protocol):
    """The way to a person."""

    def page(self, subject: str, message: str) -> None:
        """Tell the person on call."""


class Serving(Protocol):
    """SageMaker endpoints of this region."""

    def restore(self, plan: ServingPlan) -> None:
        """Create whichever of model, endpoint configuration and endpoint is missing. Raises EndpointFailed."""

    def status(self, endpoint: str) -> tuple[str, str]:
        """Return (EndpointStatus, FailureReason or ''). `Missing` when there is none."""

    def invoke(self, endpoint: str, body: bytes, content_type: str, accept: str = "") -> tuple[bytes, str]:
        """Return (answer, content type). Raises EndpointFailed when the endpoint is missing or its container failed."""


class Dns(Protocol):
    """Route 53: health checks and records. Called when a model is onboarded, never during recovery."""

    def ensure_checks(self, model: ModelKey, route: Route) -> dict[str, str]:
        """Create the missing health checks; return id by role."""

    def ensure_records(self, records: Sequence[FailoverRecord], ttl: int, check_ids: dict[str, str]) -> None:
        """Create or correct records. Raises ZoneMissing."""


class Fronts(Protocol):
    """Where the gateways are. Read when a model is onboarded, never during recovery."""

    def front(self, region: str) -> Front:
        """Return a region's gateway. Raises ZoneMissing when the region has none."""


class Outside(Protocol):
    """The world as clients see it: names and gateways over the public network."""

    def text(self, name: str) -> str | None:
        """Return the TXT record of a name, or None when it does not resolve: how a canary is read."""

    def probe(self, host: str, path: str) -> Observation:
        """Return what an HTTPS request to a gateway saw."""

    def target(self, name: str) -> str | None:
        """Return the host that a name points to right now, or None when it does not resolve."""


class EvidenceStore(Protocol):
    """The chains of evidence in the vault."""

    def append(self, draft: Evidence) -> Evidence:
        """Store a record at the end of its model's chain, which numbers and links it; one id is one record."""


class Tokens(Protocol):
    """The secret that clients of the gateway present."""

    def valid(self, presented: str) -> bool:
        """Return whether a bearer token is the right one; compared in constant time."""
