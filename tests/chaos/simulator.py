"""Plays a schedule: an event queue in virtual time, in which the real steps run against two fake regions."""

from __future__ import annotations

import heapq
import importlib
import json
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from mldr import wiring
from mldr.aws import region_facts
from mldr.domain.approvals import digest_of
from mldr.domain.recovery_point import Manifest, Record
from mldr.errors import MldrError, RegionUnreachable
from mldr.ports.stack import Status
from mldr.steps import conclude_evacuation, know_leader, observe_peer, request_failovers, watch_models
from mldr.telemetry import logger
from tests.asl_walker import TaskError
from tests.chaos.execution import Execution
from tests.chaos.lane import Lane
from tests.chaos.network import Eyes
from tests.chaos.pair import CONTEXT, policy, protected, regions
from tests.chaos.region import Call, Crash, Region, model_of, of, workflows_of
from tests.chaos.rules import FORESEEN, NOT_STUCK, SETTLED, Book, Violation
from tests.chaos.schedule import BOTH, HOME, STANDBY, Schedule, Step
from tests.fakes.outside import FakeOutside
from tests.fakes.world import FakeWorld
from tests.functional.story import CHURN

MEANWHILE = 4  # how much may happen within one call
RACY = {"claim_epoch", "flip_switch"}  # what reads and then writes is interrupted more often
DEPTH = 2  # how deep one call may be interrupted by others
SETTLED_WITHIN = 45 * 60.0  # seconds after everything is mended
CALM = 2  # looks in a row that find everything settled
QUIET = 100.0  # seconds without a fault, an execution or a change after which everybody looks less often
CALM_ROUNDS = 3
CLIENTS_EVERY = 90.0
RESUMED_EVERY = 60.0
_PARSE = Manifest.model_validate_json


class Soon:
    """A thread pool that works at once; sometimes its answer is late."""

    late: Callable[[], bool] = staticmethod(lambda: False)

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> Soon:
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, act: Callable[..., Any], *given: Any) -> list[Any]:
        return [act(*one) for one in zip(*given, strict=False)]

    def submit(self, act: Callable[..., Any], *given: Any) -> Answered:
        return Answered(act(*given), Soon.late())


@dataclass
class Answered:
    """What a pool returns."""

    value: Any
    late: bool

    def result(self) -> Any:
        return self.value

    def exception(self) -> None:
        """What went wrong was raised where it did."""

    def done(self) -> bool:
        late, self.late = self.late, False
        return not late


_WORLD: list[FakeWorld] = []
_POOLED = (know_leader, watch_models, observe_peer, request_failovers, conclude_evacuation, region_facts)


@cache
def _door(name: str) -> Any:
    """The handler below the logger's decorator, which only adds to log lines."""
    handler = importlib.import_module(f"functions.{name}.app").handler
    return getattr(handler, "__wrapped__", handler)


@cache
def _manifest(content: bytes) -> Manifest:
    """A manifest that is parsed once for all schedules: what lies in a vault never changes."""
    return _PARSE(content)


def _record(region: Region, event: dict[str, Any]) -> dict[str, Any]:
    """A message of a queue."""
    return {
        "messageId": "0", "receiptHandle": "handle", "body": json.dumps(event),
        "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {}, "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:ap-southeast-3:123456789012:queue", "awsRegion": region.name,
    }  # fmt: skip


@contextmanager
def installed() -> Iterator[None]:
    """Doors find the region under way, pools work at once, and nothing is logged."""
    level = logger.log_level
    logger.setLevel("CRITICAL")
    protected()
    before = (wiring.world, know_leader.wait)
    pools = [module.ThreadPoolExecutor for module in _POOLED]
    Manifest.model_validate_json = _manifest  # type: ignore[method-assign,assignment]
    wiring.world = lambda: _WORLD[-1]  # type: ignore[assignment,return-value]
    for module in _POOLED:
        module.ThreadPoolExecutor = Soon  # type: ignore[attr-defined]
    know_leader.wait = lambda *_: None  # type: ignore[assignment]
    try:
        yield
    finally:
        logger.setLevel(level)
        del Manifest.model_validate_json
        wiring.world, know_leader.wait = before
        for module, pool in zip(_POOLED, pools, strict=True):
            module.ThreadPoolExecutor = pool  # type: ignore[attr-defined]


