"""Create the endpoint of a recovery point in this region, from the vault alone."""

from __future__ import annotations

import datetime as dt

from mldr.domain.failover import Epoch
from mldr.domain.recovery_point import Manifest
from mldr.domain.serving import plan_serving
from mldr.errors import EndpointFailed, EpochTaken, NotRestorable
from mldr.events import ClaimedTask
from mldr.ports import Catalog, Clock, Serving, Vault
from mldr.steps.seal_recovery_point import read_manifest

IN_SERVICE = "InService"
_COMING = {"Creating", "Updating", "SystemUpdating", "RollingBack"}
PATIENCE = dt.timedelta(hours=1)  # SageMaker gives a container's download and its health check an hour each


def restore_serving(
    task: ClaimedTask, *, default_role: str, catalog: Catalog, vault: Vault, serving: Serving, clock: Clock
) -> str:
    """Return the endpoint's status, having created what was missing. Raises EndpointFailed with SageMaker's reason."""
    held_epoch(task, catalog)
    manifest = claimed_manifest(task, catalog, vault)
    plan = plan_serving(manifest, epoch=task.claim.epoch, default_role=default_role)
    serving.restore(plan)
    status, reason = serving.status(plan.name)
    if status != IN_SERVICE and status not in _COMING:
        raise EndpointFailed(
            f"endpoint {plan.name} is {status}: {reason or 'SageMaker gives no reason'}; "
            "mend it and request the failover again"
        )
    if status != IN_SERVICE and clock.now() - task.claim.at > PATIENCE:
        raise EndpointFailed(
            f"endpoint {plan.name} is still {status} after {PATIENCE}; "
            "look at its log group, then request the failover again"
        )
    return status


def held_epoch(task: ClaimedTask, catalog: Catalog) -> Epoch:
    """Return the epoch that this failover holds. Raises EpochTaken: work of an older epoch is refused."""
    epoch = catalog.epoch(task.model)
    if epoch is None or (epoch.number, epoch.failover_id) != (task.claim.epoch, task.failover_id):
        raise EpochTaken(f"epoch {task.claim.epoch} of {task.model} is over; failover {task.failover_id} stops here")
    return epoch


def claimed_manifest(task: ClaimedTask, catalog: Catalog, vault: Vault) -> Manifest:
    """Return the manifest of the claimed point. Raises NotRestorable when its seal is unknown."""
    record = catalog.record(task.model, task.claim.recovery_point)
    if record is None or record.manifest_version is None:
        raise NotRestorable(f"{task.claim.recovery_point} is not sealed; look at `mldr status {task.model.name}`")
    return read_manifest(vault, record)
