"""The public network between two regions, a witness and Route 53's checkers, and what Route 53 makes of it."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from mldr.domain.health import Observation, Sight
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Announcement
from tests.chaos.region import Region
from tests.fakes.outside import FakeOutside

WITNESS, CHECKERS, CLIENT = "witness", "route53", "client"
THRESHOLD = 3  # checks in a row that change what Route 53 believes


class Internet(Protocol):
    """What the network asks of the simulator."""

    network: Network

    def status(self, region: Region, path: str) -> int:
        """What a region's gateway answers to a GET."""

    def announced(self, region: Region) -> Announcement | None:
        """What a region's gateway says of who serves, or once said."""

    def noise(self) -> float:
        """A number in [0, 1) of the schedule's own noise."""


class Network:
    """Who reaches whom, and the health checks of one model."""

    def __init__(self, home: Region, standby: Region, cuts: Counter[str]) -> None:
        self.home, self.standby, self.cuts = home, standby, cuts
        self.endpoint, self.flipped, self.kept, self.peer = True, False, False, True  # as the checkers believe
        self.reached = 0  # for how many rounds the standby's gateway was reached
        self._against = {"endpoint": 0, "kept": 0, "peer": 0}

    def reaches(self, one: str, region: Region) -> bool:
        """Whether somebody outside, or the other region, reaches a region's gateway."""
        if region.has("down") or region.has("island"):
            return False
        if one == CHECKERS:
            return not region.has("unseen")
        return one in (WITNESS, CLIENT) or not self.cuts["cut"]

    def hears(self, region: Region, one: str) -> bool:
        """Whether a region reaches somebody outside."""
        return not region.has("down") and not region.has("island")

    def check(self, internet: Internet) -> None:
        """One round of the checkers."""
        healthy = self.reaches(CHECKERS, self.home) and internet.status(self.home, "health") < 400
        self.endpoint = self._believe("endpoint", self.endpoint, healthy)
        self.reached = self.reached + 1 if self.reaches(CHECKERS, self.standby) else 0
        on = self.reaches(CHECKERS, self.standby) and internet.status(self.standby, "takeover") < 400
        self.flipped, self.kept = on, self._believe("kept", self.kept, on)
        if self.standby.dns.checks:  # both regions answer, or once did
            well = self.reaches(CHECKERS, self.standby) and internet.status(self.standby, "health") < 400
            self.peer = self._believe("peer", self.peer, well)

    def _believe(self, name: str, before: bool, seen: bool) -> bool:
        self._against[name] = self._against[name] + 1 if seen is not before else 0
        if self._against[name] < THRESHOLD:
            return before
        self._against[name] = 0
        return seen

    @property
    def taken(self) -> bool:
        """Whether the checkers believe that the switch is on: one look turns it on, several that fail turn it off."""
        return self.flipped or self.kept

    @property
    def unsure(self) -> bool:
        """Whether a line is cut, or the checkers are about to change their mind."""
        return bool(self.cuts["cut"] or any(self._against.values()))

    @property
    def spread(self) -> bool:
        """Whether both regions answer under the model's name."""
        mine = self.standby.model.name
        held = self.standby.dns.records.items()
        return any(one.weight is not None for (name, _), (one, *_) in held if name.partition(".")[0] == mine)

    def answers(self) -> list[Region]:
        """Where the model's name points: T is the takeover inverted; both halves unhealthy answer PRIMARY.

        Where both answer, each record goes by its own health, and with every one unhealthy all are answered.
        """
        primary, secondary = self.endpoint and not self.taken, self.taken
        if not self.spread:
            return [self.home if primary or not secondary else self.standby]
        healthy = [*([self.home] if primary else []), *([self.standby] if self.peer or secondary else [])]
        return healthy or [self.home, self.standby]


class Eyes(FakeOutside):
    """What one region sees of the world."""

    def __init__(self, region: Region, internet: Internet) -> None:
        super().__init__()
        self._region, self._internet = region, internet

    def text(self, name: str) -> str | None:
        network = self._internet.network
        if not network.hears(self._region, CHECKERS):
            return self._seen("route53", Sight.UNKNOWN, None)
        if name.startswith("_beside"):
            sight = Sight.HEALTHY if network.peer else Sight.UNHEALTHY
            return self._seen("route53", sight, "healthy" if network.peer else "unhealthy")
        if name.startswith("_switch"):
            # `on` says nothing of the endpoint behind it.
            sight = Sight.UNKNOWN if network.taken else Sight.UNHEALTHY
            return self._seen("route53", sight, "on" if network.taken else "off")
        sight = Sight.HEALTHY if network.endpoint else Sight.UNHEALTHY
        return self._seen("route53", sight, "healthy" if network.endpoint else "unhealthy")

    def _seen(self, vantage: str, sight: Sight, text: str | None) -> str | None:
        self._region.call.sights.append(f"{vantage}:{sight}")
        return text

    def probe(self, host: str, path: str) -> Observation:
        sight, detail = self._look(host, self._region.side)
        self._region.call.sights.append(f"standby:{sight}")
        return Observation(vantage="standby", sight=sight, detail=detail)

    def ask_witness(self, witness: str, host: str, model: ModelKey, token: str) -> Observation:
        sight, detail = Sight.UNKNOWN, "the witness cannot be asked"
        if self._internet.network.hears(self._region, WITNESS):
            sight, detail = self._look(host, WITNESS)
        self._region.call.sights.append(f"witness:{sight}")
        return Observation(vantage="witness", sight=sight, detail=detail)

    def _look(self, host: str, one: str) -> tuple[Sight, str]:
        network, target = self._internet.network, self._behind(host)
        away = one not in (WITNESS, target.side) and not network.hears(self._region, one)
        if away or (one != target.side and not network.reaches(one, target)):
            return Sight.UNHEALTHY, f"{host}: timed out"
        status = self._internet.status(target, "health")
        sight = Sight.HEALTHY if status < 400 else Sight.UNHEALTHY if status >= 500 else Sight.UNKNOWN
        return sight, f"{host} answered {status}"

    def announcement(self, host: str, model: ModelKey) -> Announcement | None:
        network, target = self._internet.network, self._behind(host)
        if not network.hears(self._region, target.side) or not network.reaches(self._region.side, target):
            return None
        return self._internet.announced(target)

    def target(self, name: str) -> str | None:
        network = self._internet.network
        if not network.hears(self._region, CHECKERS):
            return None
        answers = network.answers()
        return f"target.{answers[int(self._internet.noise() * len(answers))].name}.example"

    def _behind(self, host: str) -> Region:
        network = self._internet.network
        return network.home if network.home.name in host else network.standby
