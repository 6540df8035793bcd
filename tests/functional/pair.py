"""Both regions in memory: two worlds with one network, one registry seen from either side, and DNS that follows."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mldr import wiring
from mldr.domain.health import Observation, Sight
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Announcement
from mldr.steps import serve_gateway
from tests.asl_walker import Ended
from tests.fakes.objects import Buckets
from tests.fakes.outside import FakeOutside
from tests.fakes.registry import FakeRegistry
from tests.fakes.serving import Endpoint
from tests.fakes.world import ACTIVE, STANDBY, FakeWorld, settings
from tests.functional.story import CHURN, IMAGE, deliver, package_event, promoted, run

HOME = ACTIVE
NAME = "churn.models.example"


class Network(FakeOutside):
    """The public network: a region that is cut off answers nobody."""

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self._pair = pair

    def probe(self, host: str, path: str) -> Observation:
        status = self._pair.get(host, path)
        sight = Sight.HEALTHY if status < 400 else Sight.UNHEALTHY if status >= 500 else Sight.UNKNOWN
        return Observation(vantage="standby", sight=sight, detail=f"{host} answered {status}")

    def announcement(self, host: str, model: ModelKey) -> Announcement | None:
        self.listened.append((host, str(model)))
        world = self._pair.at(host)
        if world is None:
            return None
        answer = serve_gateway.epoch(model, leaders=world.leaders, catalog=world.catalog)
        return Announcement.model_validate_json(answer.body)

    def text(self, name: str) -> str | None:
        if not name.startswith("_switch."):
            return super().text(name)
        return "on" if self._pair.get(f"gateway.{STANDBY}.example", "/takeover") < 400 else "off"

    def target(self, name: str) -> str | None:
        return f"target.{self._pair.dns()}.example"


class Pair:
    """`home` is where churn is promoted, `standby` the other one. `down` are regions that answer nobody."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, context: Any) -> None:
        self._monkeypatch, self.context = monkeypatch, context
        buckets = Buckets()
        self.down: set[str] = set()
        self.standby = FakeWorld(buckets=buckets)
        self.home = FakeWorld(env=_at_home(), buckets=buckets, clock=self.standby.clock, images=self.standby.images)
        self.home.registry = FakeRegistry(STANDBY, ACTIVE)
        self.home.registry.entries = self.standby.registry.standby
        self.home.registry.standby = self.standby.registry.entries
        for world in self.worlds():
            world.outside = Network(self)
            world.leaders = _leaders(world)
        self.home.serving.endpoints["churn"] = Endpoint()
        self.now_in(self.standby)

    def worlds(self) -> tuple[FakeWorld, FakeWorld]:
        """Both of them, the home first."""
        return self.home, self.standby

    def now_in(self, world: FakeWorld) -> FakeWorld:
        """Doors run in this region from now on."""
        self._monkeypatch.setattr(wiring, "world", lambda: world)
        return world

    @contextmanager
    def inside(self, world: FakeWorld) -> Iterator[FakeWorld]:
        """Doors run in this region for a while."""
        before = wiring.world()
        self.now_in(world)
        try:
            yield world
        finally:
            self.now_in(before)

    # the network

    def at(self, host: str) -> FakeWorld | None:
        """The region behind a gateway's host, None while it is down."""
        for world in self.worlds():
            if world.env.aws_region in host and world.env.aws_region not in self.down:
                return world
        return None

    def get(self, host: str, path: str) -> int:
        """The status of a GET on a gateway."""
        world = self.at(host)
        if world is None:
            return 503
        if path.endswith("/takeover"):
            return serve_gateway.takeover(CHURN, leaders=world.leaders).status
        return self.health(world).status

    def health(self, world: FakeWorld) -> serve_gateway.Answer:
        """Deep health of a region."""
        with self.inside(world):
            return self.ask_health(world)

    def ask_health(self, world: FakeWorld) -> serve_gateway.Answer:
        """What the gateway's door answers."""
        from functions.predict_gateway import app

        event = _request("GET", "/models/churn/health")
        answer = app.handler(event, self.context)
        return serve_gateway.Answer(status=answer["statusCode"], body=str(answer["body"]).encode())

    def dns(self) -> str:
        """The region that Route 53 answers: the graph of domain/routing, its checks asked right now."""
        home, standby = (world.env.aws_region for world in self.worlds())
        endpoint = self.get(f"gateway.{home}.example", "/health") < 400
        takeover = self.get(f"gateway.{standby}.example", "/takeover") >= 400
        return standby if not takeover and not (endpoint and takeover) else home

    def predict(self, region: str | None = None) -> tuple[int, str]:
        """What a client of the model's name sees: the status, and the region that answered."""
        region = region or self.dns()
        world = self.at(f"gateway.{region}.example")
        if world is None:
            return 0, region
        from functions.predict_gateway import app

        with self.inside(world):
            answer = app.handler(_request("POST", "/models/churn/invocations"), self.context)
        return answer["statusCode"], region

    def warm(self, world: FakeWorld) -> int:
        """The status with which a region's gateway answers a request that only makes it ready."""
        from functions.predict_gateway import app

        event = _request("POST", "/models/churn/invocations")
        event["headers"]["x-mldr-warm"] = "1"
        with self.inside(world):
            status: int = app.handler(event, self.context)["statusCode"]
        return status

    # what happens

    def fail(self, world: FakeWorld) -> None:
        """A region answers nobody any more."""
        self.down.add(world.env.aws_region)

    def heal(self, world: FakeWorld) -> None:
        """It comes back as it was."""
        self.down.discard(world.env.aws_region)

    def protected(self, **container: Any) -> str:
        """A version of churn is promoted at home, and sealed in the standby."""
        arn = promoted(self.standby, **container)
        self.standby.buckets.put("lake", "churn/golden.jsonl", b'{"request": [1], "answer": [1]}\n')
        self.protect(self.standby, arn)
        self.home.own_endpoints.made_of["churn"] = frozenset({IMAGE, "s3://lake/churn/model.tar.gz"})
        return arn

    def protect(self, world: FakeWorld, arn: str) -> Ended | None:
        """Tell a region of a version of its peer, and run what that starts."""
        with self.inside(world):
            event = {**package_event(world, arn), "region": world.env.peer_region}
            before = set(world.workflows.started)
            assert deliver("capture_recovery_point", self.context, event) == []
            started = sorted(set(world.workflows.started) - before)
            return run(world, self.context, started[0]) if started else None

    def deliver_promotions(self, world: FakeWorld) -> None:
        """Whatever a region was told to protect, it protects."""
        told, world.bus.events = world.bus.named("Model Promoted"), []
        for detail in told:
            self.protect(world, detail["arn"])

    def request(
        self, world: FakeWorld, kind: str, event_id: str, *, says: dict[str, Any] | None = None,
        late: dt.timedelta = dt.timedelta(0), **more: Any,
    ) -> Ended:  # fmt: skip
        """Ask a region for a failover, a failback, a move or a clear, and run it to its end; `late` it arrives."""
        name = "Failback Requested" if kind == "failback" else "Failover Requested"
        detail = {"model": str(CHURN), "reason": "because", **({} if kind == "failback" else {"kind": kind})}
        asked_at = (world.clock.now() - late).isoformat()
        event = {"id": event_id, "source": "mldr", "detail-type": name, "time": asked_at,
                 "detail": detail | (says or {})}  # fmt: skip
        with self.inside(world):
            assert deliver("start_failover", self.context, event) == []
            return run(world, self.context, event_id, "failover", **more)

    def asked_meanwhile(self, world: FakeWorld, kind: str, event_id: str) -> list[tuple[int, str]]:
        """What a client got while a model moved, between any two steps and until the old side drained: it asks by DNS,
        and by what DNS said before.
        """
        seen: list[tuple[int, str]] = []
        old = self.dns()

        def ask(state: str = "", attempt: int = 0) -> None:
            seen.extend((self.predict(), self.predict(old)))

        assert self.request(world, kind, event_id, before=ask).status == "SUCCEEDED"
        self.listen()
        ask()
        self.standby.clock.move(minutes=4)
        ask()
        return seen

    def listen(self) -> None:
        """Ten seconds pass, and every gateway's checks ask once."""
        self.standby.clock.move(seconds=11)
        for world in self.worlds():
            if world.env.aws_region not in self.down:
                world.leaders.asked(CHURN)


def _at_home() -> Any:
    return settings().model_copy(update={"aws_region": ACTIVE, "peer_region": STANDBY, "vault_bucket": "vault-home"})


def _leaders(world: FakeWorld) -> Any:
    return type(world.leaders)(
        region=world.env.aws_region,
        peer_region=world.env.peer_region,
        catalog=world.catalog,
        outside=world.outside,
        fronts=world.fronts,
        clock=world.clock,
    )


def _request(method: str, path: str) -> dict[str, Any]:
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"authorization": "Bearer right-token"},
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
        "body": "[1]" if method == "POST" else "",
        "isBase64Encoded": False,
    }


def said(answer: serve_gateway.Answer) -> dict[str, Any]:
    """The JSON of an answer."""
    found: dict[str, Any] = json.loads(answer.body)
    return found