@dataclass
class Outcome:
    """How a schedule ended: the first law that was broken, and what happened."""

    violation: Violation | None
    trace: list[str]
    facts: dict[str, int] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)  # by kind
    stakes: Counter[str] = field(default_factory=Counter)  # how often each law could have been broken


class Simulator:
    """One play of one schedule."""

    def __init__(self, schedule: Schedule, *, tracing: bool = False) -> None:
        self.schedule, self.machinery = schedule, schedule.machinery
        self.now, self.trace, self.tracing = 0.0, [], tracing
        self.dice = random.Random(f"noise {schedule.seed}")
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._ids = count(1)
        self.stormy, self.probing = True, ""
        self.in_flight = 0
        self._stirred = 0.0
        self._delivered: list[tuple[Region, str, dict[str, Any]]] = []
        self.faults: Counter[str] = Counter()
        self.executions: dict[tuple[str, str], Execution] = {}
        self._returned = False
        self.cuts: Counter[str] = Counter()
        home, standby = self.regions()
        self.sides = {HOME: home, STANDBY: standby}
        for region in self.sides.values():
            self.connect(region)
            region.plug()
        self.lanes = self.models()
        for region in self.sides.values():
            region.world.outside.plain = self.eyes(region)  # type: ignore[attr-defined]

    # what a schedule is played with

    def play(self) -> Outcome:
        """Play to the end, or to the first violation."""
        Soon.late = lambda: self.fails("the peer's answer is late", self.machinery.late / 4)
        self.lanes[0].book.at_stake(FORESEEN)
        try:
            self._begin()
            while self._queue and not self.violation:
                self._next()
        except Exception as error:  # noqa: BLE001  whatever it is, its seed must be told
            said = "".join(traceback.format_exception(error)[-4:])
            self.lanes[0].book.violate(FORESEEN, f"{type(error).__name__}: {error}\n{said}")
        facts, stakes = Counter[str](), Counter[str]()
        for book in self.books():
            facts.update(book.facts())
            stakes.update(book.stakes)
        return Outcome(self.violation, self.trace, dict(facts), self.faults, stakes)

    # what a simulator of several models has other ones of

    def regions(self) -> tuple[Region, Region]:
        """The two regions, not yet plugged in."""
        return regions(self.machinery, self)

    def models(self) -> list[Lane]:
        """The models that are played."""
        return [Lane(self, CHURN, self.machinery)]

    def books(self) -> list[Book]:
        """Everything that checks a law."""
        return [lane.book for lane in self.lanes]

    def eyes(self, region: Region) -> FakeOutside:
        """What a region sees of the world."""
        return Eyes(region, self.lanes[0])

    def connect(self, region: Region) -> None:
        """Let what a region starts run."""
        region.world.workflows = region.workflows = workflows_of(
            lambda name, payload: self._started(region, name, payload)
        )

    def lane_of(self, model: str) -> Lane:
        """The model of that name."""
        return self.lanes[0]

    def heard(self, region: Region, what: str, given: tuple[Any, ...]) -> None:
        """Tell whom it concerns that a call of a port had its effect."""
        self.lanes[0].book.done(region, what, given)

    @property
    def violation(self) -> Violation | None:
        """The first law that was broken."""
        return next((book.violation for book in self.books() if book.violation), None)

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something after so many seconds."""
        heapq.heappush(self._queue, (self.now + seconds, next(self._numbers), act))

    def say(self, text: str) -> None:
        """Write a line of the trace."""
        if self.tracing:
            self.trace.append(f"{self.now:7.1f}  {text}")

    def noise(self) -> float:
        return self.dice.random()

    def fails(self, what: str, chance: float) -> bool:
        """Whether something of the machinery fails this time."""
        failed = self.stormy and self.dice.random() < chance
        if failed:
            self.faults[what] += 1
        return failed

    def _begin(self) -> None:
        self.at(1.0, self._check)
        for region in self.sides.values():
            self.at(self.dice.uniform(0, self.machinery.interval), lambda region=region: self._watch(region))
        self.at(5.0, self._clients)
        self.at(self.dice.uniform(5, 60), self._converge)
        for region in self.sides.values():
            self.at(RESUMED_EVERY, lambda region=region: self._resume(region))
        for step in self.schedule.steps:
            self.at(step.at, lambda step=step: self._step(step))
        self.at(self.schedule.storm, self._mend)
        for lane in self.lanes:
            if self.dice.random() < 0.4:
                self._come_home(lane)

    def _next(self) -> None:
        at, _, act = heapq.heappop(self._queue)
        self.now = max(self.now, at)
        act()
        for lane in self.lanes:
            lane.book.look()

    # what the regions do by themselves

    def _check(self) -> None:
        if any(region.troubled for region in self.sides.values()):
            self.stir()
        for lane in self.lanes:
            lane.check()
        self.at(self._pause(), self._check)

    def _pause(self) -> float:
        """Nobody has to look often while nothing happens: that is most of the time, and tells nothing."""
        quiet = self.now - self._stirred > QUIET and not self.probing
        return self.machinery.interval * (4 if quiet else 1)

    def stir(self) -> None:
        """Something happens: look often from now on."""
        self._stirred = self.now

    def _watch(self, region: Region) -> None:
        calm = 1 if self.stormy else CALM_ROUNDS  # nothing fails any more: there is little to decide
        self.at(calm * self._pause() + self.dice.random(), lambda: self._watch(region))
        if not region.has("down") and not region.watching:  # reserved concurrency 1
            region.watching = True
            task = {"round": 0, "rounds": 1, "pause": self.machinery.interval}
            try:
                self.invoke(region, "decide_failover", task)
            except TaskError as error:
                self.say(f"{region.side}: a round of watching failed: {error.error}")
            finally:
                region.watching = False

    def _converge(self) -> None:
        """The standby's look at what should stand; none is due while it never was to answer beside the home."""
        region = self.sides[STANDBY]
        self.at(self.dice.uniform(40, 80) * self._pause() / self.machinery.interval, self._converge)
        if region.has("down") or region.converging or not any(lane.due for lane in self.lanes):
            return
        region.converging = True
        event = {"id": "due", "source": "mldr", "detail-type": "Tiers Due", "region": region.name, "detail": {}}
        try:
            self.invoke(region, "converge_serving", {"Records": [_record(region, event)]})
        except BatchProcessingError as error:
            self.say(f"{region.side}: what should stand does not yet: {str(error)[:300]}")
        except TaskError:
            return
        finally:
            region.converging = False

    def _resume(self, region: Region) -> None:
        """The schedule's look at claims that nothing works for; it calls nobody where there is none."""
        self.at(RESUMED_EVERY, lambda: self._resume(region))
        if region.has("down") or not any(lane.died(region) for lane in self.lanes):
            return
        self.stir()
        try:
            self.invoke(region, "resume_failovers", {})
        except TaskError as error:
            self.say(f"{region.side}: what died was not looked at: {error.error}")

    def _clients(self) -> None:
        for lane in self.lanes:
            lane.clients()
        self.at(CLIENTS_EVERY / 3 if self.probing else CLIENTS_EVERY, self._clients)

    # functions and executions

    def invoke(self, region: Region, door: str, payload: Any) -> Any:
        """Run a door in a region. Raises TaskError as Step Functions would see it."""
        lane = self.lane_of(payload["model"]) if "model" in payload else None
        seen = lane.sides[region.side] if lane else region
        epoch, standing = (seen.epoch(), seen.knowledge().standing) if lane else (None, None)
        call = Call(door, payload, epoch, standing)
        if self.stormy and self.dice.random() < self.machinery.crash:
            call.crash_in = self.dice.randint(1, 14)
        call.beside = {name for (side, name), one in self.executions.items()
                       if side == region.side and one.status == "RUNNING"}  # fmt: skip
        region.calls.append(call)
        _WORLD.append(region.world)
        try:
            answer = _door(door)(payload, CONTEXT)
            self.answered(seen, call, lane)
            return json.loads(json.dumps(answer)) if door != "decide_failover" else answer
        except Crash:
            self.faults["a function died"] += 1
            self.say(f"{region.side}: {door} died")
            raise TaskError("Runtime.ExitError", "{}") from None
        except MldrError as error:
            if lane:
                lane.book.refused(seen, call, error)
            self.say(f"{region.side}: {door}: {type(error).__name__}: {error}")
            raise TaskError(type(error).__name__, json.dumps({"errorMessage": str(error)})) from error
        finally:
            region.calls.pop()
            _WORLD.pop()
            if lane:
                lane.book.ended(call)

    def answered(self, region: Region, call: Call, lane: Lane | None) -> None:
        """A function came to its end."""
        if lane:
            lane.book.answered(region, call)

    def _started(self, region: Region, name: str, payload: dict[str, Any]) -> None:
        execution = Execution(name, payload, lambda door, task: self.invoke(region, door, task))
        self.executions[region.side, name] = execution
        self.lane_of(payload["model"]).executions[region.side, name] = execution
        self.say(f"{region.side}: execution {name} starts ({payload['kind']})")
        self.at(self.dice.uniform(0.1, 2), lambda: self._go_on(region, execution))

    def _go_on(self, region: Region, execution: Execution) -> None:
        if execution.status != "RUNNING":
            return
        if region.has("down"):
            self.at(20.0, lambda: self._go_on(region, execution))
            return
        self.stir()
        waited = execution.step()
        if waited is not None:
            self.at(waited + self.dice.uniform(0.05, 1.5), lambda: self._go_on(region, execution))
            return
        if execution.status != "LOST":
            self.ended(region, execution)

    def ended(self, region: Region, execution: Execution) -> None:
        """An execution came to its end by itself."""
        region.workflows.active.discard(execution.name)
        region.workflows.ended[execution.name] = Status(execution.status if execution.told else "LOST")
        self.say(f"{region.side}: execution {execution.name} {execution.status} {execution.reason[:300]}")

    def called(self, region: Region, port: str, method: str) -> None:
        """The peer's registry may be away; and between two calls something else may happen."""
        if port == "registry" and method != "own":
            peer = self.sides[STANDBY if region.side == HOME else HOME]
            if not self.near(region, peer):
                raise RegionUnreachable(f"registry.{method}: {peer.name} does not answer")
        if not self.stormy or not self.machinery.between or len(_WORLD) > DEPTH or region.call.door == "outside":
            return
        between = self.machinery.between * (5 if region.call.door in RACY else 1)
        if self.dice.random() < between and self._queue and self._queue[0][0] < self.now + 30:
            self.say(f"{region.side}: meanwhile, in {region.call.door} before {port}.{method}:")
            self._interrupt()

    def _interrupt(self) -> None:
        """Let what is due next happen within a call, which must not die in its place."""
        self.faults["something happens within a function"] += 1
        for region in self.sides.values():
            region.calls.append(Call("outside", None, None, None))
        try:
            for _ in range(1 + int(self.dice.random() * MEANWHILE)):
                if self._queue and self._queue[0][0] < self.now + 30:
                    self._next()
        finally:
            for region in self.sides.values():
                region.calls.pop()

    def postponed(self, region: Region, what: str, given: tuple[Any, ...], write: Callable[[], Any]) -> bool:
        """Now and then a write is still on its way when whoever wrote has given up; it arrives as it was."""
        hangs = what == "catalog.flip" and region.has("flips hang")
        if not self.fails("a write arrives late", 1.0 if hangs else self.machinery.tardy):
            return False

        self.in_flight += 1

        def arrive() -> None:
            self.in_flight -= 1
            self.say(f"{region.side}: {what}, given up long ago, arrives")
            self.lane_of(str(given[0])).book.late(region, what, given)
            try:
                write()
            except MldrError as error:
                self.say(f"{region.side}: and is refused: {error}")

        self.say(f"{region.side}: {what} is on its way")
        soon = self.dice.random() < 0.5 and not hangs
        self.at(self.dice.uniform(1, 20) if soon else self.dice.uniform(20, 900), arrive)
        return True

    def done(self, region: Region, port: str, method: str, given: tuple[Any, ...]) -> None:
        self.heard(region, f"{port}.{method}", given)
        if port == "bus":
            self._put(region, given[0], given[1])
        elif port == "catalog" and method == "flip":
            self.say(f"{region.side}: FLIPPED epoch {given[1].epoch} to {given[1].endpoint}")
            if region.side == STANDBY:
                lane = self.lane_of(str(given[0]))
                self.at(self.dice.uniform(10, 600), lambda: self._come_home(lane))
        elif port == "catalog" and method == "stand_down" and region.takeover() is None:
            self.say(f"{region.side}: stood down, {given[1].holder} holds epoch {given[1].epoch}")
        elif port == "pager":
            self._paged(region, given[1])

    # messages and people

    def _put(self, region: Region, name: str, detail: dict[str, Any]) -> None:
        detail = json.loads(json.dumps(detail))
        if name == "Model Promoted":
            if region.is_home:
                lane = self.lane_of(detail["model"])
                self.at(self.dice.uniform(5, 90), lambda: self._come_home(lane))
        elif name in ("Failover Requested", "Failback Requested", "Failover Approved"):
            self.send(region, name, detail)

    def send(self, region: Region, name: str, detail: dict[str, Any], *, sure: bool = False) -> str:
        """Put an event on a region's bus: it may be lost, late, or delivered twice."""
        event = {
            "id": f"event-{next(self._ids)}",
            "source": "mldr",
            "detail-type": name,
            "time": region.world.clock.now().isoformat(),
            "detail": detail,
        }
        if not sure and self.fails("a message is lost", self.machinery.lost):
            self.say(f"{region.side}: {name} is lost")
            return str(event["id"])
        for _ in range(2 if not sure and self.fails("a message comes twice", self.machinery.twice) else 1):
            late = not sure and self.fails("a message is late", self.machinery.late)
            delay = self.dice.uniform(5, 400) if late else self.dice.uniform(0.1, 3)
            self._post(delay, region, name, event)
        return str(event["id"])

    def _post(self, delay: float, region: Region, name: str, event: dict[str, Any]) -> None:
        self.in_flight += 1
        self.at(delay, lambda: self._deliver(region, name, event))

    def _deliver(self, region: Region, name: str, event: dict[str, Any]) -> None:
        if region.has("down"):
            self.at(30.0, lambda: self._deliver(region, name, event))
            return
        door = "approve_failover" if name == "Failover Approved" else "start_failover"
        record = _record(region, event)
        try:
            failed = self.invoke(region, door, {"Records": [record]})["batchItemFailures"]
        except TaskError:
            failed = [record]
        if failed:  # the queue delivers it again
            self.at(30.0, lambda: self._deliver(region, name, event))
            return
        self.in_flight -= 1
        if (region, name, event) not in self._delivered:
            self._delivered.append((region, name, event))

    def ask(self, region: Region, kind: str, /, *, sure: bool = False, **whom: str) -> str:
        """A person asks a region for something; the id of the request."""
        whom = whom or {"model": str(self.lanes[0].model)}
        detail = {**whom, "reason": f"a person wants a {kind}", "requested_by": "operator"}
        self.say(f"{region.side}: a person asks for a {kind}")
        if kind == "failback":
            return self.send(region, "Failback Requested", detail, sure=sure)
        return self.send(region, "Failover Requested", {**detail, "kind": kind}, sure=sure)

    def _paged(self, region: Region, message: str) -> None:
        if "mldr approve" in message and self.dice.random() < 0.7:
            for _ in range(2 if self.dice.random() < 0.3 else 1):
                thought = self.dice.uniform(5, 1200) if self.dice.random() < 0.4 else self.dice.uniform(5, 90)
                self.at(thought, lambda: self._approve(region, message))

    def _approve(self, region: Region, message: str) -> None:
        if self.probing:
            return  # all is well by now, and everybody sees it
        name, token, *_ = message.partition("mldr approve ")[2].split()
        lane = self.lane_of(f"sagemaker/{name}")
        self.say(f"{region.side}: a person approves")
        approval = region.decisions.approval(lane.model)
        if approval and approval.digest == digest_of(token):
            lane.book.approved.add((region.side, approval.failover_id))
        detail = {"model": str(lane.model), "token": token, "approved_by": "operator"}
        self.send(region, "Failover Approved", detail)

    def _come_home(self, lane: Lane) -> None:
        """What the standby serves is protected at home, as soon as the two reach each other."""
        home, standby = self.sides[HOME], self.sides[STANDBY]
        record = self.came_home(lane)
        if home.catalog.record(lane.model, record.recovery_point):
            return
        if home.has("down") or home.has("catalog refuses") or not self.near(home, standby):
            self.at(60.0, lambda: self._come_home(lane))
            return
        home.catalog.begin(record)
        lane.say("home: what the standby serves is sealed here")

    def came_home(self, lane: Lane) -> Record:
        """The recovery point that the home has of what the standby serves."""
        return protected().came_home

    def near(self, one: Region, other: Region) -> bool:
        """Whether a region reaches the other one."""
        network = self.lanes[0].network
        return network.hears(one, other.side) and network.reaches(one.side, other)

    # the steps of a schedule

    def _step(self, step: Step) -> None:
        self.say(f"* {step}")
        self.faults[f"{step.what}: {step.more}" if step.what == "ask" else step.what] += 1
        self.stir()
        region = self.sides.get(step.where)
        match step.what:
            case "ask":
                self.ask(self.sides[step.where], step.more, **self.whom(step))
            case "cut":
                self._last(self.cuts, "cut", step.lasts)
            case "flap":
                self._flap(self.sides[step.where], self.now + step.lasts, float(step.more))
            case "repeat messages":
                for which, name, event in list(self._delivered):
                    self._post(self.dice.uniform(0, 60), which, name, event)
            case "kill executions" | "kill evacuations" | "new gateway" | "damage point" | "approve":
                self._strike(self.sides[step.where], step.what)
            case _:
                self._break(region, step) if region else self._edit(step.more)

    def whom(self, step: Step) -> dict[str, str]:
        """Return whom a person asks about, {} for the only model."""
        return {}

    def _edit(self, tier: str) -> None:
        """The policy of both regions says something else of the tier."""
        self.lanes[0].both = tier == BOTH
        for region in self.sides.values():
            region.world.policies.plain.edit(policy(self.machinery, tier))

    def _strike(self, region: Region, what: str) -> None:
        if what == "new gateway":
            region.gateways[0] = region.new_gateway()
        elif what == "damage point":
            self._damage(region, "bytes differ")
        elif what == "approve":
            for _, message in [page for page in region.pager.pages if "mldr approve" in page[1]][-1:]:
                self._approve(region, message)
        else:
            for (side, name), execution in self.executions.items():
                if side == region.side and execution.status == "RUNNING":
                    execution.lose()
                    region.workflows.active.discard(name)
                    region.workflows.ended[name] = Status.LOST
                    self.say(f"{side}: execution {name} is lost")

    def _damage(self, region: Region, how: str | None) -> None:
        for model in region.catalog.models():
            for record in region.catalog.records(model):
                region.catalog.annotate(model, record.recovery_point, damaged=how)

    def _last(self, counter: Any, what: str, seconds: float) -> None:
        counter[what] += 1

        def end() -> None:
            if counter[what]:
                counter[what] -= 1
                self.stir()
                self.say(f"* {what} is over")

        self.at(seconds, end)

    def _break(self, region: Region, step: Step) -> None:
        if step.what in ("endpoint errors", "endpoint gone"):
            broken = region.endpoints.erring if step.what == "endpoint errors" else region.endpoints.gone
            hurt = {name for name in region.endpoints.endpoints if step.model in ("", model_of(name))}
            broken |= hurt
            self.at(step.lasts, lambda: self._unless_looked_at(region, lambda: broken.difference_update(hurt)))
            return
        self._last(region.faults, of(step.what, step.model), step.lasts)

    def _unless_looked_at(self, region: Region, act: Callable[[], None]) -> None:
        """SageMaker brings no failed endpoint back, so within one look at what should stand it must not seem so."""
        if region.converging:
            self.at(1.0, lambda: self._unless_looked_at(region, act))
        else:
            act()

    def _flap(self, region: Region, until: float, period: float) -> None:
        self._unless_looked_at(region, lambda: self._toggle(region, until, period))

    def _toggle(self, region: Region, until: float, period: float) -> None:
        endpoints = region.endpoints
        if self.now >= until or not self.stormy:
            endpoints.gone.clear()
            return
        if endpoints.gone:
            endpoints.gone.clear()
        else:
            endpoints.gone |= set(endpoints.endpoints)
        self.at(period, lambda: self._flap(region, until, period))

    # the end

    def _mend(self) -> None:
        """Everything works again; what was begun goes on."""
        self.say("* everything is mended")
        self.stir()
        self.stormy = False
        self.cuts.clear()
        for region in self.sides.values():
            region.faults.clear()
            self._unless_looked_at(region, region.endpoints.gone.clear)
            region.endpoints.erring.clear()
            self._damage(region, None)
        for lane in self.lanes:
            lane.book.at_stake(SETTLED)
        self._wait_until_settled(self.now + SETTLED_WITHIN, CALM, self._probe)

    def _wait_until_settled(self, until: float, looks: int, then: Callable[[], None]) -> None:
        lane, why = self._unsettled()
        if not why and looks <= 1:
            then()
        elif why and self.now > until:
            lane.book.violate(SETTLED, why)
        else:
            self.at(30.0, lambda: self._wait_until_settled(until, CALM if why else looks - 1, then))

    def _unsettled(self) -> tuple[Lane, str]:
        for lane in self.lanes:
            if why := lane.book.unsettled():
                return lane, why
        return self.lanes[0], ""

    def _probe(self) -> None:
        """Whatever happened, a person can move the model to the other region, and no request fails."""
        [lane] = self.lanes
        serving = lane.book.writers()[0]
        target = self.sides[STANDBY if serving.side == HOME else HOME]
        self.say(f"* settled: {serving.side} serves; a person moves it")
        lane.followed(serving.side)
        self.probing = target.side
        self.at(self.machinery.interval * 4.0, lambda: self._move(target, 4))  # until everybody looks often again

    def _move(self, target: Region, tries: int) -> None:
        self.lanes[0].book.at_stake(NOT_STUCK)
        kind = "failback" if target.is_home else "move"
        name = self.ask(target, kind, sure=True)
        self.at(20.0, lambda: self._moved(target, name, tries, self.now + SETTLED_WITHIN))

    def _moved(self, target: Region, name: str, tries: int, until: float) -> None:
        execution = self.executions.get((target.side, name))
        if execution is None or execution.status == "RUNNING":
            if self.now > until:
                self.lanes[0].book.violate(NOT_STUCK, f"{name} in {target.side}")
            self.at(20.0, lambda: self._moved(target, name, tries, until))
        elif execution.status == "SUCCEEDED":
            self._wait_until_settled(self.now + SETTLED_WITHIN, CALM, lambda: self._end(target))
        elif tries <= 1:
            self.lanes[0].book.violate(NOT_STUCK, f"{target.side}: {execution.reason}")
        else:
            self.say(f"{target.side}: the move was refused: {execution.reason}")
            if "is held by failover" in execution.reason:
                self.ask(target, "clear", sure=True)
            self.at(120.0, lambda: self._move(target, tries - 1))

    def _end(self, target: Region) -> None:
        [lane] = self.lanes
        if target not in lane.network.answers():
            lane.book.violate(NOT_STUCK, f"after a planned move DNS answers {lane.named()}")
        if lane.both and not target.is_home and not self._returned:
            self._returned = True  # where both answer, they have to do so again after a failback
            home = self.sides[HOME]
            self.say("* and back home")
            self.probing = home.side
            self._move(home, 4)
            return
        lane.book.close()
        self._queue.clear()
