"""Create the endpoint of a recovery point in this region, from the vault alone."""

from __future__ import annotations

import datetime as dt

from mldr.domain.endpoint_status import IN_SERVICE, stands
from mldr.domain.execution_roles import ExecutionRoles
from mldr.domain.failover import RESTORE_LOOKS, Epoch, looking
from mldr.domain.identity import Frozen
from mldr.domain.leadership import Standing
from mldr.domain.recovery_point import Manifest
from mldr.domain.serving import ServingPlan, as_allowed, plan_serving
from mldr.domain.serving_state import ServingState
from mldr.domain.tiers import for_both, without_shadows
from mldr.errors import EndpointFailed, EpochTaken, NotRestorable, StaleEpoch
from mldr.events.failover import ClaimedTask, RestoreTask
from mldr.ports.catalog import Catalog
from mldr.ports.serving import Serving, ServingCaptures
from mldr.ports.stack import Clock
from mldr.ports.vault import Vault
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.standing_name import others_of

PATIENCE = dt.timedelta(hours=1)  # SageMaker gives a container's download and its health check an hour each


class Restored(Frozen):
    """How the endpoint stands, and what of it is not as it was: `foreseen` says its plan, on any day."""

    status: str
    captured_at: dt.datetime | None  # when its state was captured; None: it is what the policy says
    warnings: tuple[str, ...] = ()
    foreseen: tuple[str, ...] = ()


def restore_serving(
    task: RestoreTask,
    *,
    region: str,
    roles: ExecutionRoles,
    catalog: Catalog,
    vault: Vault,
    serving: Serving,
    captures: ServingCaptures,
    clock: Clock,
) -> Restored:
    """Return how the endpoint stands, having created what was missing. Raises EndpointFailed with the reason."""
    held_epoch(task, catalog)
    state = claimed_state(task, captures)
    plan = plan_serving(
        claimed_manifest(task, catalog, vault),
        epoch=task.claim.epoch,
        default_role=roles.own,
        state=state,
        others=other_manifests(task, state, catalog, vault),
        name=task.claim.endpoint,
    )
    shadowless = without_shadows(plan) if task.claim.stands else ()
    plan = as_allowed(_as_it_answers(plan, task, catalog), roles, region)
    serving.restore(plan)
    status, reason = serving.status(plan.name)
    warnings = _of_another(state, catalog.standing(task.model), region)
    if status == IN_SERVICE:
        finished = serving.finish(plan)
        status, reason, warnings = finished.status, finished.reason, (*warnings, *finished.warnings)
    _check(task, plan, status, reason, clock)
    return Restored(
        status=status,
        captured_at=state.captured_at if state else None,
        warnings=warnings,
        foreseen=(*plan.warnings, *shadowless),
    )


def _as_it_answers(plan: ServingPlan, task: ClaimedTask, catalog: Catalog) -> ServingPlan:
    """What answered beside the home carries the load of both now: its autoscaling must not be set back to one half."""
    beside = catalog.leadership(task.model).beside
    return for_both(plan) if beside and beside.endpoint == plan.name else plan


def _of_another(state: ServingState | None, standing: Standing | None, region: str) -> tuple[str, ...]:
    """Return the warning that how the peer serves was not captured since it took over, so an older state is used."""
    if state is None or standing is None or standing.holder == region or standing.endpoint in ("", state.endpoint):
        return ()
    never = f"how {standing.holder} served with endpoint {standing.endpoint} was never captured"
    used = f"restored as endpoint {state.endpoint} was at {state.captured_at:%Y-%m-%d %H:%M:%S}"
    return (f"{never}: {used}; compare counts, weights and autoscaling",)


def _check(task: RestoreTask, plan: ServingPlan, status: str, reason: str, clock: Clock) -> None:
    name = plan.name
    if not stands(status):
        said = "; ".join((reason or "SageMaker gives no reason", *plan.warnings))
        raise EndpointFailed(f"endpoint {name} is {status}: {said}; mend it and request the failover again")
    patience = min(PATIENCE, looking(RESTORE_LOOKS, task.poll_seconds))
    if status != IN_SERVICE and clock.now() - task.began > patience:
        raise EndpointFailed(
            f"endpoint {name} is still {status} after {patience}; "
            "look at its log group, then request the failover again"
        )


def claimed_state(task: ClaimedTask, captures: ServingCaptures) -> ServingState | None:
    """Return what was captured before the claim, so that every look at the plan of an epoch sees the same one."""
    return captures.newest(task.model, task.claim.at)


def other_manifests(
    task: ClaimedTask, state: ServingState | None, catalog: Catalog, vault: Vault
) -> dict[str, Manifest]:
    """Return the manifests of the points besides the claimed one that the state names and that can be restored."""
    return others_of(task.model, task.claim.recovery_point, state, catalog, vault)


def held_epoch(task: ClaimedTask, catalog: Catalog) -> Epoch:
    """Return the epoch that this failover holds. Raises EpochTaken or StaleEpoch: work of an older epoch is refused."""
    epoch = catalog.epoch(task.model)
    if epoch is None or (epoch.number, epoch.failover_id) != (task.claim.epoch, task.failover_id):
        raise EpochTaken(f"epoch {task.claim.epoch} of {task.model} is over; failover {task.failover_id} stops here")
    standing = catalog.standing(task.model)
    if standing and standing.epoch > epoch.number:
        raise StaleEpoch(
            f"epoch {epoch.number} of {task.model} is older than {standing.epoch}, which {standing.holder} serves; "
            f"failover {task.failover_id} stops here, look at `mldr epoch {task.model.name}`"
        )
    return epoch


def claimed_manifest(task: ClaimedTask, catalog: Catalog, vault: Vault) -> Manifest:
    """Return the manifest of the claimed point. Raises NotRestorable when its seal is unknown."""
    record = catalog.record(task.model, task.claim.recovery_point)
    if record is None or record.manifest_version is None:
        raise NotRestorable(f"{task.claim.recovery_point} is not sealed; look at `mldr status {task.model.name}`")
    return read_manifest(vault, record)
