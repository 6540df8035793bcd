"""What serves a model: endpoints, clusters, captured states, and answers that were kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Protocol

from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.late_answers import Sent
from mldr.domain.prediction_cache import Cached, Look, Sighting
from mldr.domain.serving import ServingPlan
from mldr.domain.serving_state import Observed, Refusal, ServingState
from mldr.domain.setbacks import Setback
from mldr.domain.tiers import Held
from mldr.domain.warming import Count


class ScalingLimits(Protocol):
    """How many instances autoscaling may give to the variants of an endpoint of this region."""

    def limits(self, endpoint: str, variants: Sequence[str]) -> dict[str, int]:
        """Return the highest count of each of these variants that scales by itself."""

    def allow(self, endpoint: str, limits: dict[str, int]) -> None:
        """Set the highest counts, and nothing else, of variants that scale by themselves. Raises EndpointFailed."""


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
        """Ask for an instance count, or a traffic weight, of each named variant, and for copies of components.

        Raises EndpointFailed when refused, also where the rest has to be asked for later.
        """

    def capacity(self, endpoint: str) -> dict[str, Count]:
        """Return the instances of each production variant, and the copies of each component; empty without endpoint."""

    def status(self, endpoint: str) -> tuple[str, str]:
        """Return (EndpointStatus, FailureReason or ''). `Missing` when there is none."""

    def invoke(
        self, endpoint: str, body: bytes, content_type: str, accept: str = "", component: str = ""
    ) -> tuple[bytes, str]:
        """Return (answer, content type). Raises EndpointFailed when the container failed, no sooner.

        Raises RequestRefused when the request was not taken, also for want of an endpoint, with the model's own words
        if it was the model; Throttled while it loads, or asks for fewer requests.
        """


class LateAnswers(Protocol):
    """Endpoints of this region that take a request and answer later, into a bucket."""

    def asynchronous(self, endpoint: str) -> bool:
        """Return whether an endpoint answers in no other way; no when there is none."""

    def ask(self, endpoint: str, body: bytes, content_type: str) -> Sent:
        """Send a request. Raises RequestRefused when it was not taken."""

    def answer(self, sent: Sent) -> bytes | None:
        """Return the answer, None while it is waited for.

        Raises EndpointFailed when it failed, or is too late, NotAllowed when it is there and may not be decrypted.
        """


class StandingEndpoints(Protocol):
    """mldr's own endpoints in this region, known by their tags. What anybody else made is never seen nor touched."""

    def held(self) -> list[Held]:
        """Return every endpoint that mldr made for a model."""

    def resize(self, endpoint: str, counts: dict[str, int]) -> None:
        """Take autoscaling away and ask for these counts. Raises EndpointFailed when it is refused."""

    def settle(self, endpoint: str, names: Sequence[str]) -> None:
        """Take autoscaling away from these counts where there is any; the counts stay."""

    def delete(self, endpoint: str) -> bool:
        """Delete an endpoint with its configuration, models and components; what is gone already is no matter.

        Return whether it goes: one that has components takes more than one call. Raises NotAllowed for one that is not
        mldr's.
        """


class Setbacks(Protocol):
    """What keeps each model's endpoint from standing in this region."""

    def of(self, model: ModelKey) -> Setback | None:
        """Return what the last look left, None while it stands, or nothing is to."""

    def put(self, model: ModelKey, setback: Setback | None) -> None:
        """Remember it, or that there is none any more."""


class Reminders(Protocol):
    """The way in which converging tells itself to look again, sooner than its schedule does."""

    def remind(self, model: ModelKey, tries: int, pause: dt.timedelta) -> None:
        """Have a model looked at after a pause; `tries` is how often that was asked for in a row."""


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

    def contents(self, endpoint: str, component: str = "") -> frozenset[str]:
        """Return the model packages, else the images and S3 URIs, that it was made of; empty unless it serves.

        Of an endpoint of inference components those of the one that is named, or of the only one.
        """

    def look(self, endpoint: str, component: str = "") -> Look:
        """Return what any endpoint of this region is now, or the component in it; status `Missing` without one."""


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


class Quotas(Protocol):
    """What this region lets endpoints use, and what they use. Read on a schedule, never during recovery."""

    def limits(self) -> dict[str, int]:
        """Return the quota of instances for endpoints, by instance type."""

    def held(self) -> dict[str, dict[str, int]]:
        """Return the instances that each endpoint of this region has or asked for, by instance type."""
