"""Plays a schedule of several models: what fails together is asked for together, and regions are evacuated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mldr.domain.evacuation import Listing, work_key
from mldr.domain.health import Observation
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Announcement
from mldr.domain.recovery_point import Record
from mldr.events.detail_types import FAILOVER_REQUESTED
from mldr.ports.stack import Status
from mldr.steps.plan_evacuation import ASKED, PLAN
from mldr.steps.refresh_quotas import refresh_quotas
from tests.asl_walker import TaskError, _get
from tests.chaos.execution import Execution
from tests.chaos.lane import Lane
from tests.chaos.many_pair import PLENTY, Working, key, limited, protected_many, regions_of
from tests.chaos.many_rules import ON_ITS_OWN, ManyBook
from tests.chaos.many_schedule import EVERY, ManySchedule, Ruled
from tests.chaos.network import Eyes
from tests.chaos.region import Call, Region, model_of, of, workflows_of
from tests.chaos.rules import NOT_STUCK, Book
from tests.chaos.schedule import COLD, HOME, STANDBY, Step
from tests.chaos.simulator import SETTLED_WITHIN, Simulator
from tests.fakes.outside import FakeOutside

EVACUATE = json.loads((Path(__file__).parents[2] / "statemachines" / "evacuate.asl.json").read_text())
READ_EVERY = 300.0  # seconds between two readings of the quotas
LOOKED_EVERY = 5.0  # seconds between two looks at a map's children
SHUFFLED = 0.3  # the chance that a map begins another child than the next one
AFTER_THE_STORM = 960.0  # seconds until nothing cools down, and no flap is remembered


class ManyLane(Lane):
    """One model of several. `stands` says whether its tier wants something to stand in the standby."""

    stands = False

    def sights(self, call: Call) -> list[str]:
        """Its own; for a vantage point that was not asked again, what it saw of the others in that round."""
        own = list(call.seen_of.get(self.model.name, []))
        asked = {sight.partition(":")[0] for sight in own}
        others = {sight for seen in call.seen_of.values() for sight in seen}
        by = {vantage: {one for one in others if one.startswith(f"{vantage}:")} for vantage in
              {sight.partition(":")[0] for sight in others} - asked}  # fmt: skip
        return own + [next(iter(seen)) for _, seen in sorted(by.items()) if len(seen) == 1]

    @property
    def due(self) -> bool:
        """Whether anything stands, or should."""
        return self.stands or super().due


class ManyEyes(FakeOutside):
    """What a region sees of the world, whichever model is asked about."""

    def __init__(self, region: Region, lanes: list[Lane]) -> None:
        super().__init__()
        self._region = region
        self._eyes = {lane.model.name: Eyes(region, lane) for lane in lanes}

    def text(self, name: str) -> str | None:
        return self._of(name.split(".")[1], lambda eyes: eyes.text(name))

    def probe(self, host: str, path: str) -> Observation:
        return self._of(path.split("/")[2], lambda eyes: eyes.probe(host, path))

    def ask_witness(self, witness: str, host: str, model: ModelKey, token: str) -> Observation:
        return self._of(model.name, lambda eyes: eyes.ask_witness(witness, host, model, token))

    def announcement(self, host: str, model: ModelKey) -> Announcement | None:
        return self._eyes[model.name].announcement(host, model)

    def target(self, name: str) -> str | None:
        return self._eyes[name.split(".")[0]].target(name)

    def _of(self, model: str, look: Callable[[Eyes], Any]) -> Any:
        call = self._region.call
        before = len(call.sights)
        found = look(self._eyes[model])
        call.seen_of.setdefault(model, []).extend(call.sights[before:])
        return found


class Evacuation(Execution):
    """One execution of *evacuate*; `begin` is given each child of a map with its item, and lets it run."""

    def __init__(
        self,
        name: str,
        payload: dict[str, Any],
        invoke: Callable[[str, Any], Any],
        read: Callable[[str], bytes | None],
        begin: Callable[[Evacuation, Execution], None],
        pick: Callable[[int], int],
    ) -> None:
        super().__init__(name, payload, invoke, EVACUATE)
        self._read, self._begin, self._pick = read, begin, pick
        self._pending: list[Execution] | None = None
        self.children: list[Execution] = []

    def step(self) -> float | None:
        state = self._states[self.state]
        return self._map(state) if state["Type"] == "Map" else super().step()

    def lose(self) -> None:
        """Its children die with it; the failovers that they started do not."""
        super().lose()
        for child in self.children:
            child.lose()

    def _map(self, state: dict[str, Any]) -> float | None:
        if self._pending is None:
            self._pending = self._items(state)
        if state["ToleratedFailurePercentage"] < 100 and any(child.status == "FAILED" for child in self.children):
            return self._failed(state, TaskError("States.ExceedToleratedFailureThreshold"))
        running = [child for child in self.children if child.status == "RUNNING"]
        while self._pending and len(running) < _get(state["MaxConcurrencyPath"], self.data):
            child = self._pending.pop(self._pick(len(self._pending)))
            self.children.append(child)
            running.append(child)
            self._begin(self, child)
        if running:
            return LOOKED_EVERY
        self._pending = None
        return self._go(state["Next"])

    def _items(self, state: dict[str, Any]) -> list[Execution]:
        kept = self._read(str(_get(state["ItemReader"]["Parameters"]["Key.$"], self.data)))
        assert kept, "the items of a plan that was made are there"
        made = []
        for index, item in enumerate(json.loads(kept)):
            context = {"Map": {"Item": {"Index": index, "Value": item}}}
            given = self._walker._filled(state["ItemSelector"], self.data, context)
            made.append(Execution(f"{self.name}:{index}", given, self._invoke, state["ItemProcessor"]))
        return made


class ManySimulator(Simulator):
    """One play of one schedule of several models."""

    schedule: ManySchedule

    def __init__(self, schedule: ManySchedule, *, tracing: bool = False) -> None:
        self.evacuations: dict[tuple[str, str], Evacuation] = {}
        self.many = ManyBook(self)
        self._victim = ""
        self._acts = 0
        super().__init__(schedule, tracing=tracing)

    def regions(self) -> tuple[Region, Region]:
        return regions_of(self.schedule, self)

    def models(self) -> list[Lane]:
        lanes = [ManyLane(self, key(one.name), self.schedule.of(one)) for one in self.schedule.models]
        for lane, ruled in zip(lanes, self.schedule.models, strict=True):
            lane.stands = ruled.tier != COLD
        return list(lanes)

    def books(self) -> list[Book | ManyBook]:
        return [*super().books(), self.many]

    def eyes(self, region: Region) -> FakeOutside:
        return ManyEyes(region, self.lanes)

    def connect(self, region: Region) -> None:
        super().connect(region)
        region.world.evacuations = region.evacuations = workflows_of(
            lambda name, payload: self._evacuates(region, name, payload)
        )
        limited(region).wanted = lambda plan, count: self.many.wanted(region, plan, count)  # type: ignore[method-assign]
        vault = region.world.vault
        assert isinstance(vault, Working)
        vault.kept = lambda place: self._kept(region, place)

    def lane_of(self, model: str) -> Lane:
        return next(lane for lane in self.lanes if str(lane.model) == model)

    def ruled(self, name: str) -> Ruled:
        """What the policy says of a model."""
        return next(one for one in self.schedule.models if one.name == name)

    def came_home(self, lane: Lane) -> Record:
        return protected_many().came_home[lane.model.name]

    # whom what happens concerns

    def heard(self, region: Region, what: str, given: tuple[Any, ...]) -> None:
        for lane, told in self._concerned(region, what, given):
            lane.book.done(lane.sides[region.side], what, told)
        if what == "catalog.flip":
            self.many.flipped(region, given[1], given[2].failover_id)

    def _concerned(self, region: Region, what: str, given: tuple[Any, ...]) -> list[tuple[Lane, tuple[Any, ...]]]:
        if what.startswith("catalog."):
            return [(self.lane_of(str(given[0])), given)]
        match what:
            case "bus.put":
                return self._requested(region, given)
            case "serving.restore":
                return [(self.lane_of(str(key(model_of(given[0].name)))), given)]
            case "standing_endpoints.delete":
                return [(self.lane_of(str(key(model_of(given[0])))), given)]
            case "dns.ensure_records":
                names = {label for record in given[0] for label in record.name.split(".")}
                return [(lane, given) for lane in self.lanes if lane.model.name in names]
        return []

    def _requested(self, region: Region, given: tuple[Any, ...]) -> list[tuple[Lane, tuple[Any, ...]]]:
        """Several that are asked for together are requests of each of them."""
        name, detail = given
        if name != FAILOVER_REQUESTED or not detail.get("listed"):
            return [(self.lane_of(detail["model"]), given)] if "model" in detail else []
        self.many.joint += 1
        asked = self._listing(region, detail["failover_id"])
        return [(self.lane_of(str(one.model)), (name, {"failover_id": one.failover_id})) for one in asked.models]

    def _listing(self, region: Region, evacuation: str) -> Listing:
        kept = region.world.vault.plain.working[work_key(evacuation, ASKED)]  # type: ignore[attr-defined]
        return Listing.model_validate_json(kept)

    # evacuations

    def _evacuates(self, region: Region, name: str, payload: dict[str, Any]) -> None:
        vault = region.world.vault.plain  # type: ignore[attr-defined]
        execution = Evacuation(
            name,
            payload,
            lambda door, task: self.invoke(region, door, task),
            vault.read,
            lambda evacuation, child: self._begins(region, evacuation, child),
            lambda pending: int(self.dice.random() * pending) if self.dice.random() < SHUFFLED else 0,
        )
        self.evacuations[region.side, name] = execution
        self.many.evacuations += 1
        self.say(f"{region.side}: evacuation {name} starts ({payload['kind']})")
        self.at(self.dice.uniform(0.1, 2), lambda: self._go_on(region, execution))

    def _begins(self, region: Region, evacuation: Evacuation, child: Execution) -> None:
        self.many.turn(region.side, evacuation.data["failover_id"], evacuation.state, child.data)
        self.at(self.dice.uniform(0.1, 2), lambda: self._go_on(region, child))

    def _started(self, region: Region, name: str, payload: dict[str, Any]) -> None:
        self.many.started(region.side, name, payload)
        super()._started(region, name, payload)

    def ended(self, region: Region, execution: Execution) -> None:
        if not isinstance(execution, Evacuation):
            if (region.side, execution.name) in self.executions:
                super().ended(region, execution)
            return
        region.evacuations.active.discard(execution.name)
        region.evacuations.ended[execution.name] = Status(execution.status if execution.told else "LOST")
        self.say(f"{region.side}: evacuation {execution.name} {execution.status} {execution.reason[:300]}")
        if execution.told:
            self.many.concluded(region, execution)

    def _kept(self, region: Region, place: str) -> None:
        *_, evacuation, name = place.split("/")
        if name == PLAN:
            self.many.planned(region, evacuation)

    def asked_of(self, region: Region, evacuation: str) -> set[str]:
        """Whom an evacuation that is planned now is asked for: all that the other region serves, or some of them."""
        payload = next(
            one.data for (side, _), one in self.evacuations.items()
            if side == region.side and one.data["failover_id"] == evacuation
        )  # fmt: skip
        if payload["kind"] == "failback" and not region.is_home:
            return set()  # nothing is at home there
        listed = {one.model.name for one in self._listing(region, evacuation).models} if payload["listed"] else None
        there = {lane.model.name for lane in self.lanes if not lane.book.role(lane.sides[region.side]).serving}
        return there if listed is None else there & listed

    def running(self, side: str, evacuation: str) -> str:
        """The newest execution of an evacuation."""
        return [name for (where, name), one in self.evacuations.items()
                if where == side and one.data["failover_id"] == evacuation][-1]  # fmt: skip

    # what happens

    def _begin(self) -> None:
        self.at(0.0, self._read_quotas)
        super()._begin()

    def _read_quotas(self) -> None:
        self.at(READ_EVERY, self._read_quotas)
        for region in self.sides.values():
            if not region.has("down") and not region.has("catalog refuses"):
                self._read_quotas_of(region)

    def _read_quotas_of(self, region: Region) -> None:
        world, endpoints = region.world, limited(region)
        refresh_quotas(
            quotas=world.quotas,
            catalog=region.catalog,
            clock=world.clock,
            side_by_side=world.env.failovers_side_by_side,
        )
        self.many.read(region, max(0, endpoints.quota - endpoints.held))

    def whom(self, step: Step) -> dict[str, str]:
        return {"region": EVERY} if step.model == EVERY else {"model": str(key(step.model))}

    def ask(self, region: Region, kind: str, /, *, sure: bool = False, **whom: str) -> str:
        if "region" in whom:
            whom = {"region": region.name if kind == "failback" else region.world.env.peer_region}
        return super().ask(region, kind, sure=sure, **whom)

    def _break(self, region: Region, step: Step) -> None:
        if step.what == "quota":
            limited(region).quota = int(step.more)
        else:
            super()._break(region, step)

    def _strike(self, region: Region, what: str) -> None:
        if what != "kill evacuations":
            super()._strike(region, what)
            return
        for (side, name), execution in self.evacuations.items():
            if side == region.side and execution.status == "RUNNING":
                execution.lose()
                region.evacuations.active.discard(name)
                region.evacuations.ended[name] = Status.LOST
                self.say(f"{side}: evacuation {name} is lost")

    def _mend(self) -> None:
        for region in self.sides.values():
            limited(region).quota = PLENTY
            self._read_quotas_of(region)
        super()._mend()

    # the end

    def _unsettled(self) -> tuple[Lane, str]:
        for (_, name), one in self.evacuations.items():
            if one.status == "RUNNING":
                return self.lanes[0], f"evacuation {name} still runs"
        return super()._unsettled()

    def _probe(self) -> None:
        """Whatever happened: a region is left although one of its models cannot be, and then without any hindrance."""
        self.say("* settled")
        self.at(AFTER_THE_STORM, self._leave)

    def _leave(self) -> None:
        target = self.sides[self.dice.choice([HOME, STANDBY])]
        if not self._elsewhere(target):
            target = self._other(target)
        movers = self._elsewhere(target)
        victim = self.dice.choice(movers)
        fault = self.dice.choice(["no capacity", "endpoint hangs", "wrong answers"])
        by_itself = self.dice.random() < 0.5 and target.side == STANDBY
        automatic = [lane for lane in movers if lane.machinery.mode == "automatic"]
        wanted = [lane for lane in (automatic if by_itself else movers) if lane is not victim]
        self.say(f"* {target.side} takes over {'by itself' if by_itself else 'when asked'}; {fault} of {victim.model}")
        target.faults[of(fault, victim.model.name)] += 1
        if by_itself:
            self._other(target).faults["down"] += 1
            self.stir()
        else:
            self._prepare(target)
        self._until_moved(target, wanted, ON_ITS_OWN, self.now + SETTLED_WITHIN, self._mended)

    def _other(self, region: Region) -> Region:
        return self.sides[STANDBY if region.side == HOME else HOME]

    def _elsewhere(self, target: Region) -> list[Lane]:
        return [lane for lane in self.lanes if target.side not in [one.side for one in lane.book.writers()]]

    def _prepare(self, target: Region) -> None:
        """From now on no request may fail; the region is asked for once everybody looks often again."""
        self.probing = target.side
        for lane in self.lanes:
            lane.followed(lane.book.writers()[0].side)
        self._asked = 0.0
        self.at(self.machinery.interval * 4.0, lambda: self._ask_for(target))

    def _ask_for(self, target: Region) -> None:
        self._asked = self.now
        self.ask(target, "failback" if target.is_home else "move", sure=True, region=EVERY)

    def _until_moved(
        self, target: Region, wanted: list[Lane], law: str, until: float, then: Callable[[], None]
    ) -> None:
        """Ask again where an evacuation has ended and some did not move: what they serve may not be protected yet."""
        for lane in wanted:
            lane.book.at_stake(law)
        left = [lane for lane in wanted if not self._serves(lane, target)]
        runs = self.in_flight or any(one.status == "RUNNING" for one in self.evacuations.values())
        if not left and not runs:
            then()
        elif left and self.now > until:
            left[0].book.violate(law, f"{target.side} does not serve it")
        else:
            if left and not runs and self.probing and self._asked and self.now - self._asked > 120:
                self._ask_for(target)
            self.at(30.0, lambda: self._until_moved(target, wanted, law, until, then))

    def _serves(self, lane: Lane, target: Region) -> bool:
        writers = [one.side for one in lane.book.writers()]
        return target.side in writers and target.side in [one.side for one in lane.network.answers()]

    def _mended(self) -> None:
        self.say("* nothing is hindered any more")
        self.probing = ""
        for region in self.sides.values():
            region.faults.clear()
        self._wait_until_settled(self.now + SETTLED_WITHIN, 2, lambda: self.at(AFTER_THE_STORM, self._return))

    def _return(self) -> None:
        """All that is in one region moves to the other, and no request fails."""
        there = {region.side: len(self._elsewhere(region)) for region in self.sides.values()}
        target = self.sides[max(there, key=lambda side: there[side])]
        self.say(f"* {target.side} takes everything")
        self._prepare(target)
        self._until_moved(target, list(self.lanes), NOT_STUCK, self.now + SETTLED_WITHIN, self._close)

    def _close(self) -> None:
        for book in self.books():
            book.close()
        self._queue.clear()
