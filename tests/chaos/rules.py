"""The laws, checked after every event; each against what happened, not against what the product says of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mldr.domain.evidence import GENESIS, digest
from mldr.domain.leadership import Leadership, Role, role
from mldr.steps.know_leader import Leaders
from tests.chaos.network import THRESHOLD
from tests.chaos.region import Call, Region
from tests.chaos.schedule import HOME, STANDBY
from tests.functional.story import CHURN

if TYPE_CHECKING:
    from tests.chaos.simulator import Simulator

ROUNDS = 3  # consecutive_failures of the policy
QUORUM = 2
SLACK = 2.0  # seconds between what a function read and what it wrote


@dataclass(frozen=True)
class Violation:
    """A law that was broken."""

    law: str
    what: str

    def __str__(self) -> str:
        return f"{self.law}: {self.what}"


class Book:
    """Keeps what was claimed, proven, flipped and requested; `violation` is the first law that was broken."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.violation: Violation | None = None
        self._claims: dict[int, tuple[str, str]] = {}
        self._flips: list[tuple[float, str, int, bool]] = []
        self._proven: set[tuple[str, str, int, str]] = set()
        self._seen: tuple[Any, ...] = ()
        self._highest: dict[tuple[str, str], int] = {}
        self._known: dict[str, tuple[int, float]] = {HOME: (0, -1e9), STANDBY: (0, -1e9)}
        self._asked: dict[str, dict[str, float]] = {HOME: {}, STANDBY: {}}
        self.told: dict[Leaders, int] = {}  # the epoch for which a gateway's process said 200 last
        self._rounds: dict[str, list[list[str]]] = {HOME: [], STANDBY: []}

    def violate(self, law: str, what: str) -> None:
        """The first one counts."""
        if self.violation is None:
            self.violation = Violation(law, what)
            self._simulator.say(f"!!! {self.violation}")

    def facts(self) -> dict[str, int]:
        """What came to pass, so that nobody mistakes a quiet run for a proof."""
        ended = [one.status for one in self._simulator.executions.values()]
        return {
            "flips": len(self._flips),
            "automatic flips": sum(automatic for *_, automatic in self._flips),
            "executions": len(ended),
            "lost": ended.count("LOST"),
            "refused or failed": ended.count("FAILED"),
        }

    # after every event

    def look(self) -> None:
        """Check what both catalogs hold, if anything changed."""
        sides = self._simulator.sides
        raw = tuple(
            (catalog.epoch(CHURN), catalog.takeover(CHURN), catalog.standing(CHURN))
            for catalog in (sides[HOME].catalog, sides[STANDBY].catalog)
        )
        if len(self._seen) == len(raw) and all(
            new is old for mine, was in zip(raw, self._seen, strict=True) for new, old in zip(mine, was, strict=True)
        ):
            return
        self._seen = raw
        self._simulator.stir()
        for side, (epoch, takeover, standing) in zip((HOME, STANDBY), raw, strict=True):
            self._grows(side, "claim", epoch.number if epoch else 0)
            self._grows(side, "learned", standing.epoch if standing else 0)
            if takeover:
                self._grows(side, "switch", takeover.epoch)
            known = sides[side].knowledge().epoch
            if known > self._known[side][0]:
                self._known[side] = (known, self._simulator.now)
        writers = [self.role(region) for region in sides.values() if self.role(region).writer]
        if len({one.epoch for one in writers}) < len(writers):
            self.violate("two writers of one epoch", f"epoch {writers[0].epoch}")

    def _grows(self, side: str, what: str, number: int) -> None:
        before = self._highest.get((side, what), 0)
        if number < before:
            self.violate("an epoch went back", f"{side}: {what} {before} -> {number}")
        self._highest[side, what] = number

    def role(self, region: Region) -> Role:
        """What the product says that a region is."""
        home = self._simulator.sides[HOME].name
        return role(region.name, home, region.knowledge(), now=region.world.clock.now(), drain=dt.timedelta(0))

    def writers(self) -> list[Region]:
        """The regions that say that they serve and write."""
        return [one for one in self._simulator.sides.values() if self.role(one).writer and self.role(one).serving]

    # what functions do

    def answered(self, region: Region, call: Call, answer: Any) -> None:
        """A function came to its end."""
        if call.door == "verify_serving":
            claim = call.task["claim"]
            if not call.answers or not all(call.answers):
                self.violate("wrong answers were let pass", f"{region.side}, epoch {claim['epoch']}: {call.answers}")
            self._proven.add((region.side, call.task["failover_id"], claim["epoch"], claim["endpoint"]))

    def done(self, region: Region, what: str, given: tuple[Any, ...]) -> None:
        """A call of a port had its effect."""
        if what == "catalog.claim":
            self._claimed(region, given[1])
        elif what == "catalog.flip":
            self._flipped(region, given[1], given[2])
        elif what == "serving.restore":
            self._restored(region)
        elif what == "catalog.put_health":
            self._rounds[region.side] = [*self._rounds[region.side][-(ROUNDS - 1) :], list(region.call.sights)]
        elif what == "bus.put" and given[1].get("requested_by") == "decide_failover":
            self._requested(region, given[1]["failover_id"])

    def _claimed(self, region: Region, epoch: Any) -> None:
        mine = (region.side, epoch.failover_id)
        if self._claims.setdefault(epoch.number, mine) != mine:
            self.violate("one epoch was claimed twice", f"{epoch.number}: {self._claims[epoch.number]} and {mine}")
        self._simulator.say(f"{region.side}: claimed epoch {epoch.number} for {epoch.failover_id}")

    def _flipped(self, region: Region, takeover: Any, epoch: Any) -> None:
        if (region.side, epoch.failover_id, takeover.epoch, takeover.endpoint) not in self._proven:
            self.violate("a switch before a golden check", f"{region.side}, epoch {takeover.epoch}")
        held, standing = region.catalog.epoch(CHURN), region.knowledge().standing
        mine = held is not None and (held.number, held.failover_id) == (takeover.epoch, epoch.failover_id)
        if not mine or (standing is not None and standing.epoch >= takeover.epoch):
            self.violate("an epoch that is over was flipped", f"{region.side}, epoch {takeover.epoch}")
        automatic = epoch.failover_id.startswith("auto-")
        self._flips.append((self._simulator.now, region.side, takeover.epoch, automatic))

    def _restored(self, region: Region) -> None:
        call = region.call
        number, mine = call.task["claim"]["epoch"], call.task["failover_id"]
        held = call.epoch is not None and (call.epoch.number, call.epoch.failover_id) == (number, mine)
        if not held or (call.standing is not None and call.standing.epoch > number):
            self.violate("an older epoch wrote", f"{region.side}: an endpoint was restored for epoch {number}")

    def _requested(self, region: Region, name: str) -> None:
        now, machinery = self._simulator.now, self._simulator.machinery
        rounds = [*self._rounds[region.side][-(ROUNDS - 1) :], region.call.sights]
        if len(rounds) < ROUNDS or not all(_down(sights) for sights in rounds):
            self.violate("a failover of what is not known to be down", f"{region.side} {name}: {rounds}")
        asked = self._asked[region.side]
        if name in asked:
            return
        if machinery.mode != "automatic":
            approval = region.decisions.approval(CHURN)
            if approval is None or approval.failover_id != name or approval.used_at is None:
                self.violate("a failover that no person approved", f"{region.side} {name}, mode {machinery.mode}")
            return
        cool = machinery.cool_down * 60 - SLACK
        last = max(asked.values(), default=-1e9)
        moved = self._known[region.side][1]
        if now - moved < cool or ("-t" not in name[-4:] and now - last < cool):
            self.violate(
                "flapping traffic",
                f"{region.side} {name}: {now - moved:.0f} s after a move, {now - last:.0f} s after a request",
            )
        asked[name] = now

    def predicted(self, region: Region, status: int) -> None:
        """A region that knows of a higher epoch answers only to drain a planned move."""
        knowledge = region.knowledge()
        if status != 200 or not _overruled(knowledge, region.name):
            return
        if region.has("catalog refuses"):
            return  # each of its processes answers by what it last knew
        standing = knowledge.standing
        assert standing
        since = (region.world.clock.now() - standing.learned_at).total_seconds()
        if not standing.kind.planned or since > self._simulator.machinery.drain * 60 + SLACK:
            self.violate("it answers though it stood down", f"{region.side}, {since:.0f} s after it learned")

    def moved(self) -> None:
        """A takeover does not fall off because a table is throttled: its processes know of it."""
        network, standby = self._simulator.network, self._simulator.sides[STANDBY]
        if network.answer() is standby or network.reached < THRESHOLD:
            return
        switch = standby.takeover()
        if switch is None or _overruled(standby.knowledge(), standby.name):
            return
        if all(self.told.get(gateway) == switch.epoch for gateway in standby.gateways):
            self.violate("a switch fell off", f"standby serves epoch {standby.knowledge().epoch}, DNS answers home")

    # the end

    def unsettled(self) -> str:
        """Why not exactly one region serves, with the other stood down and the clients there; '' when so."""
        simulator = self._simulator
        running = [name for (_, name), one in simulator.executions.items() if one.status == "RUNNING"]
        if running:
            return f"{running[0]} still runs"
        if simulator.in_flight:
            return f"{simulator.in_flight} messages are on their way"
        writers = self.writers()
        if len(writers) != 1:
            said = "; ".join(f"{one.side}: {self.role(one).reason}" for one in simulator.sides.values())
            return f"{len(writers)} regions serve: {said}"
        [holder] = writers
        if simulator.network.answer() is not holder:
            return f"{holder.side} serves, DNS answers {simulator.network.answer().side}"
        other = simulator.sides[STANDBY if holder.side == HOME else HOME]
        if other.takeover():
            return f"{other.side} did not stand down"
        status = simulator.predict(holder)
        return "" if status == 200 else f"{holder.side} serves and answers {status}"

    def close(self) -> None:
        """Check what can be checked only at the end."""
        cool, storm = self._simulator.machinery.cool_down * 60, self._simulator.now
        automatic = sum(one for *_, one in self._flips)
        if automatic > 2 * (1 + storm / cool):
            self.violate("flapping traffic", f"{automatic} automatic flips in {storm:.0f} s")
        for region in self._simulator.sides.values():
            previous = GENESIS
            for number, record in enumerate(region.evidence.records, 1):
                if (record.sequence, record.previous) != (number, previous):
                    self.violate("the chain of evidence is broken", f"{region.side}, record {number}")
                previous = digest(record.content())
            self._explained(region)

    def _explained(self, region: Region) -> None:
        told = {record.id: record for record in region.evidence.records}
        for (side, name), execution in self._simulator.executions.items():
            known = any(name.startswith(one) and record.reason for one, record in told.items())
            if side == region.side and execution.status == "SUCCEEDED" and not known:
                self.violate("an end without evidence", f"{side}: {name}")


def _down(sights: list[str]) -> bool:
    seen = [sight.partition(":")[2] for sight in sights]
    return seen.count("unhealthy") >= QUORUM and "healthy" not in seen


def _overruled(knowledge: Leadership, name: str) -> bool:
    standing, takeover = knowledge.standing, knowledge.takeover
    return bool(standing and standing.holder != name and standing.epoch > (takeover.epoch if takeover else 0))
