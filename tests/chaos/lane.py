"""One model in a storm: its checks and its name, who asks for it, and the laws that watch it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Announcement
from mldr.ports.stack import Status
from mldr.steps import know_leader, serve_gateway
from mldr.steps.cache_predictions import Question
from mldr.steps.executions import newest_status
from tests.chaos.execution import Execution
from tests.chaos.network import CLIENT, Network
from tests.chaos.region import Call, Region
from tests.chaos.rules import NO_REQUEST_FAILS, Book
from tests.chaos.schedule import HOME, STANDBY, Machinery

if TYPE_CHECKING:
    from tests.chaos.simulator import Simulator

TTL = 60.0
_TOKEN = "right-token"
_QUESTION = Question(body=b"[1]", content_type="application/json", accept="", cache_control="")


class Lane:
    """A model of a simulator. `sides` are the regions as this model sees them; `both` is what its policy says now."""

    def __init__(self, simulator: Simulator, model: ModelKey, machinery: Machinery) -> None:
        self.simulator, self.model, self.machinery = simulator, model, machinery
        self.sides = {side: seen_by(model, region) for side, region in simulator.sides.items()}
        self.network = Network(self.sides[HOME], self.sides[STANDBY], simulator.cuts)
        self.executions: dict[tuple[str, str], Execution] = {}
        self.both = machinery.both
        self.book = Book(self)
        self._answer: tuple[float, str] = (-TTL, HOME)
        self._said: dict[str, list[Announcement]] = {HOME: [], STANDBY: []}
        self._read: dict[str, tuple[bytes, Announcement | None]] = {HOME: (b"", None), STANDBY: (b"", None)}

    @property
    def now(self) -> float:
        """The true time."""
        return self.simulator.now

    @property
    def in_flight(self) -> int:
        """How many messages and writes have not arrived."""
        return self.simulator.in_flight

    def noise(self) -> float:
        """A number in [0, 1) of the schedule's own noise."""
        return self.simulator.noise()

    def say(self, text: str) -> None:
        """Write a line of the trace."""
        self.simulator.say(text if len(self.simulator.lanes) == 1 else f"{self.model.name}: {text}")

    def stir(self) -> None:
        """Something happens."""
        self.simulator.stir()

    @property
    def due(self) -> bool:
        """Whether anything but the model's own endpoint may have to stand in the standby."""
        return self.both or self.sides[STANDBY].standing_matters

    def died(self, region: Region) -> bool:
        """Whether an execution of a claim that is still open has ended."""
        claim = region.catalog.epoch(self.model)
        if claim is None or claim.concluded:
            return False
        return newest_status(region.workflows, claim.failover_id) not in (None, Status.RUNNING)

    def sights(self, call: Call) -> list[str]:
        """What the vantage points saw of this model in a round."""
        return list(call.sights)

    # clients, checkers and the peer

    def named(self) -> str:
        """What DNS answers."""
        return " and ".join(region.side for region in self.network.answers())

    def check(self) -> None:
        """One round of the checkers."""
        before, shown = self.named(), self.network.taken
        if self.network.unsure:
            self.stir()
        self.network.check(self)
        if self.named() != before:
            self.say(f"DNS answers {self.named()}")
            if shown:
                self.book.moved()

    def clients(self) -> None:
        """A client of the name, and one that keeps an old answer, in each region."""
        if self.now - self._answer[0] >= TTL:
            answers = self.network.answers()
            self._answer = (self.now, answers[int(self.noise() * len(answers))].side)
        for region in self.sides.values():
            if self.network.reaches(CLIENT, region):
                status, endpoint = self.predict(region)
                self.book.predicted(region, status, endpoint)
                if region.side != self._answer[1] or not self.simulator.probing:
                    continue
                self.book.at_stake(NO_REQUEST_FAILS)
                if status != 200:
                    self.book.violate(NO_REQUEST_FAILS, f"{region.side} answered {status}")

    def followed(self, side: str) -> None:
        """Whoever asks has heard by now which region serves."""
        self._answer = (self.now, side)

    def predict(self, region: Region) -> tuple[int, str]:
        """What a prediction is answered with, and by which endpoint."""
        world = region.world
        front = serve_gateway.Front(
            tokens=world.tokens,
            leaders=self._gateway(region),
            policies=world.policies,
            serving=world.front_serving,
            predictions=world.predictions,
            offers=world.offers,
        )
        answer = front.predict(self.model, _QUESTION, token=_TOKEN)
        return answer.status, answer.headers.get("x-mldr-endpoint", "")

    def _gateway(self, region: Region) -> know_leader.Leaders:
        return region.gateways[int(self.noise() * len(region.gateways))]

    def status(self, region: Region, path: str) -> int:
        """What a region's gateway answers to a GET."""
        world, leaders = region.world, self._gateway(region)
        if path == "takeover":
            status = serve_gateway.takeover(self.model, leaders=leaders).status
            self.book.showed(region, leaders, status)
            return status
        return serve_gateway.health(
            self.model, leaders=leaders, policies=world.policies, deep=world.deep_health
        ).status  # fmt: skip

    def announced(self, region: Region) -> Announcement | None:
        """What a region's gateway says of who serves. Now and then an old announcement arrives after newer ones."""
        said = self._said[region.side]
        if said and self.simulator.fails("an old announcement", self.simulator.machinery.late / 3):
            return self.simulator.dice.choice(said)
        gateway = self._gateway(region)
        before = self.book.said.get(gateway, 0)  # as this request begins: within it others may be answered
        answer = serve_gateway.epoch(self.model, leaders=gateway, catalog=region.world.catalog)
        if answer.status != 200:
            return None
        if self._read[region.side][0] != answer.body:
            announcement = Announcement.model_validate_json(answer.body)
            self._read[region.side] = (answer.body, announcement)
            said.append(announcement)
        told = self._read[region.side][1]
        assert told
        self.book.announced(region, gateway, before, told)
        return told


def seen_by(model: ModelKey, region: Region) -> Region:
    """The same region, all that it holds shared, of which another model is asked."""
    if region.model == model:
        return region
    seen = copy.copy(region)
    seen.model = model
    return seen
