"""InferenceServices of this region, as steps know endpoints: restored stage by stage, asked through their ingress."""

from __future__ import annotations

import http.client
import math
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from mldr.domain.kserve import Document, inference_path
from mldr.domain.kserve_plan import OWNER, KServePlan, next_step, standing
from mldr.domain.kserve_rules import Address
from mldr.domain.refusals import unanswered
from mldr.domain.serving import ServingPlan
from mldr.domain.warming import Count
from mldr.errors import EndpointFailed, LostRace, NotRestorable, RegionUnreachable, RequestRefused, Throttled
from mldr.ports.serving import Clusters, Finished, InferenceServices

TIMEOUT = 60.0  # seconds, as a SageMaker endpoint has for an answer
CONNECT = 3.0  # seconds for each address of an ingress, of which a name has several
ATTEMPTS = 5
LOOK = 60.0  # seconds for which a service's URL is believed to be what it was


class KServeServing:
    """Needs what its clusters need, and the network as far as their ingress."""

    def __init__(self, clusters: Clusters, *, region: str, glance: float = 0.0, timeout: float = TIMEOUT) -> None:
        self._clusters, self._region, self._glance, self._timeout = clusters, region, glance, timeout
        self._seen: dict[str, tuple[float, Document | None]] = {}

    def restore(self, plan: ServingPlan) -> None:
        if plan.kserve is None:
            raise NotRestorable(
                f"{plan.name} was never captured, so there is nothing to restore; see why in the log of capture_serving"
            )
        kserve = plan.kserve
        services = self._clusters.services(kserve.address.cluster, self._region)
        _undisturbed(plan.name, lambda: _advance(kserve, services))
        self._seen.pop(plan.name, None)

    def finish(self, plan: ServingPlan) -> Finished:
        status, reason = self.status(plan.name)
        return Finished(status=status, reason=reason)

    def scale(self, endpoint: str, counts: dict[str, int], weights: dict[str, float] | None = None) -> None:
        """Its revisions share one floor: it becomes the greatest of the counts."""
        floor = max(counts.values())

        def raise_floor() -> None:
            service, services = self._found(endpoint)
            predictor = service["spec"]["predictor"]
            predictor["minReplicas"] = floor
            if predictor.get("maxReplicas"):
                predictor["maxReplicas"] = max(predictor["maxReplicas"], floor)
            services.replace(service)

        _undisturbed(endpoint, raise_floor)

    def capacity(self, endpoint: str) -> dict[str, Count]:
        """Return nothing: the captured copies are the floor of the spec, and a revision is ready when it has them.

        knative.dev/docs/serving/autoscaling/scale-bounds: "initial scale", the larger of it and the lower bound.
        """
        return {}

    def _found(self, endpoint: str) -> tuple[Document, InferenceServices]:
        address = Address.parse(endpoint)
        services = self._clusters.services(address.cluster, self._region)
        found = services.get("InferenceService", address.namespace, address.name)
        if found is None:
            raise EndpointFailed(f"{endpoint}: {standing(None)[1]}")
        return found, services

    def status(self, endpoint: str) -> tuple[str, str]:
        return standing(self._look(endpoint, self._glance))

    def invoke(
        self, endpoint: str, body: bytes, content_type: str, accept: str = "", component: str = ""
    ) -> tuple[bytes, str]:
        service = self._look(endpoint, LOOK)
        url = (service or {}).get("status", {}).get("url")
        if service is None or not url:
            raise RequestRefused(f"{endpoint} did not answer: {standing(service)[1] or 'it has no URL yet'}")
        ingress = self._clusters.ingress(Address.parse(endpoint).cluster, self._region) or url
        headers = {"Host": urlsplit(url).netloc, "Content-Type": content_type, "Accept": accept or "*/*"}
        status, answer, answered_type = _post(ingress, inference_path(service), body, headers, self._timeout)
        if status >= http.HTTPStatus.BAD_REQUEST:
            said = answer.decode("utf-8", errors="replace")
            raise unanswered(f"{endpoint} did not answer: {status} {said[:200]}", status, said)
        return answer, answered_type

    def _look(self, endpoint: str, fresh: float) -> Document | None:
        at, seen = self._seen.get(endpoint, (-math.inf, None))
        if time.monotonic() - at >= fresh:
            address = Address.parse(endpoint)
            services = self._clusters.services(address.cluster, self._region)
            seen = services.get("InferenceService", address.namespace, address.name)
            self._seen[endpoint] = (time.monotonic(), seen)
        return seen


def _undisturbed(endpoint: str, act: Callable[[], None]) -> None:
    """Read, decide and write anew when another wrote in between: KServe itself does, at every change of the status."""
    for _ in range(ATTEMPTS):
        try:
            return act()
        except LostRace:
            continue
    raise Throttled(f"{endpoint} was written by others at each of {ATTEMPTS} attempts; it is tried again")


def _advance(plan: KServePlan, services: InferenceServices) -> None:
    _put_runtime(plan, services)
    step = next_step(plan, services.get("InferenceService", plan.address.namespace, plan.address.name))
    if step.verb == "create" and step.document:
        services.create(step.document)
    elif step.verb == "replace" and step.document:
        services.replace(step.document)


def _put_runtime(plan: KServePlan, services: InferenceServices) -> None:
    if plan.runtime is None:
        return
    metadata = plan.runtime["metadata"]
    found = services.get("ServingRuntime", metadata["namespace"], metadata["name"])
    if found is None:
        services.create(plan.runtime)
    elif found["metadata"].get("annotations", {}).get(OWNER) is None:
        raise EndpointFailed(f"ServingRuntime {metadata['name']} is there and not mldr's; rename it, then try again")
    elif found["spec"] != plan.runtime["spec"]:
        version = {"resourceVersion": found["metadata"]["resourceVersion"]}
        services.replace({**plan.runtime, "metadata": {**metadata, **version}})


def _post(origin: str, path: str, body: bytes, headers: dict[str, str], timeout: float) -> tuple[int, bytes, str]:
    parts = urlsplit(origin)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=min(CONNECT, timeout))
    try:
        connection.connect()
        connection.sock.settimeout(timeout)
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Content-Type") or "application/json"
    except (OSError, http.client.HTTPException) as error:
        raise RegionUnreachable(f"{origin}: {type(error).__name__} {error}; it is tried again") from error
    finally:
        connection.close()
