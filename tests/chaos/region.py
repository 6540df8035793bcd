"""One region in a storm: its fake world, ports that can refuse or die at every call, and endpoints that can fail."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from mldr.domain.failover import Epoch, Takeover
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Leadership, Standing
from mldr.domain.policy import Policy
from mldr.domain.serving import ServingPlan
from mldr.domain.tiers import Held
from mldr.errors import EndpointFailed, Throttled
from mldr.steps.know_leader import Leaders
from tests.chaos.schedule import HOME
from tests.fakes.catalog import FakeCatalog
from tests.fakes.policies import FakePolicies
from tests.fakes.serving import IN_SERVICE, FakeServing, FakeStandingEndpoints
from tests.fakes.workflows import FakeWorkflows
from tests.fakes.world import FakeWorld

PORTS = (
    "catalog", "vault", "registry", "own_endpoints", "serving", "standing_endpoints", "policies", "outside", "bus",
    "dns", "evidence", "pager", "decisions", "survivors", "workflows", "evacuations", "quotas",
)  # fmt: skip
TARDY = {("catalog", write) for write in ("claim", "flip", "conclude", "learn", "stand_down")}
HEARD = {"bus", "pager", "dns", "standing_endpoints"}  # whose calls are told; of others these:
HEARD_OF = {("catalog", call) for call in ("put_health", "put_beside", "withdraw_beside")} | {("serving", "restore")}
GATEWAYS = 2  # processes of a gateway, each with a memory of its own


def of(fault: str, model: str) -> str:
    """Return how a fault is called that strikes one model alone; with '' all are struck."""
    return f"{fault} of {model}" if model else fault


def model_of(endpoint: str) -> str:
    """Return the model of an endpoint: the names of models have no dashes here."""
    return endpoint.partition("-")[0]


class Crash(BaseException):
    """A function died: nothing of the product may catch it."""


class Time(Protocol):
    """What a region asks of the simulator."""

    now: float

    def noise(self) -> float:
        """A number in [0, 1) of the schedule's own noise."""

    def called(self, region: Region, port: str, method: str) -> None:
        """A port is about to be called."""

    def postponed(self, region: Region, what: str, given: tuple[Any, ...], write: Callable[[], Any]) -> bool:
        """Whether a write is still on its way when its caller gives it up; then it is done later."""

    def done(self, region: Region, port: str, method: str, given: tuple[Any, ...]) -> None:
        """A call has had its effect."""


class Known(FakeCatalog):
    """A catalog that puts together only once what has not changed: it is asked for more than for anything else."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, tuple[tuple[Any, ...], Leadership]] = {}
        self._model: ModelKey | None = None
        self._name = ""

    def leadership(self, model: ModelKey) -> Leadership:
        parts = self.parts(model)
        before, known = self._known.get(self._name, ((), Leadership()))
        if len(parts) != len(before) or any(new is not old for new, old in zip(parts, before, strict=True)):
            known = super().leadership(model)
            self._known[self._name] = parts, known
        return known

    def parts(self, model: ModelKey) -> tuple[Any, ...]:
        """What says who serves, each the very object until it changes."""
        name = self._name if model is self._model else str(model)
        self._model, self._name = model, name
        return (
            self._switches.get(name), self._former.get(name), self.standing(model), self._beside.get(name)
        )  # fmt: skip


class Skewed:
    """The clock of one region: the true time, and a constant error."""

    def __init__(self, time: Time, start: dt.datetime, skew: float) -> None:
        self._time, self._start = time, start + dt.timedelta(seconds=skew)
        self._read: tuple[float, dt.datetime] = (-1.0, start)

    def now(self) -> dt.datetime:
        if self._read[0] != self._time.now:
            self._read = (self._time.now, self._start + dt.timedelta(seconds=self._time.now))
        return self._read[1]


class Wire:
    """A port of a region. Every call passes the simulator before and after."""

    def __init__(self, region: Region, port: str, plain: Any) -> None:
        self._region, self._port, self.plain = region, port, plain

    def __getattr__(self, method: str) -> Any:
        found = getattr(self.plain, method)
        if not callable(found):
            return found
        region, port = self._region, self._port

        heard = port in HEARD or (port, method) in HEARD_OF

        def call(*given: Any, **named: Any) -> Any:
            region.before(port, method)
            answer = found(*given, **named)
            region.after(port, method, given, heard=heard)
            return answer

        def tardy(*given: Any, **named: Any) -> Any:
            def write() -> Any:
                answer = found(*given, **named)
                region.after(port, method, given, heard=True)
                return answer

            region.before(port, method)
            if region.time.postponed(region, f"{port}.{method}", given, write):
                raise Throttled(f"{port}.{method}: no answer, so nobody knows whether it was written")
            return write()

        self.__dict__[method] = made = tardy if (port, method) in TARDY else call
        return made


_PARSED: dict[str, Policy] = {}


class Rules:
    """A policy that is parsed once for all schedules."""

    def __init__(self, text: str) -> None:
        self._policy = _PARSED.setdefault(text, Policy.parse(text)) if text not in _PARSED else _PARSED[text]
        self._models: dict[tuple[str, str], Any] = {}

    def for_model(self, registry: str, name: str, tags: dict[str, str]) -> Any:
        if (registry, name) not in self._models:
            self._models[registry, name] = self._policy.for_model(registry, name, tags)
        return self._models[registry, name]


class Policies(FakePolicies):
    """The policy in force, not parsed at every look."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._rules = Rules(text)

    def load(self) -> Any:
        return self._rules, "1"

    def edit(self, text: str) -> None:
        """Another policy is in force."""
        self._rules = Rules(text)


