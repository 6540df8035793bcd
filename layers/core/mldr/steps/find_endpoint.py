"""Find out whether an endpoint is there already: the model's own that comes home, or one that stands by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mldr.domain.endpoint_status import stands
from mldr.domain.serving import plan_serving
from mldr.errors import Permanent
from mldr.events.failover import Claimed, ClaimedTask
from mldr.ports.catalog import Catalog
from mldr.ports.registry import Registry
from mldr.ports.serving import OwnEndpoints, Serving, ServingCaptures
from mldr.ports.stack import Clock
from mldr.ports.vault import Vault
from mldr.steps.restore_serving import claimed_manifest, claimed_state, held_epoch, other_manifests
from mldr.steps.standing_name import name_of_standing


def find_endpoint(
    task: ClaimedTask,
    *,
    catalog: Catalog,
    vault: Vault,
    registry: Callable[[], Registry],
    endpoints: OwnEndpoints,
    captures: ServingCaptures,
    serving: Serving,
    clock: Clock,
) -> Claimed:
    """Return the claim, with the endpoint that is there already: it has the very version, as the peer serves it.

    At home that may be the model's own; elsewhere one that its tier let stand. Whether it answers as recorded is proven
    afterwards, as for a restored one. The registry is only made when it is asked: only a home has one to ask.
    """
    held_epoch(task, catalog)
    if task.claim.at_home:
        found = _own(task, catalog, vault, registry(), endpoints)
    else:
        found = _standing(task, catalog, vault, captures, serving, clock)
    return found if found.reuse else _asked_by_name(found, task, catalog, vault, captures)


def _asked_by_name(
    found: Claimed, task: ClaimedTask, catalog: Catalog, vault: Vault, captures: ServingCaptures
) -> Claimed:
    """Return the claim with the inference component that will answer, if one will."""
    manifest, state = claimed_manifest(task, catalog, vault), claimed_state(task, captures)
    others = other_manifests(task, state, catalog, vault)
    plan = plan_serving(manifest, epoch=found.epoch, state=state, others=others, name=found.endpoint)
    return found.model_copy(update={"component": plan.component})


def _standing(
    task: ClaimedTask, catalog: Catalog, vault: Vault, captures: ServingCaptures, serving: Serving, clock: Clock
) -> Claimed:
    """Nothing is asked of a policy or of a tier: what stands is used, whoever let it stand, and why.

    But not what leaves: that is only begun while no claim is open, so it is known here, or it is not begun any more.
    """
    manifest, state = claimed_manifest(task, catalog, vault), claimed_state(task, captures)
    if manifest.policy.serving.kserve:
        return task.claim
    others = other_manifests(task, state, catalog, vault)
    name = name_of_standing(manifest, state, others)
    leaving = catalog.leaving(task.model, name)  # before its status: what is gone is not marked any more
    status, _ = serving.status(name)
    if not stands(status) or (leaving and leaving.going(clock.now())):
        return task.claim
    return task.claim.model_copy(update={"endpoint": name, "stands": True})


def _own(task: ClaimedTask, catalog: Catalog, vault: Vault, registry: Registry, endpoints: OwnEndpoints) -> Claimed:
    record = catalog.record(task.model, task.claim.recovery_point)
    if record is None or record.target_arn is None:
        return task.claim
    serving = claimed_manifest(task, catalog, vault).policy.serving
    if serving.kserve:
        return task.claim  # an InferenceService keeps its name: restoring it finds what is there
    own = serving.endpoint or task.model.name
    try:
        held = endpoints.contents(own, serving.component)
        wanted = _contents(registry.own(record.target_arn).document)
    except Permanent:
        return task.claim
    if not held or held not in ({record.target_arn}, wanted):
        return task.claim
    return task.claim.model_copy(update={"endpoint": own, "reuse": True, "component": serving.component})


def _contents(document: dict[str, Any]) -> frozenset[str]:
    return frozenset(
        value
        for one in document.get("InferenceSpecification", {}).get("Containers", [])
        for value in (
            one.get("Image"),
            one.get("ModelDataUrl"),
            one.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri"),
        )
        if value
    )
