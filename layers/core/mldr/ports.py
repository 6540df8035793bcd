"""What the steps need from the outside world. Every adapter and every fake keeps these promises (tests/contract)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from mldr.domain.approvals import Approval
from mldr.domain.capacity import Capacity
from mldr.domain.datasets import Change
from mldr.domain.deep_health import Proof
from mldr.domain.digest_jobs import Computed, JobState, Target
from mldr.domain.evidence import Evidence
from mldr.domain.failover import Epoch, Takeover
from mldr.domain.golden import GoldenInference
from mldr.domain.health import Decided, HealthState, Observation
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.images import Image
from mldr.domain.lag import Measured
from mldr.domain.leadership import Announcement, Leadership, Standing
from mldr.domain.manifests import Entry
from mldr.domain.policy import Policy
from mldr.domain.prediction_cache import Cached, Look, Sighting
from mldr.domain.recovery_point import Checksum, Record, Retention, SourceVersion
from mldr.domain.region_plan import Direction, ModelFacts
from mldr.domain.registry import RegistryEntry
from mldr.domain.routing import FailoverRecord, Front, Route
from mldr.domain.scrub import Tally
from mldr.domain.serving import ServingPlan
from mldr.domain.serving_state import Observed, Refusal, ServingState
from mldr.domain.snapshots import RestoreRecord, SnapshotRecord
from mldr.domain.tiers import Held
from mldr.domain.transfers import CopyLimits, Part, Transfer, WorkItem
from mldr.domain.warming import Count


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
    modified: int = 0  # when it was written: microseconds since 1970, UTC


class Listed(NamedTuple):
    """One object version as a listing shows it."""

    key: str
    version_id: str  # `null` where the bucket keeps no versions
    etag: str
    size: int  # bytes
    modified: int  # microseconds since 1970, UTC; S3 gives whole seconds
    algorithms: tuple[str, ...]  # the checksums that S3 holds of the whole object


class Sources(Protocol):
    """Objects in the active region: read, never written."""

    def find(self, bucket: str, key: str, version_id: str | None = None) -> FoundObject:
        """Return the current version, or the named one. Raises MissingArtifact."""

    def list(self, bucket: str, prefix: str, *, after: str = "", as_of: dt.datetime | None = None) -> Iterator[Listed]:
        """Yield, in the order of keys and after a key, the version of each that was current at `as_of`, or is now.

        A key whose current version was a delete marker is not yielded. Raises MissingArtifact when the bucket does not
        exist, SourceNotVersioned when `as_of` is given and the bucket does not keep every version.
        """

    def read(self, source: SourceVersion, limit: int) -> bytes:
        """Return the bytes of a small object. Raises BadReference when it is larger than `limit`."""

    def stream(self, bucket: str, key: str) -> Iterator[bytes]:
        """Yield the bytes of an object of any size, some at a time. Raises MissingArtifact."""


class Vault(Protocol):
    """The versioned, locked bucket in the standby region."""

    def lock(self, key: str, version_id: str, retention: Retention) -> None:
        """Keep a version until a time. Locking again to the same or a later time is harmless."""

    def seal(self, key: str, content: bytes, retention: Retention) -> str:
        """Write a locked object where none is, and return its version. Raises LostRace when one is there already."""

    def read(self, key: str, version_id: str | None = None) -> bytes | None:
        """Return the bytes at a key, or None."""

    def versions(self, key: str) -> list[str]:
        """Return the versions of a key, the oldest first. A delete marker hides none of them."""

    def keys(self, prefix: str) -> list[str]:
        """Return the keys under a prefix, in order. A delete marker hides none of them."""

    def keep(self, key: str, content: bytes) -> None:
        """Write a working file, over whatever is there."""

    def uri(self, key: str) -> str:
        """Return the s3:// URI of a key."""


