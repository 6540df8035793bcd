"""Bring a captured InferenceService back: first what takes most of the traffic, then the canary."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from mldr.domain.endpoint_status import IN_SERVICE, MISSING
from mldr.domain.identity import Frozen
from mldr.domain.kserve import RUNTIME_API, SERVICE_API, Document, ready, shares
from mldr.domain.kserve_rules import Address
from mldr.domain.serving_references import rewrite
from mldr.domain.serving_state import ServingState
from mldr.errors import EndpointFailed, EpochTaken

# KServe hands annotations on to what it creates, so a change of these makes a new generation of that.
OWNER, EPOCH, PLAN, ABOVE = "mldr/owner", "mldr/epoch", "mldr/plan", "mldr/above"
STAGE, STAGES = "mldr/stage", "mldr/stages"
CREATING, FAILED = "Creating", "Failed"
UPDATING, HALF_UPDATED = "Updating", "UpdateRollbackFailed"
_HOPELESS = {"BlockedByFailedLoad", "InvalidSpec"}


class KServePlan(Frozen):
    """What to create: the same for the same capture and epoch. `stages` are specs, in the order they are applied."""

    address: Address
    epoch: int
    digest: str
    metadata: Document
    stages: tuple[Document, ...]
    runtime: Document | None


class Step(Frozen):
    """What to do next, and why."""

    verb: Literal["create", "replace", "wait", "done"]
    document: Document | None = None
    reason: str = ""


def plan_inference_service(state: ServingState, epoch: int) -> KServePlan:
    """Return what to create in the standby's cluster: rewritten, split as it was, with as many copies as ran."""
    address = Address.parse(state.endpoint)
    written = rewrite(state.document, state.carried)
    runtime = _runtime(written["runtime"], address)
    copies = max((one.instances or 0 for one in state.live), default=0)
    stages = [one for one in (written["stable"], written["service"]["spec"]) if one]
    stages = [_pinned(_floor(one, copies), runtime) for one in stages]
    said = json.dumps([stages, runtime, written["service"]["metadata"]], sort_keys=True)
    return KServePlan(
        address=address,
        epoch=epoch,
        digest=hashlib.sha256(said.encode()).hexdigest()[:16],
        metadata=written["service"]["metadata"],
        stages=tuple(stages),
        runtime=runtime,
    )


def _runtime(document: Document | None, address: Address) -> Document | None:
    """A name of its own, and never chosen for others: what they use in the standby's cluster stays as it is."""
    if document is None:
        return None
    formats = [{**one, "autoSelect": False} for one in document["spec"].get("supportedModelFormats", [])]
    spec = {**document["spec"], "supportedModelFormats": formats}
    named = {"name": f"mldr-{address.name}", "namespace": address.namespace, "annotations": {OWNER: "mldr"}}
    return {"apiVersion": RUNTIME_API, "kind": "ServingRuntime", "metadata": named, "spec": spec}


def _pinned(spec: Document, runtime: Document | None) -> Document:
    pinned = copy.deepcopy(spec)
    if runtime and "model" in pinned["predictor"]:
        pinned["predictor"]["model"]["runtime"] = runtime["metadata"]["name"]
    return pinned


def _floor(spec: Document, copies: int) -> Document:
    """As many copies as ran, so that nothing starts cold under load; never more than the spec allows."""
    predictor = spec["predictor"]
    most = predictor.get("maxReplicas") or copies
    floor = max(predictor.get("minReplicas", 1), min(copies, most))
    return {**spec, "predictor": {**predictor, "minReplicas": floor}}


def next_step(plan: KServePlan, found: Mapping[str, Any] | None) -> Step:
    """Return what brings the service nearer to the plan. Raises EpochTaken, or EndpointFailed when it is not ours."""
    if found is None:
        return Step(verb="create", document=_document(plan, 0, None), reason="there is none")
    annotations = found["metadata"].get("annotations", {})
    if annotations.get(OWNER) is None:
        return _of_others(plan, found)
    if int(annotations.get(EPOCH, 0)) > plan.epoch:
        raise EpochTaken(f"{plan.address} was restored in epoch {annotations[EPOCH]}; epoch {plan.epoch} is over")
    if annotations.get(PLAN) != plan.digest:
        return Step(verb="replace", document=_document(plan, 0, found), reason="it follows an older plan")
    stage = int(annotations[STAGE])
    if not _awaits(found):
        return Step(verb="done", reason="every stage is applied")
    if not _up(found):
        return Step(verb="wait", reason="the revision that takes most of the traffic is not ready")
    return Step(verb="replace", document=_document(plan, stage + 1, found), reason="the canary follows")


