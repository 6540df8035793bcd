"""KServe InferenceServices: what a cluster says of one, and what is captured of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from mldr.domain.identity import Frozen
from mldr.domain.serving_state import Live
from mldr.errors import BadReference

SERVICE_API, RUNTIME_API, REVISION_API = (
    "serving.kserve.io/v1beta1",
    "serving.kserve.io/v1alpha1",
    "serving.knative.dev/v1",
)
COMPONENTS = ("predictor", "transformer", "explainer")
# What a cluster or mldr itself writes into metadata; a restored service gets its own.
_NOT_KEPT = re.compile(r"kubectl\.kubernetes\.io/|mldr/")
Document = dict[str, Any]


class Share(Frozen):
    """How much of a component's traffic one revision takes, in percent."""

    revision: str
    percent: int
    latest: bool


class Need(Frozen):
    """Something that must stand in the standby's cluster under the same name; what it holds is never captured."""

    kind: Literal["Secret", "ConfigMap", "ServiceAccount"]
    name: str
    path: str


def kept(document: Mapping[str, Any]) -> Document:
    """Return what is captured of an object: spec, labels and annotations, not what its cluster keeps of it."""
    metadata = document["metadata"]
    return {
        "metadata": {
            "name": metadata["name"],
            **{
                group: {key: value for key, value in metadata.get(group, {}).items() if not _NOT_KEPT.match(key)}
                for group in ("labels", "annotations")
            },
        },
        "spec": document["spec"],
    }


def shares(service: Mapping[str, Any]) -> dict[str, tuple[Share, ...]]:
    """Return who takes the traffic of each component; empty where KServe runs plain Deployments."""
    components: Mapping[str, Any] = service.get("status", {}).get("components", {})
    return {
        name: tuple(
            Share(revision=one.get("revisionName", ""), percent=one["percent"], latest=one.get("latestRevision", False))
            for one in component.get("traffic", [])
            if one.get("percent") is not None
        )
        for name, component in components.items()
        if name in COMPONENTS
    }


def live(service: Mapping[str, Any]) -> tuple[Live, ...]:
    """Return each revision's share of the predictor's traffic; the copies that run are noted with the largest."""
    copies = service.get("status", {}).get("modelStatus", {}).get("copies", {}).get("totalCopies")
    known = sorted(shares(service).get("predictor", ()), key=lambda one: -one.percent)
    known = known or [Share(revision="predictor", percent=100, latest=True)]
    return tuple(
        Live(variant=one.revision, weight=one.percent, instances=copies if one is known[0] else None) for one in known
    )


def ready(service: Mapping[str, Any]) -> tuple[str, str]:
    """Return status and message of the condition Ready; Unknown while there is none."""
    conditions: list[dict[str, str]] = service.get("status", {}).get("conditions", [])
    found = next((one for one in conditions if one["type"] == "Ready"), None)
    if found is None:
        return "Unknown", ""
    return found["status"], found.get("message") or found.get("reason") or ""


def unsettled(service: Mapping[str, Any]) -> str:
    """Return why what the spec says is not what serves, '' where it is: a state in between is not one to restore."""
    status, message = ready(service)
    if status != "True":
        return f"not ready: {message or status}"
    for component, said in service["status"].get("components", {}).items():
        made, serves = said.get("latestCreatedRevision"), said.get("latestReadyRevision")
        if made != serves:
            return f"in a roll-out: {component} revision {made} is not ready, {serves} still serves"
    return ""


def split(service: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return (older, latest) revision of each component that has both. Raises BadReference when there are more."""
    return {
        component: pair
        for component, traffic in shares(service).items()
        if (pair := _pair(service["metadata"]["name"], component, traffic))
    }


def _pair(name: str, component: str, traffic: tuple[Share, ...]) -> tuple[str, str] | None:
    latest = {one.revision for one in traffic if one.latest}
    others = sorted({one.revision for one in traffic if one.percent} - latest)
    if not others:
        return None
    if len(others) > 1 or len(latest) != 1:
        raise BadReference(
            f"status.components.{component}.traffic: {', '.join(others)} take traffic beside the latest revision of "
            f"{name}, and KServe can be told of one only; finish a roll-out"
        )
    return others[0], latest.pop()


def inference_path(service: Mapping[str, Any]) -> str:
    """Return the path of a prediction, by the protocol that KServe takes the service to speak; v1 unless it says more.

    The served model has the service's name. See GetProtocol in kserve's pkg/apis/serving/v1beta1.
    """
    name, predictor = service["metadata"]["name"], service["spec"]["predictor"]
    said = [one.get("protocolVersion") for one in predictor.values() if isinstance(one, dict)]
    variables = [one for container in predictor.get("containers", []) for one in container.get("env", [])]
    said += [one.get("value") for one in variables if one["name"] == "PROTOCOL"]
    return f"/v2/models/{name}/infer" if "v2" in said else f"/v1/models/{name}:predict"
