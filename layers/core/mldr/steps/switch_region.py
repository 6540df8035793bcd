"""Let ARC Region switch activate this region: take over all that the peer serves, and say when that is done."""

from __future__ import annotations

import hashlib
from typing import Any

from mldr.domain.failover import Kind
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Leadership, home_of
from mldr.errors import RegionSwitchUnderway
from mldr.events.detail_types import FAILOVER_REQUESTED
from mldr.events.evacuation import RegionRequest, RegionSwitchCall
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Bus
from mldr.steps.know_leader import known_route


class Activated(Frozen):
    """What a Lambda block reports: all of these models are served by this region."""

    region: str
    models: tuple[str, ...]


def switch_region(call: RegionSwitchCall, *, region: str, peer: str, catalog: Catalog, bus: Bus) -> Activated:
    """Return the models once this region serves all of them. The block's retry interval is how often it is asked.

    Until then the request is put, under an id of the plan's execution, so that it counts once, and
    RegionSwitchUnderway is raised: a Lambda block ends with the first call that succeeds.
    """
    known = {str(model): model for model in catalog.models()} | {str(model): model for model, _ in catalog.standings()}
    waiting = [name for name, model in sorted(known.items()) if _is_elsewhere(model, region, peer, catalog)]
    if not waiting:
        return Activated(region=region, models=tuple(sorted(known)))
    bus.put(FAILOVER_REQUESTED, _request(call, peer))
    raise RegionSwitchUnderway(
        f"{region} does not serve {', '.join(waiting[:20])} yet ({len(waiting)} of {len(known)}); "
        "Region switch asks again, and `mldr status` says how far each one is"
    )


def _request(call: RegionSwitchCall, peer: str) -> dict[str, Any]:
    digest = hashlib.sha256(f"{call.plan_arn} {call.execution_id}".encode()).hexdigest()[:24]
    asked = RegionRequest(
        region=peer,
        kind=Kind.FAILOVER if call.unplanned else Kind.MOVE,
        reason=f"ARC Region switch, step {call.step_name} of {call.plan_arn}",
        requested_by=f"{call.invoked_by} {call.execution_id}"[:200],
        failover_id=f"arc-{digest}",
    )
    return asked.model_dump(mode="json", exclude_none=True)


def _is_elsewhere(model: ModelKey, region: str, peer: str, catalog: Catalog) -> bool:
    """Return whether the peer serves a model, as far as this region knows; one that nobody onboarded has no switch."""
    knowledge = catalog.leadership(model)
    home = home_of(region, knowledge, known_route(model, knowledge, catalog))
    return bool(home) and _holder(knowledge, region, home) == peer


def _holder(knowledge: Leadership, region: str, home: str) -> str:
    takeover, standing = knowledge.takeover, knowledge.standing
    if takeover and not (standing and standing.epoch > takeover.epoch):
        return region
    return standing.holder if standing and standing.epoch else home