class Copier(Protocol):
    """Copies of pinned objects in the vault, made on the server, locked, and verified before they are returned."""

    @property
    def limits(self) -> CopyLimits:
        """Where one call stops and parts begin."""

    def copy(
        self, entries: Iterable[Entry], retention: Retention | None, *, sha256: bool = False, anew: bool = False
    ) -> Iterator[Entry]:
        """Yield each entry with its verified copy, in order; many at once, as fast as S3 takes them.

        An entry that is copied already only has its lock extended. An object above `CopyLimits.single_copy` is
        completed from the parts that `copy_parts` left. With `sha256` every object gets a SHA-256 as well. With `anew`
        it is copied again, whatever is there: S3's description of a copy whose bytes went bad says nothing of it.
        Raises MissingArtifact, ArtifactChanged, ChecksumMismatch, ChecksumUnavailable, PartsMissing, VaultRefused,
        NotAllowed, Throttled.
        """

    def open_upload(self, entry: Entry, retention: Retention | None) -> str:
        """Return the id of the multipart upload of a large object; an open one of an earlier attempt is used again.

        '' when the vault has the object already: there are no parts to copy, and `copy` verifies it. An entry that is
        copied already is to be copied anew.
        """

    def copy_parts(self, entry: Entry, upload: str, parts: Sequence[Part]) -> None:
        """Copy and verify ranges of a large object. What is there is kept; a part of another size is copied again.

        Harmless when the upload is completed already. Raises what `copy` raises.
        """

    def extend(self, entries: Iterable[Entry], retention: Retention) -> None:
        """Lock copies until a later time. Harmless when they are locked for longer."""


class Catalog(Protocol):
    """Recovery points, epochs, routes and health in one table of the standby region."""

    def begin(self, record: Record) -> Record:
        """Write a new record, or return the one that is there."""

    def resume(self, record: Record, attempt: int) -> Record:
        """Take the next attempt of an unfinished point: attempt + 1, CAPTURING. Raises LostRace when another did."""

    def advance(self, record: Record) -> None:
        """Write a record of the same attempt, but for `target_arn`, `withdrawn` and `damaged`: `annotate` sets those.

        Raises LostRace when the attempt is over or the point is sealed.
        """

    def annotate(self, model: ModelKey, recovery_point: str, **fields: str | None) -> None:
        """Set `target_arn`, `withdrawn`, `damaged` or `reason`, in any phase. Raises LostRace without a record."""

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
        """Turn the takeover switch on, while `epoch` is current and no higher one was learned. Raises EpochTaken."""

    def takeover(self, model: ModelKey) -> Takeover | None:
        """Return the takeover switch, or None while it is off."""

    def leadership(self, model: ModelKey) -> Leadership:
        """Return what is known of who serves a model, in one read."""

    def standing(self, model: ModelKey) -> Standing | None:
        """Return what the peer was last seen to announce, or None."""

    def standings(self) -> list[tuple[ModelKey, Standing]]:
        """Return the standing of every model that has one."""

    def learn(self, model: ModelKey, standing: Standing) -> None:
        """Remember what the peer announced. One of an older epoch than what is known is ignored."""

    def stand_down(self, model: ModelKey, standing: Standing) -> None:
        """Turn the takeover switch off if its epoch is older. Harmless when it is off, or newer."""

    def capacity(self) -> Capacity | None:
        """Return what this region was last read to be able to carry, or None."""

    def put_capacity(self, capacity: Capacity) -> None:
        """Remember what this region can carry."""

    def put_route(self, model: ModelKey, route: Route, checks: dict[str, str]) -> None:
        """Remember the onboarded graph and its health check ids, by role."""

    def route(self, model: ModelKey) -> Route | None:
        """Return the onboarded graph, or None."""

    def health(self, model: ModelKey) -> HealthState:
        """Return what the last round left."""

    def put_health(self, model: ModelKey, state: HealthState) -> None:
        """Remember this round."""

    def open_transfer(self, transfer: Transfer, items: Iterable[WorkItem]) -> None:
        """Put a plan and its items in force, in place of the plan before. Again for the same plan is harmless:

        an item that is done stays done.
        """

    def transfer(self, owner: str, name: str) -> Transfer | None:
        """Return the plan in force, or None."""

    def item_done(self, transfer: Transfer, item: WorkItem) -> None:
        """Note that an item is done; again is harmless. Raises LostRace when another plan is in force."""

    def items(self, transfer: Transfer) -> list[WorkItem]:
        """Return the items of a plan, by name."""


class Decisions(Protocol):
    """What was decided about each model's health, and what persons were asked."""

    def log(self, model: ModelKey, decided: Decided) -> None:
        """Write a line, in place of the line that began at the same time. It is kept for a month."""

    def newest(self, model: ModelKey, limit: int) -> list[Decided]:
        """Return the newest lines, the newest first."""

    def approval(self, model: ModelKey) -> Approval | None:
        """Return what a person was asked last, and what came of it, or None."""

    def ask(self, model: ModelKey, approval: Approval) -> None:
        """Remember a question in place of the one before, whose token counts no more."""

    def settle(self, model: ModelKey, approval: Approval) -> None:
        """Write what came of a question, once. Raises LostRace when it is settled already, or another was asked."""