class Endpoints(FakeServing):
    """Endpoints that take their time, fail, hang, or answer wrongly while the region's faults say so."""

    def __init__(self, region: Region) -> None:
        super().__init__()
        self._region = region
        self._ready: dict[str, float] = {}
        self.failed: set[str] = set()
        self.gone: set[str] = set()
        self.erring: set[str] = set()
        self.made: dict[str, int] = {}  # how often each was made

    def restore(self, plan: ServingPlan) -> None:
        if plan.name in self.endpoints:
            return
        super().restore(plan)
        self.made[plan.name] = self.made.get(plan.name, 0) + 1
        self._ready[plan.name] = self._region.time.now + 90 * self._region.time.noise()
        if self._region.has("no capacity", plan.name):
            self.failed.add(plan.name)

    def status(self, endpoint: str) -> tuple[str, str]:
        if endpoint not in self.endpoints:
            return "Missing", f"there is no endpoint {endpoint} in this region"
        if endpoint in self.failed:
            return "Failed", "InsufficientInstanceCapacity"
        if endpoint in self.gone:
            return "Failed", "the instances are gone"
        ready = self._ready.get(endpoint)
        if ready is not None and (self._region.has("endpoint hangs", endpoint) or self._region.time.now < ready):
            return "Creating", ""
        self._ready.pop(endpoint, None)
        return IN_SERVICE, ""

    def invoke(
        self, endpoint: str, body: bytes, content_type: str, accept: str = "", component: str = ""
    ) -> tuple[bytes, str]:
        if self.status(endpoint)[0] != IN_SERVICE or endpoint in self.erring:
            raise EndpointFailed(f"endpoint {endpoint} did not answer")
        wrong = self._region.has("wrong answers", endpoint) and self.endpoints[endpoint].plan is not None
        self._region.call.answers.append(not wrong)
        self._region.call.asked.add(endpoint)
        return (b"[9]" if wrong else body), "application/json"


class StandingEndpoints(FakeStandingEndpoints):
    """The endpoints of a region that are mldr's, as they stand."""

    def __init__(self, endpoints: Endpoints) -> None:
        super().__init__(endpoints)
        self._endpoints = endpoints

    def held(self) -> list[Held]:
        return [one.model_copy(update={"status": self._endpoints.status(one.name)[0]}) for one in super().held()]

    def delete(self, endpoint: str) -> bool:
        for troubled in (self._endpoints.failed, self._endpoints.gone, self._endpoints.erring):
            troubled.discard(endpoint)
        return super().delete(endpoint)


class Call:
    """One call of a function: what was known when it began, and what the endpoint answered during it."""

    def __init__(self, door: str, task: Any, epoch: Epoch | None, standing: Standing | None) -> None:
        self.door, self.task, self.epoch, self.standing = door, task, epoch, standing
        self.answers: list[bool] = []
        self.asked: set[str] = set()  # the endpoints that answered
        self.beside: set[str] = set()  # the executions of its region that ran when it began
        self.sights: list[str] = []
        self.seen_of: dict[str, list[str]] = {}  # the same by model, where there are several
        self.crash_in: int | None = None


