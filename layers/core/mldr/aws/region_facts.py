"""What this region knows of the models that it is to take over, many of them at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from mldr.domain.evacuation import EARLIER
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Leadership, home_of
from mldr.domain.recovery_point import Manifest, Record, manifest_key, newest_restorable
from mldr.domain.region_plan import Direction, ModelFacts, leaving, retired, taken_since
from mldr.domain.routing import Route
from mldr.domain.serving import claimed_name
from mldr.domain.serving_state import ServingState
from mldr.errors import MldrError, Permanent
from mldr.ports.catalog import Catalog
from mldr.ports.serving import ServingCaptures
from mldr.ports.vault import EvidenceStore, Vault

THREADS = 32
LOOKED_AT = 2 * EARLIER  # records of a chain: failures stand between the recoveries


class CatalogFacts:
    """Needs what the catalog's and the vault's reads need; nothing of the other region."""

    def __init__(self, catalog: Catalog, vault: Vault, evidence: EvidenceStore, captures: ServingCaptures) -> None:
        self._catalog, self._vault, self._evidence, self._captures = catalog, vault, evidence, captures

    def gather(self, direction: Direction, now: dt.datetime) -> list[ModelFacts]:
        capacity = self._catalog.capacity()
        read_at = capacity.read_at if capacity else None
        with ThreadPoolExecutor(THREADS) as pool:
            found = pool.map(lambda model: self._readable(model, direction, now, read_at), self._catalog.known_models())
            return [one for one in found if one]

    def _readable(
        self, model: ModelKey, direction: Direction, now: dt.datetime, read_at: dt.datetime | None
    ) -> ModelFacts | None:
        """What cannot be read of one model keeps no other from being planned; its own failover will tell."""
        try:
            return self._of(model, direction, now, read_at)
        except (MldrError, ValueError) as error:  # a record that is no record is a ValueError of pydantic
            why = f"{type(error).__name__}: {error}" if isinstance(error, MldrError) else "what is stored is damaged"
            return ModelFacts(model=model, unread=f"{why}; look at `mldr status {model.name}`")

    def _of(
        self, model: ModelKey, direction: Direction, now: dt.datetime, read_at: dt.datetime | None
    ) -> ModelFacts | None:
        knowledge = self._catalog.leadership(model)
        route = self._route(model, knowledge)
        home, moved = leaving(direction, knowledge, route, now), taken_since(knowledge, read_at)
        if home is None and not moved:
            return None
        records = self._catalog.records(model)
        if retired(records):
            return None
        point = newest_restorable(records)
        state = self._state(model)
        return ModelFacts(
            model=model,
            home=home if home is not None else home_of(direction.here, knowledge, route),
            begun=moved or self._under_way(model),
            moved=home is None,
            point=point,
            sealed=self._sealed(point) if point else None,
            earlier=tuple(self._evidence.newest(model, LOOKED_AT)),
            state=state,
            others=self._others(records, point, state),
            route=route,
            beside=knowledge.beside is not None,
        )

    def _under_way(self, model: ModelKey) -> str:
        """Return the endpoint that a failover would make which works now, as far as is known."""
        epoch = self._catalog.epoch(model)
        return claimed_name(model, epoch.recovery_point, epoch.number) if epoch and not epoch.concluded else ""

    def _route(self, model: ModelKey, knowledge: Leadership) -> Route | None:
        return self._catalog.route(model) or (knowledge.standing.route if knowledge.standing else None)

    def _sealed(self, point: Record) -> Manifest | None:
        """A manifest that is gone is told by its model's own failover; the plan of the others goes on."""
        content = self._vault.read(manifest_key(point.model, point.recovery_point), point.manifest_version)
        return Manifest.model_validate_json(content) if content else None

    def _others(
        self, records: Sequence[Record], point: Record | None, state: ServingState | None
    ) -> dict[str, Manifest]:
        named = [
            one for one in records if state and one != point and one.restorable and one.recovery_point in state.points
        ]
        return {one.recovery_point: sealed for one in named if (sealed := self._sealed(one))}

    def _state(self, model: ModelKey) -> ServingState | None:
        try:
            return self._captures.newest(model)
        except Permanent:
            return None