def _of_others(plan: KServePlan, found: Mapping[str, Any]) -> Step:
    if _holds(found["spec"], plan.stages[-1]):
        return Step(verb="done", reason="it serves already what was captured")
    raise EndpointFailed(
        f"{plan.address} is there, is not mldr's, and differs from what was captured; let mldr have it "
        f"(kubectl -n {plan.address.namespace} annotate inferenceservice {plan.address.name} {OWNER}=mldr), "
        "then request the failover again"
    )


def _holds(found: Any, wanted: Any) -> bool:
    """Whether everything wanted is there; KServe adds defaults of its own, and a runtime may be pinned or not."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            _holds(found.get(key), value) for key, value in wanted.items() if key != "runtime"
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(_holds, found, wanted))
    return bool(found == wanted)


def _document(plan: KServePlan, stage: int, found: Mapping[str, Any] | None) -> Document:
    above = found.get("status", {}).get("observedGeneration", 0) if found else 0
    annotations = {
        **plan.metadata.get("annotations", {}),
        OWNER: "mldr",
        EPOCH: str(plan.epoch),
        PLAN: plan.digest,
        STAGE: str(stage),
        STAGES: str(len(plan.stages)),
        ABOVE: str(above),
    }
    metadata = {
        "name": plan.address.name,
        "namespace": plan.address.namespace,
        "labels": plan.metadata.get("labels", {}),
        "annotations": annotations,
    }
    if found:
        metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
    return {"apiVersion": SERVICE_API, "kind": "InferenceService", "metadata": metadata, "spec": plan.stages[stage]}


def _up(found: Mapping[str, Any]) -> bool:
    """Ready, and not of the time before the last change: KServe reports the generation of what it created."""
    above = int(found["metadata"].get("annotations", {}).get(ABOVE, -1))
    return ready(found)[0] == "True" and found["status"].get("observedGeneration", 0) > above


def standing(found: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return (status, reason) of a service, in the words of a SageMaker endpoint: a roll-out is an update."""
    if found is None:
        return MISSING, "there is no such InferenceService in this region"
    model = found.get("status", {}).get("modelStatus", {})
    if model.get("transitionStatus") in _HOPELESS:
        failure = model.get("lastFailureInfo", {})
        stays = HALF_UPDATED if _older_serves(found) else FAILED
        return stays, failure.get("message") or failure.get("reason") or model["transitionStatus"]
    if not _up(found):
        status, message = ready(found)
        return UPDATING if _older_serves(found) else CREATING, message or f"Ready is {status}"
    if _awaits(found):
        return CREATING, "the canary follows"
    if unsplit := _unsplit(found):
        return CREATING, unsplit
    return IN_SERVICE, ""


def _older_serves(found: Mapping[str, Any]) -> bool:
    """Whether a newer revision is not ready yet, or never will be: Knative routes to the latest that is.

    Source: github.com/knative/specs, specs/serving/knative-api-specification-1.0.md, TrafficTarget.
    """
    status = found.get("status", {})
    held = [
        (one.get("latestCreatedRevision"), one.get("latestReadyRevision"))
        for one in status.get("components", {}).values()
    ]
    routed = bool(status.get("url")) and all(serves for _, serves in held)
    return routed and any(made != serves for made, serves in held)


def _awaits(found: Mapping[str, Any]) -> bool:
    """Whether a later stage is still to be applied."""
    annotations = found["metadata"].get("annotations", {})
    return int(annotations.get(STAGE, 0)) + 1 < int(annotations.get(STAGES, 1))


def _unsplit(found: Mapping[str, Any]) -> str:
    """What keeps the traffic from being what the spec says, where mldr has restored a split."""
    if found["metadata"].get("annotations", {}).get(STAGE, "0") == "0":
        return ""
    for name, traffic in shares(found).items():
        wanted = found["spec"].get(name, {}).get("canaryTrafficPercent")
        latest = sum(one.percent for one in traffic if one.latest)
        if wanted is not None and latest != wanted:
            return f"{name}: {latest} % of the traffic reach the newest revision, {wanted} % are to"
    return ""