class Proofs(Protocol):
    """When each model last answered a golden request of the gateway, and what it said."""

    def newest(self, model: ModelKey) -> Proof | None:
        """Return the last proof, or None."""

    def put(self, model: ModelKey, proof: Proof, previous: Proof | None) -> None:
        """Write a proof if `previous` is still the last one. Raises LostRace."""


class Goldens(Protocol):
    """Golden inferences of this region."""

    def first(self, uri: str, version_id: str | None = None) -> GoldenInference:
        """Return the first inference of a file. Raises MissingArtifact, BadGolden, NotAllowed."""


class VaultBytes(Protocol):
    """The bytes of the vault's objects, read to be checked."""

    def piece(self, key: str, version_id: str, first: int, size: int) -> tuple[bytes, int]:
        """Return at most `size` bytes from `first` on, and how many the whole object has. Many threads may ask at once.

        Raises MissingArtifact when the version is gone, Throttled, RegionUnreachable.
        """


class DigestJobs(Protocol):
    """Checksums that S3 computes over objects of the vault: many of them, and large ones, in hours."""

    def start(self, name: str, token: str, targets: Iterable[Target], algorithm: str) -> str:
        """Start a job and return its id; its list and its report are working files that begin with `name`.

        The same token again gives the same job. Raises ChecksumUnavailable when it is refused, NotAllowed, Throttled,
        RegionUnreachable.
        """

    def state(self, job: str) -> JobState:
        """Return how a job stands."""

    def results(self, job: str, algorithm: str) -> Iterator[Computed]:
        """Yield the lines of an ended job's report, in any order; nothing when it failed before any was computed."""


class Scrubs(Protocol):
    """What the last checks of the vault's bytes found."""

    def note(self, tally: Tally) -> None:
        """Remember what a run found of its owner, in place of the run before."""

    def last(self, owner: str) -> Tally | None:
        """Return what the last run found of an owner, or None when it was never checked."""


class Metrics(Protocol):
    """Figures that alarms look at."""

    def publish(self, figures: Sequence[Measured]) -> None:
        """Publish figures, as of now, for this environment."""


class Registry(Protocol):
    """A model registry that has a side in each region."""

    def describe(self, arn: str) -> RegistryEntry:
        """Return a version of the active region. Raises MissingArtifact."""

    def own(self, arn: str) -> RegistryEntry:
        """Return a version of this region. Raises MissingArtifact."""

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


class Finished(Frozen):
    """How what a plan creates stands, and what of it could not be registered though it serves."""

    status: str
    reason: str = ""
    warnings: tuple[str, ...] = ()


class Serving(Protocol):
    """SageMaker endpoints of this region."""

    def restore(self, plan: ServingPlan) -> None:
        """Create whichever of models, endpoint configuration and endpoint is missing. Raises EndpointFailed."""

    def finish(self, plan: ServingPlan) -> Finished:
        """Create what needs the endpoint in service: inference components, then autoscaling.

        InService once all of it serves. Autoscaling that is refused is a warning: the capacity is there without it.
        Raises EndpointFailed.
        """

    def scale(self, endpoint: str, counts: dict[str, int], weights: dict[str, float] | None = None) -> None:
        """Ask for an instance count, or a traffic weight, of each named variant. Raises EndpointFailed when refused."""

    def capacity(self, endpoint: str) -> dict[str, Count]:
        """Return the instances of each production variant that has any; empty when there is no endpoint."""

    def status(self, endpoint: str) -> tuple[str, str]:
        """Return (EndpointStatus, FailureReason or ''). `Missing` when there is none."""

    def invoke(self, endpoint: str, body: bytes, content_type: str, accept: str = "") -> tuple[bytes, str]:
        """Return (answer, content type). Raises EndpointFailed when the endpoint is missing or its container failed."""


class StandingEndpoints(Protocol):
    """mldr's own endpoints in this region, known by their tags. What anybody else made is never seen nor touched."""

    def held(self) -> list[Held]:
        """Return every endpoint that mldr made for a model."""

    def shrink(self, endpoint: str, counts: dict[str, int]) -> None:
        """Take autoscaling away and ask for these counts. Raises EndpointFailed when it is refused."""

    def delete(self, endpoint: str) -> None:
        """Delete an endpoint with its configuration, models and components; what is gone already is no matter.

        Raises NotAllowed for one that is not mldr's.
        """


