"""Plan the recovery of every model of a region: who is to move, how long each takes, and what there is room for.

Reads this region's catalog, vault and policy alone (law 1); quotas are those that the schedule read beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mldr.domain.evacuation import Listed, Listing, Planned, Refused, id_of, patience, work_key
from mldr.domain.failover import Kind, check_age
from mldr.domain.policy import Policy
from mldr.domain.region_plan import Direction, Draft, draw
from mldr.errors import BadEvent, BadPolicy, WrongDirection
from mldr.events.evacuation import EvacuationPlanned, EvacuationTask
from mldr.ports.catalog import Catalog, RegionFacts
from mldr.ports.stack import Clock, PolicyStore
from mldr.ports.vault import Vault

ASKED, PLAN, MODELS, REST = "asked.json", "plan.json", "models.json", "rest.json"


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

    Raises WrongDirection, BadEvent, RequestTooLate.
    """
    direction = _direction(task, region, peer)
    made = read_draft(vault, task.failover_id)
    if made is None:
        check_age(task.requested_at, task.received_at, observed=task.first_failure_at is not None)
        now, asked = clock.now(), _asked(task, vault)
        made = draw(
            facts.gather(direction, now),
            direction,
            policy=_in_force(policies),
            capacity=catalog.capacity(),
            began_at=task.began_at,
            now=now,
            side_by_side=side_by_side,
            asked=asked,
        )
        _keep(task, made, asked or {}, vault)
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


def _asked(task: EvacuationTask, vault: Vault) -> dict[str, Listed] | None:
    """Return the models that are asked for, None for all. A list that is gone must not become the whole region."""
    if not task.listed:
        return None
    kept = vault.read(work_key(task.failover_id, ASKED))
    if kept is None:
        raise BadEvent(
            f"detail.listed: no list of models is kept for {task.failover_id}; ask for each model, or leave listed out"
        )
    return {str(one.model): one for one in Listing.model_validate_json(kept).models}


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


def _keep(task: EvacuationTask, made: Draft, asked: Mapping[str, Listed], vault: Vault) -> None:
    """Write the plan last: where it is, its items are."""
    for name, lines in ((MODELS, made.plan.planned), (REST, made.rest)):
        vault.keep(work_key(task.failover_id, name), _items(task, lines, asked))
    vault.keep(work_key(task.failover_id, PLAN), made.model_dump_json().encode())


def _items(task: EvacuationTask, lines: Iterable[Planned | Refused], asked: Mapping[str, Listed]) -> bytes:
    return json.dumps([_item(task, one, asked.get(str(one.model))) for one in lines]).encode()


def _item(task: EvacuationTask, line: Planned | Refused, own: Listed | None) -> dict[str, Any]:
    first = own.first_failure_at if own else task.first_failure_at
    return {
        "model": str(line.model),
        "failover_id": id_of(task.failover_id, line),
        "kind": line.kind.value,
        "reason": f"{task.kind} of {task.region} ({task.failover_id}): {own.reason if own else task.reason}",
        "requested_by": task.requested_by,
        "requested_at": task.requested_at.isoformat(),
        "first_failure_at": first.isoformat() if first else None,
        "evacuation": task.failover_id,
        "listed": task.listed,
        "patience": patience(line).total_seconds(),
    }
