"""Plan the recovery of every model of a region: who is to move, how long each takes, and what there is room for.

Reads this region's catalog, vault and policy alone (law 1); quotas are those that the schedule read beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mldr.domain.evacuation import Planned, Refused, recovery_id, work_key
from mldr.domain.failover import Kind
from mldr.domain.policy import Policy
from mldr.domain.region_plan import Direction, Draft, draw
from mldr.errors import BadPolicy, WrongDirection
from mldr.events.evacuation import EvacuationPlanned, EvacuationTask
from mldr.ports.catalog import Catalog, RegionFacts
from mldr.ports.stack import Clock, PolicyStore
from mldr.ports.vault import Vault

PLAN, MODELS, REST = "plan.json", "models.json", "rest.json"


def plan_evacuation(
    task: EvacuationTask,
    *,
    region: str,
    peer: str,
    facts: RegionFacts,
    catalog: Catalog,
    policies: PolicyStore,
    vault: Vault,
    clock: Clock,
    side_by_side: int,
) -> EvacuationPlanned:
    """Return where the plan's items lie. An evacuation is planned once: started again it goes on with the same plan.

    Raises WrongDirection.
    """
    direction = _direction(task, region, peer)
    made = read_draft(vault, task.failover_id)
    if made is None:
        now = clock.now()
        made = draw(
            facts.gather(direction, now),
            direction,
            policy=_in_force(policies),
            capacity=catalog.capacity(),
            began_at=task.began_at,
            now=now,
            side_by_side=side_by_side,
        )
        _keep(task, made, vault)
    return EvacuationPlanned(
        models_key=work_key(task.failover_id, MODELS),
        models=len(made.plan.planned),
        rest_key=work_key(task.failover_id, REST),
        rest=len(made.rest),
        side_by_side=made.side_by_side,
        at=made.made_at,
    )


def read_draft(vault: Vault, failover_id: str) -> Draft | None:
    """Return the plan of an evacuation, None when it was never made."""
    kept = vault.read(work_key(failover_id, PLAN))
    return Draft.model_validate_json(kept) if kept else None


def _direction(task: EvacuationTask, region: str, peer: str) -> Direction:
    wanted = region if task.kind is Kind.FAILBACK else peer
    if task.region != wanted:
        raise WrongDirection(
            f"{task.kind} of {task.region} was asked of {region}, which can do it for {wanted}; "
            "put the request on the bus of the region that takes the models over"
        )
    return Direction(here=region, there=peer, kind=task.kind)


def _in_force(policies: PolicyStore) -> Policy | None:
    """While the policy has mistakes the sealed ones hold."""
    try:
        return policies.load()[0]
    except BadPolicy:
        return None


def _keep(task: EvacuationTask, made: Draft, vault: Vault) -> None:
    """Write the plan last: where it is, its items are."""
    for name, lines in ((MODELS, made.plan.planned), (REST, made.rest)):
        vault.keep(work_key(task.failover_id, name), _items(task, lines))
    vault.keep(work_key(task.failover_id, PLAN), made.model_dump_json().encode())


def _items(task: EvacuationTask, lines: Iterable[Planned | Refused]) -> bytes:
    items: list[dict[str, Any]] = [
        {
            "model": str(one.model),
            "failover_id": recovery_id(task.failover_id, one.model),
            "kind": one.kind.value,
            "reason": f"{task.kind} of {task.region} ({task.failover_id}): {task.reason}",
            "requested_by": task.requested_by,
            "requested_at": task.requested_at.isoformat(),
            "first_failure_at": task.first_failure_at.isoformat() if task.first_failure_at else None,
        }
        for one in lines
    ]
    return json.dumps(items).encode()