class ServingSource(Protocol):
    """SageMaker endpoints of the active region: read, never written."""

    def observe(self, endpoint: str) -> Observed:
        """Return what serves; status `Missing` when nothing does. Raises LostRace when it changed meanwhile."""


class InferenceServices(Protocol):
    """KServe's objects in one cluster, as dicts.

    Every call raises NotAllowed, Throttled or RegionUnreachable where the cluster forbids, delays or does not answer.
    """

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Return an InferenceService, ServingRuntime, ClusterServingRuntime or Knative Revision, or None."""

    def create(self, document: dict[str, Any]) -> dict[str, Any]:
        """Create an object and return it. Raises LostRace when it is there, EndpointFailed when it is not valid."""

    def replace(self, document: dict[str, Any]) -> dict[str, Any]:
        """Write over the object of the given resourceVersion. Raises LostRace when it is another by now."""


class Clusters(Protocol):
    """The Kubernetes clusters that the policy names."""

    def services(self, cluster: str, region: str) -> InferenceServices:
        """Return a cluster's objects in a region. Raises BadPolicy when the policy does not say how it is reached."""

    def ingress(self, cluster: str, region: str) -> str:
        """Return the origin through which a cluster's services are asked, '' for the services' own URLs."""


class ServingCaptures(Protocol):
    """Captured serving states, locked in the vault; the catalog knows the newest."""

    def put(self, state: ServingState) -> None:
        """Keep a state. An older one that comes later is kept, too, and does not become the newest."""

    def newest(self, model: ModelKey, as_of: dt.datetime | None = None) -> ServingState | None:
        """Return the state that was captured last, or last until a time; None when there is none."""

    def refuse(self, model: ModelKey, refusal: Refusal) -> None:
        """Remember why the last look could not be captured."""

    def refusal(self, model: ModelKey) -> Refusal | None:
        """Return what was remembered last, or None."""


class OwnEndpoints(Protocol):
    """Endpoints of this region that mldr did not restore: the models' own ones."""

    def contents(self, endpoint: str) -> frozenset[str]:
        """Return the model packages, else the images and S3 URIs, that it was made of; empty unless it serves."""

    def look(self, endpoint: str) -> Look:
        """Return what any endpoint of this region is now; status `Missing` without one."""


class PredictionCache(Protocol):
    """Answers of models, in this region, each in its slot."""

    def read(self, model: ModelKey, slot: int) -> tuple[Cached | None, Sighting | None]:
        """Return what is in a slot, and what was last seen serving the model, in one read.

        It waits a moment at the most. Raises RegionUnreachable, Throttled, NotAllowed.
        """

    def sighting(self, model: ModelKey) -> Sighting | None:
        """Return what was last seen serving the model, or None."""

    def see(self, model: ModelKey, sighting: Sighting) -> None:
        """Remember what serves a model. An older look changes nothing."""

    def keep(self, entry: Cached) -> bool:
        """Put an entry into its slot, unless a higher epoch or a newer answer is there; return whether it is there."""


class Offers(Protocol):
    """The way of new answers into the cache, outside of the request that they answered."""

    def offer(self, entry: Cached) -> None:
        """Hand an answer over. It waits a moment at the most. Raises what `PredictionCache.read` raises."""


class RegionFacts(Protocol):
    """What this region knows of the models of the other one, for a plan of all of them."""

    def gather(self, direction: Direction, now: dt.datetime) -> list[ModelFacts]:
        """Return what is known of every model that would move; many are read at once."""


class Quotas(Protocol):
    """What this region lets endpoints use, and what they use. Read on a schedule, never during recovery."""

    def limits(self) -> dict[str, int]:
        """Return the quota of instances for endpoints, by instance type."""

    def used(self) -> dict[str, int]:
        """Return the instances that the endpoints of this region hold or asked for, by instance type."""


class Dns(Protocol):
    """Route 53: health checks and records. Called when a model is onboarded, never during recovery."""

    def ensure_checks(self, model: ModelKey, route: Route) -> dict[str, str]:
        """Create the missing health checks; return id by role."""

    def ensure_records(self, records: Sequence[FailoverRecord], ttl: int, check_ids: dict[str, str]) -> None:
        """Create or correct records. Raises ZoneMissing."""


