"""The table of what a region knows of its models."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Protocol

from mldr.domain.capacity import Capacity
from mldr.domain.failover import Epoch, Takeover
from mldr.domain.health import HealthState
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Beside, Leadership, Standing
from mldr.domain.recovery_point import Record
from mldr.domain.region_plan import Direction, ModelFacts
from mldr.domain.routing import Route
from mldr.domain.tiers import Leaving
from mldr.domain.transfers import Transfer, WorkItem


class Catalog(Protocol):
    """Recovery points, epochs, routes and health in one table of the standby region."""

    def begin(self, record: Record) -> Record:
        """Write a new record, or return the one that is there."""

    def resume(self, record: Record, attempt: int) -> Record:
        """Take the next attempt of an unfinished point: attempt + 1, CAPTURING. Raises LostRace when another did."""

    def advance(self, record: Record) -> None:
        """Write a record of the same attempt, but for what `annotate` sets, except the reason.

        Raises LostRace when the attempt is over or the point is sealed.
        """

    def annotate(self, model: ModelKey, recovery_point: str, **fields: str | None) -> None:
        """Set `target_arn`, `withdrawn`, `damaged`, a tag or `reason`, in any phase. Raises LostRace without one."""

    def record(self, model: ModelKey, recovery_point: str) -> Record | None:
        """Return one record, or None."""

    def records(self, model: ModelKey) -> list[Record]:
        """Return all records of a model."""

    def models(self) -> list[ModelKey]:
        """Return every model that has a record."""

    def known_models(self) -> list[ModelKey]:
        """Return every model that has a record, or of which the peer announced something, by name."""

    def epoch(self, model: ModelKey) -> Epoch | None:
        """Return the current epoch, or None."""

    def open_claims(self) -> list[ModelKey]:
        """Return the models whose claim is open, by name. It may be a moment late: what is acted on is read again."""

    def claim(self, model: ModelKey, epoch: Epoch, previous: Epoch | None) -> None:
        """Write the epoch if `previous` is still current. Raises LostRace."""

    def conclude(self, model: ModelKey, epoch: Epoch) -> None:
        """Mark an epoch as concluded, if it is still current."""

    def flip(self, model: ModelKey, takeover: Takeover, epoch: Epoch) -> None:
        """Turn the takeover switch on, while `epoch` is current and open, and no higher one was learned.

        Raises EpochTaken, also for a write that arrives after its failover was concluded.
        """

    def takeover(self, model: ModelKey) -> Takeover | None:
        """Return the takeover switch, or None while it is off."""

    def leadership(self, model: ModelKey) -> Leadership:
        """Return what is known of who serves a model, in one read."""

    def standing(self, model: ModelKey) -> Standing | None:
        """Return what the peer was last seen to announce, or None."""

    def learn(self, model: ModelKey, standing: Standing) -> None:
        """Remember what the peer announced. One of an older epoch than what is known is ignored."""

    def stand_down(self, model: ModelKey, standing: Standing) -> None:
        """Turn the takeover switch off if its epoch is older. Harmless when it is off, or newer."""

    def put_beside(self, model: ModelKey, beside: Beside, previous: Beside | None) -> None:
        """Say that an endpoint answers beside the home, in place of what was read before. Raises LostRace."""

    def withdraw_beside(self, model: ModelKey, beside: Beside) -> None:
        """Say that nothing answers beside the home any more. Raises LostRace when it is another by now."""

    def leaving(self, model: ModelKey, endpoint: str) -> Leaving | None:
        """Return what is known of an endpoint that is being deleted, None when it is not, or gone."""

    def leave(self, model: ModelKey, leaving: Leaving, previous: Leaving | None, epoch: Epoch | None) -> None:
        """Say that an endpoint is deleted from now on, while `epoch`, which is not open, is still the current one.

        Raises LostRace, also when `previous` is not what is known of it any more.
        """

    def left(self, model: ModelKey, leaving: Leaving, *, gone: bool) -> None:
        """Say that a look has ended its deletion, and whether nothing is left of it. Raises LostRace."""

    def capacity(self) -> Capacity | None:
        """Return what this region was last read to be able to carry, or None."""

    def put_capacity(self, capacity: Capacity) -> None:
        """Remember what this region can carry."""

    def put_route(self, model: ModelKey, route: Route, checks: dict[str, str]) -> None:
        """Remember the onboarded graph and its health check ids, by role."""

    def route(self, model: ModelKey) -> Route | None:
        """Return the onboarded graph, or None."""

    def health(self, model: ModelKey) -> HealthState:
        """Return what the last round left."""

    def put_health(self, model: ModelKey, state: HealthState) -> None:
        """Remember this round."""

    def open_transfer(self, transfer: Transfer, items: Iterable[WorkItem]) -> None:
        """Put a plan and its items in force, in place of the plan before. Again for the same plan is harmless:

        an item that is done stays done.
        """

    def transfer(self, owner: str, name: str) -> Transfer | None:
        """Return the plan in force, or None."""

    def item_done(self, transfer: Transfer, item: WorkItem) -> None:
        """Note that an item is done; again is harmless. Raises LostRace when another plan is in force."""

    def items(self, transfer: Transfer) -> list[WorkItem]:
        """Return the items of a plan, by name."""


class RegionFacts(Protocol):
    """What this region knows of the models of the other one, for a plan of all of them."""

    def gather(self, direction: Direction, now: dt.datetime) -> list[ModelFacts]:
        """Return what is known of every model that would move; many are read at once."""