class Region:
    """A side of the pair."""

    def __init__(self, side: str, world: FakeWorld, time: Time, model: ModelKey) -> None:
        self.side, self.world, self.time, self.model = side, world, time, model
        self.name = world.env.aws_region
        self.faults: Counter[str] = Counter()  # how many of each last
        assert isinstance(world.catalog, Known)
        self.catalog, self.workflows, self.evacuations = world.catalog, world.workflows, world.evacuations
        self.evidence, self.decisions, self.pager = world.evidence, world.decisions, world.pager
        self.endpoints = Endpoints(self)
        self.calls = [Call("outside", None, None, None)]
        world.serving, world.standing_endpoints = self.endpoints, StandingEndpoints(self.endpoints)
        self.dns = world.dns
        self.gateways: list[Leaders] = []
        self.watching = self.converging = False

    @property
    def troubled(self) -> bool:
        """Whether a fault lasts here."""
        return any(self.faults.values()) or bool(self.endpoints.gone or self.endpoints.erring)

    def plug(self) -> None:
        """Put every port on its wire, once the world is complete."""
        for name in PORTS:
            setattr(self.world, name, Wire(self, name, getattr(self.world, name)))
        self.gateways = [self.new_gateway() for _ in range(GATEWAYS)]
        self.world.leaders = self.gateways[0]

    def new_gateway(self) -> Leaders:
        """A process that remembers nothing."""
        world = self.world
        return Leaders(
            region=self.name,
            peer_region=world.env.peer_region,
            catalog=world.catalog,
            outside=world.outside,
            fronts=world.fronts,
            clock=world.clock,
        )

    @property
    def call(self) -> Call:
        """The call that is under way."""
        return self.calls[-1]

    @property
    def is_home(self) -> bool:
        """Whether the model is at home here."""
        return self.side == HOME

    @property
    def standing_matters(self) -> bool:
        """Whether an endpoint answers beside the home, or its name is shared, or once was."""
        return bool(self.knowledge().beside or self.dns.records)

    def has(self, fault: str, endpoint: str = "") -> bool:
        """Whether a fault lasts, of the whole region or of the model that an endpoint is of."""
        return self.faults[fault] > 0 or (bool(endpoint) and self.faults[of(fault, model_of(endpoint))] > 0)

    def knowledge(self) -> Leadership:
        """What the catalog knows, read past the wires."""
        return self.catalog.leadership(self.model)

    def written(self) -> tuple[Any, ...]:
        """What its catalog holds of who serves, each the very object until it changes."""
        return (self.epoch(), *self.catalog.parts(self.model))

    def epoch(self) -> Epoch | None:
        """The newest claim, read past the wires."""
        return self.catalog.epoch(self.model)

    def takeover(self) -> Takeover | None:
        """The switch, read past the wires."""
        return self.catalog.takeover(self.model)

    def before(self, port: str, method: str) -> None:
        """Refuse, die, or let something else happen first."""
        if port == "catalog" and self.faults["catalog refuses"]:
            raise Throttled(f"catalog.{method}: the table refuses")
        if self.calls[-1].crash_in is not None:
            self._die()
        self.time.called(self, port, method)

    def after(self, port: str, method: str, given: tuple[Any, ...], *, heard: bool) -> None:
        """Tell what was done, if anybody listens; the answer may be lost."""
        if heard:
            self.time.done(self, port, method, given)
        if self.calls[-1].crash_in is not None:
            self._die()

    def _die(self) -> None:
        call = self.calls[-1]
        assert call.crash_in is not None
        call.crash_in -= 1
        if call.crash_in <= 0:
            call.crash_in = None
            raise Crash


def workflows_of(started: Callable[[str, dict[str, Any]], None]) -> FakeWorkflows:
    """Executions that tell when they are started."""

    class Started(FakeWorkflows):
        def start(self, name: str, payload: dict[str, Any]) -> None:
            if name not in self.started:
                super().start(name, payload)
                started(name, payload)

    return Started()