class SwitchSignal(Protocol):
    """What Route 53's checkers see of a takeover switch. The catalog decides; this only shows what it says."""

    def show(self, model: ModelKey, *, on: bool, at_home: bool) -> None:
        """Show at once that this region has, or has not, taken the model over (at home: taken it back)."""


class RoutingControls(Protocol):
    """ARC routing controls: their data plane, never a look-up."""

    def point(self, model: ModelKey, region: str) -> bool:
        """Send a model's traffic to a region, all of its controls in one step; False where it has none.

        Pointing twice is harmless. Raises RoutingRefused, RegionUnreachable; then no control has changed.
        """


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

    def ask_witness(self, witness: str, host: str, model: ModelKey, token: str) -> Observation:
        """Return what a witness in another region saw of a gateway; unknown when it cannot be asked."""

    def target(self, name: str) -> str | None:
        """Return the host that a name points to right now, or None when it does not resolve."""

    def announcement(self, host: str, model: ModelKey) -> Announcement | None:
        """Return what a gateway says of who serves a model, within a second, or None when it does not."""


class EvidenceStore(Protocol):
    """The chains of evidence in the vault."""

    def append(self, draft: Evidence) -> Evidence:
        """Store a record at the end of its model's chain, which numbers and links it; one id is one record."""

    def newest(self, model: ModelKey, limit: int) -> list[Evidence]:
        """Return the last records of a chain, the newest first."""


class Tokens(Protocol):
    """The secret that clients of the gateway present."""

    def valid(self, presented: str) -> bool:
        """Return whether a bearer token is the right one; compared in constant time."""

    def present(self) -> str:
        """Return the token, to show it to a gateway."""


class Datasets(Protocol):
    """Snapshots of datasets, restores, and the log of what storage events told, in the catalog's table."""

    def begin(self, record: SnapshotRecord) -> None:
        """Write a new record and make it the running one of its dataset.

        Raises LostRace when it exists already, or when another snapshot of the dataset is running.
        """

    def resume(self, record: SnapshotRecord) -> SnapshotRecord:
        """Take the next attempt of a snapshot that runs: attempt + 1, CAPTURING. Raises LostRace when another did."""

    def advance(self, record: SnapshotRecord) -> None:
        """Write a record of the same attempt, but for `again`, which only `ask_again` sets.

        When it is over the dataset is free for the next one; a sealed one becomes the newest of its dataset.
        Raises LostRace when the attempt is over.
        """

    def annotate(self, record: SnapshotRecord) -> None:
        """Write what was counted after the seal: `difference`. Raises LostRace when there is no such record."""

    def ask_again(self, dataset: str, snapshot: str, why: str) -> None:
        """Remember that another snapshot is wanted after this one. Raises LostRace when this one is over."""

    def running(self, dataset: str) -> SnapshotRecord | None:
        """Return the snapshot of a dataset that has not ended, or None."""

    def newest(self, dataset: str) -> SnapshotRecord | None:
        """Return the sealed snapshot of the latest instant, or None."""

    def record(self, dataset: str, snapshot: str) -> SnapshotRecord | None:
        """Return one record, or None."""

    def records(self, dataset: str) -> Iterator[SnapshotRecord]:
        """Yield the records of a dataset, the newest first."""

    def names(self) -> list[str]:
        """Return every dataset that has a record."""

    def log(self, change: Change, at: dt.datetime) -> None:
        """Remember what an event told, under the time of this region's clock. Twice is harmless."""

    def changes(self, dataset: str, since: dt.datetime) -> Iterator[Change]:
        """Yield what was logged at a time or after it, what was logged first first. A change may come twice."""

    def put_restore(self, record: RestoreRecord) -> None:
        """Remember how a restore stands."""

    def restore(self, dataset: str, restore: str) -> RestoreRecord | None:
        """Return one restore, or None."""


class Restorer(Protocol):
    """Copies out of the vault into buckets of this region."""

    def restore(self, entries: Iterable[Entry], bucket: str, base: str) -> Iterator[Entry]:
        """Yield each entry once its verified copy stands at `base` + its name. What stands there already is not copied.

        Raises TargetDiffers when something else stands there, MissingArtifact when the vault's version or the bucket is
        gone, ChecksumMismatch, NotAllowed, Throttled.
        """
