"""Let ARC Region switch activate this region: take over all that the peer serves, and say when that is done."""

from __future__ import annotations

import hashlib

from mldr.domain.evacuation import region_key
from mldr.domain.failover import Kind
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.region_plan import Direction, leaving, retired
from mldr.errors import RegionSwitchFailed, RegionSwitchUnderway
from mldr.events.detail_types import FAILOVER_REQUESTED
from mldr.events.evacuation import RegionRequest, RegionSwitchCall
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Bus, Clock
from mldr.ports.vault import EvidenceStore
from mldr.steps.know_leader import known_route

LOOKED_AT = 6  # records of the region's chain: others of these hours may have ended since


class Activated(Frozen):
    """What a Lambda block reports: all of these models are served by this region."""

    region: str
    models: tuple[str, ...]


def switch_region(
    call: RegionSwitchCall,
    *,
    region: str,
    peer: str,
    catalog: Catalog,
    evidence: EvidenceStore,
    bus: Bus,
    clock: Clock,
) -> Activated:
    """Return the models once this region serves all of them. The block's retry interval is how often it is asked.

    Until then the request is put, under an id of the plan's execution, so that it counts once, and
    RegionSwitchUnderway is raised: a Lambda block ends with the first call that succeeds. Raises RegionSwitchFailed
    when that request has ended without some of them: asking again changes nothing before a person did.
    """
    request = _request(call, peer)
    where = Direction(here=region, there=peer, kind=request.kind)
    known = catalog.known_models()
    waiting = [str(model) for model in known if _is_elsewhere(model, where, catalog, clock)]
    if not waiting:
        return Activated(region=region, models=tuple(map(str, known)))
    told = next((one for one in evidence.newest(region_key(peer), LOOKED_AT) if one.id == request.failover_id), None)
    missing, count = ", ".join(waiting[:20]), f"{len(waiting)} of {len(known)}"
    if told:
        raise RegionSwitchFailed(
            f"{region} does not serve {missing} ({count}), and what was asked for has ended: {told.reason}; mend that "
            "and run `mldr failover MODEL` for each, the next call ends the step, or start the plan again"
        )
    bus.put(FAILOVER_REQUESTED, request.model_dump(mode="json", exclude_none=True))
    raise RegionSwitchUnderway(
        f"{region} does not serve {missing} yet ({count}); Region switch asks again, and `mldr status` says how far "
        "each one is"
    )


def _request(call: RegionSwitchCall, peer: str) -> RegionRequest:
    digest = hashlib.sha256(f"{call.plan_arn} {call.execution_id}".encode()).hexdigest()[:24]
    return RegionRequest(
        region=peer,
        kind=Kind.FAILOVER if call.unplanned else Kind.MOVE,
        reason=f"ARC Region switch, step {call.step_name} of {call.plan_arn}",
        requested_by=f"{call.invoked_by} {call.execution_id}"[:200],
        failover_id=f"arc-{digest}",
    )


def _is_elsewhere(model: ModelKey, where: Direction, catalog: Catalog, clock: Clock) -> bool:
    """Return whether the peer serves a model that is in production; one that nobody onboarded has no switch."""
    knowledge = catalog.leadership(model)
    home = leaving(where, knowledge, known_route(model, knowledge, catalog), clock.now())
    return bool(home) and not retired(catalog.records(model))
