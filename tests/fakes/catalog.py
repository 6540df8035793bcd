"""The catalog in memory: the same conditions as the table's, under one lock."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from mldr.domain.capacity import Capacity
from mldr.domain.failover import Epoch, Takeover
from mldr.domain.health import HealthState
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Beside, Leadership, Standing
from mldr.domain.recovery_point import Phase, Record
from mldr.domain.routing import Route
from mldr.domain.tiers import Leaving
from mldr.domain.transfers import Transfer, WorkItem
from mldr.errors import EpochTaken, LostRace


class FakeCatalog:
    """Recovery points, epochs, switches, routes and health."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._records: dict[tuple[str, str], Record] = {}
        self._models: dict[str, ModelKey] = {}
        self._epochs: dict[str, Epoch] = {}
        self._switches: dict[str, Takeover] = {}
        self._former: dict[str, Takeover] = {}
        self._standings: dict[str, tuple[ModelKey, Standing]] = {}
        self._beside: dict[str, Beside] = {}
        self._leaving: dict[tuple[str, str], Leaving] = {}
        self._routes: dict[str, Route] = {}
        self._health: dict[str, HealthState] = {}
        self._transfers: dict[tuple[str, str], Transfer] = {}
        self._items: dict[tuple[str, str, str], dict[str, WorkItem]] = {}
        self.checks: dict[str, dict[str, str]] = {}
        self._capacity: Capacity | None = None

    def begin(self, record: Record) -> Record:
        with self._lock:
            self._models[str(record.model)] = record.model
            return self._records.setdefault((str(record.model), record.recovery_point), record)

    def resume(self, record: Record, attempt: int) -> Record:
        return self._replace(
            record.model_copy(update={"attempt": attempt + 1, "phase": Phase.CAPTURING, "reason": ""}), attempt
        )

    def advance(self, record: Record) -> None:
        self._replace(record, record.attempt)

    def _replace(self, record: Record, attempt: int) -> Record:
        with self._lock:
            place = (str(record.model), record.recovery_point)
            held = self._records.get(place)
            if held is None or held.attempt != attempt or held.phase is Phase.SEALED:
                raise LostRace(f"{record.recovery_point}: attempt {attempt} is over, or the point is sealed")
            names = ("withdrawn", "damaged", "target_arn", "tier_tag", "criticality_tag")
            noted = {name: getattr(held, name) for name in names}
            self._records[place] = record.model_copy(update=noted)
            return self._records[place]

    def annotate(self, model: ModelKey, recovery_point: str, **fields: str | None) -> None:
        with self._lock:
            place = (str(model), recovery_point)
            if place not in self._records:
                raise LostRace(f"{recovery_point} is unknown")
            values: dict[str, Any] = {
                name: "" if name == "reason" and value is None else value for name, value in fields.items()
            }
            self._records[place] = self._records[place].model_copy(update=values)

    def record(self, model: ModelKey, recovery_point: str) -> Record | None:
        return self._records.get((str(model), recovery_point))

    def records(self, model: ModelKey) -> list[Record]:
        return [record for (name, _), record in sorted(self._records.items()) if name == str(model)]

    def models(self) -> list[ModelKey]:
        return [self._models[name] for name in sorted(self._models)]

    def known_models(self) -> list[ModelKey]:
        return [ModelKey.parse(name) for name in sorted({*self._models, *self._standings})]

    def epoch(self, model: ModelKey) -> Epoch | None:
        return self._epochs.get(str(model))

    def open_claims(self) -> list[ModelKey]:
        return [ModelKey.parse(name) for name, epoch in sorted(self._epochs.items()) if not epoch.concluded]

    def claim(self, model: ModelKey, epoch: Epoch, previous: Epoch | None) -> None:
        with self._lock:
            if not _same(self._epochs.get(str(model)), previous):
                raise LostRace(f"{model}: another failover claimed epoch {epoch.number} first")
            self._epochs[str(model)] = epoch

    def conclude(self, model: ModelKey, epoch: Epoch) -> None:
        with self._lock:
            if not _same(self._epochs.get(str(model)), epoch):
                raise LostRace("a newer epoch was claimed")
            self._epochs[str(model)] = epoch.model_copy(update={"concluded": True})

    def flip(self, model: ModelKey, takeover: Takeover, epoch: Epoch) -> None:
        with self._lock:
            held = self._epochs.get(str(model))
            if not _same(held, epoch) or (held and held.concluded):
                raise EpochTaken(f"{model}: epoch {epoch.number} is over")
            standing = self.standing(model)
            if standing and standing.epoch >= takeover.epoch:
                raise EpochTaken(f"{model}: epoch {epoch.number} is over")
            self._switches[str(model)] = takeover
            self._former.pop(str(model), None)

    def takeover(self, model: ModelKey) -> Takeover | None:
        return self._switches.get(str(model))

    def leadership(self, model: ModelKey) -> Leadership:
        with self._lock:
            former = self._former.get(str(model))
            return Leadership(
                takeover=self.takeover(model),
                former=former,
                standing=self.standing(model),
                beside=self._beside.get(str(model)),
            )

    def standing(self, model: ModelKey) -> Standing | None:
        found = self._standings.get(str(model))
        return found[1] if found else None

    def capacity(self) -> Capacity | None:
        return self._capacity

    def put_capacity(self, capacity: Capacity) -> None:
        self._capacity = capacity

    def learn(self, model: ModelKey, standing: Standing) -> None:
        with self._lock:
            held = self.standing(model)
            if held is None or held.epoch <= standing.epoch:
                self._standings[str(model)] = (model, standing)

    def stand_down(self, model: ModelKey, standing: Standing) -> None:
        with self._lock:
            held = self._switches.get(str(model))
            if held and held.epoch < standing.epoch:
                self._former[str(model)] = self._switches.pop(str(model))

    def put_beside(self, model: ModelKey, beside: Beside, previous: Beside | None) -> None:
        with self._lock:
            self._expect_beside(model, previous)
            self._beside[str(model)] = beside

    def withdraw_beside(self, model: ModelKey, beside: Beside) -> None:
        with self._lock:
            self._expect_beside(model, beside)
            del self._beside[str(model)]

    def _expect_beside(self, model: ModelKey, wanted: Beside | None) -> None:
        held = self._beside.get(str(model))
        if (held.mark if held else "") != (wanted.mark if wanted else ""):
            raise LostRace(f"{model}: what answers beside the home was changed by another at the same time")

    def leaving(self, model: ModelKey, endpoint: str) -> Leaving | None:
        return self._leaving.get((str(model), endpoint))

    def leave(self, model: ModelKey, leaving: Leaving, previous: Leaving | None, epoch: Epoch | None) -> None:
        with self._lock:
            if not _same(self._epochs.get(str(model)), epoch) or self.leaving(model, leaving.endpoint) != previous:
                raise LostRace(f"{leaving.endpoint}: a failover of {model} began, or another look deletes it")
            self._leaving[str(model), leaving.endpoint] = leaving

    def left(self, model: ModelKey, leaving: Leaving, *, gone: bool) -> None:
        with self._lock:
            if self.leaving(model, leaving.endpoint) != leaving:
                raise LostRace(f"{leaving.endpoint} of {model} is deleted by another look by now")
            self._leaving[str(model), leaving.endpoint] = leaving.model_copy(update={"open": False})
            if gone:
                del self._leaving[str(model), leaving.endpoint]

    def put_route(self, model: ModelKey, route: Route, checks: dict[str, str]) -> None:
        self._routes[str(model)] = route
        self.checks[str(model)] = checks

    def route(self, model: ModelKey) -> Route | None:
        return self._routes.get(str(model))

    def health(self, model: ModelKey) -> HealthState:
        return self._health.get(str(model), HealthState())

    def put_health(self, model: ModelKey, state: HealthState) -> None:
        self._health[str(model)] = state

    def open_transfer(self, transfer: Transfer, items: Iterable[WorkItem]) -> None:
        with self._lock:
            held = self._items.setdefault((transfer.owner, transfer.id, transfer.plan), {})
            for item in items:
                if item.item not in held or not held[item.item].done_at:
                    held[item.item] = item
            self._transfers[transfer.owner, transfer.id] = transfer

    def transfer(self, owner: str, name: str) -> Transfer | None:
        return self._transfers.get((owner, name))

    def item_done(self, transfer: Transfer, item: WorkItem) -> None:
        with self._lock:
            held = self.transfer(transfer.owner, transfer.id)
            if held is None or held.plan != transfer.plan:
                raise LostRace(f"{transfer.owner} {transfer.id}: plan {transfer.plan} is not in force any more")
            self._items[transfer.owner, transfer.id, transfer.plan][item.item] = item

    def items(self, transfer: Transfer) -> list[WorkItem]:
        held = self._items.get((transfer.owner, transfer.id, transfer.plan), {})
        return [held[name] for name in sorted(held)]


def _same(held: Epoch | None, wanted: Epoch | None) -> bool:
    if held is None or wanted is None:
        return held is wanted
    return (held.number, held.failover_id) == (wanted.number, wanted.failover_id)
