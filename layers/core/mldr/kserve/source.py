"""What the active region's cluster says of an InferenceService: its spec, and that of its older revision."""

from __future__ import annotations

import copy

from mldr.domain.endpoint_status import IN_SERVICE, MISSING
from mldr.domain.kserve import Document, kept, live, shares, split, unsettled
from mldr.domain.kserve_references import find_needs
from mldr.domain.kserve_revisions import older_component
from mldr.domain.kserve_rules import Address
from mldr.domain.serving_state import Observed
from mldr.errors import BadReference
from mldr.ports.serving import Clusters, InferenceServices


class KServeSource:
    """Needs what its clusters need: it only reads."""

    def __init__(self, clusters: Clusters, *, region: str) -> None:
        self._clusters, self._region = clusters, region

    def observe(self, endpoint: str) -> Observed:
        address = Address.parse(endpoint)
        services = self._clusters.services(address.cluster, self._region)
        service = services.get("InferenceService", address.namespace, address.name)
        if service is None:
            return Observed(endpoint=endpoint, status=MISSING)
        if reason := unsettled(service):
            return Observed(endpoint=endpoint, status=reason)
        return Observed(
            endpoint=endpoint,
            status=IN_SERVICE,
            document=_document(service, address, services),
            live=live(service),
        )


def _document(service: Document, address: Address, services: InferenceServices) -> Document:
    """`service` and `stable` are specs, `stable` of what takes the traffic that no canary takes; `needs` are names."""
    documents = {
        "service": _as_it_serves(service),
        "stable": _stable(service, address, services),
        "runtime": _runtime(service, address, services),
    }
    traffic = {name: [one.model_dump() for one in held] for name, held in shares(service).items()}
    return {**documents, "traffic": traffic, "needs": [one.model_dump() for one in find_needs(documents)]}


def _as_it_serves(service: Document) -> Document:
    """The spec with the split that is, not the one that was asked for last."""
    captured = copy.deepcopy(kept(service))
    for component in split(service):
        latest = sum(one.percent for one in shares(service)[component] if one.latest)
        captured["spec"][component]["canaryTrafficPercent"] = latest
    return captured


def _stable(service: Document, address: Address, services: InferenceServices) -> Document | None:
    """What takes the traffic that the canaries do not: the newest spec knows nothing of it."""
    pairs = split(service)
    if not pairs:
        return None
    spec: Document = copy.deepcopy(service["spec"])
    for component, names in pairs.items():
        old, new = (_revision(name, address, services) for name in names)
        spec[component] = older_component(spec[component], f"service.spec.{component}", old, new)
    return spec


def _revision(name: str, address: Address, services: InferenceServices) -> Document:
    found: Document | None = services.get("Revision", address.namespace, name)
    if found is None:
        raise BadReference(f"{address}: revision {name} takes traffic, and Knative has it no more; finish the roll-out")
    return found


def _runtime(service: Document, address: Address, services: InferenceServices) -> Document | None:
    """What KServe chose to serve a model with: the standby's cluster may know another under the same name."""
    if "model" not in service["spec"]["predictor"]:
        return None
    status = service["status"]
    named: str = service["spec"]["predictor"]["model"].get("runtime", "")
    own, shared = status.get("servingRuntimeName") or named, status.get("clusterServingRuntimeName") or named
    for kind, name in (("ServingRuntime", own), ("ClusterServingRuntime", shared)):
        found: Document | None = services.get(kind, address.namespace, name) if name else None
        if found is not None:
            return kept(found)
    raise BadReference(
        f"service.spec.predictor.model.runtime: no runtime {named or own or shared!r} is found that serves {address}; "
        "name one there that exists"
    )
