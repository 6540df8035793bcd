"""The laws, checked after every event; each against what happened, not against what the product says of it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mldr.domain.evidence import GENESIS, digest
from mldr.domain.failover import ABANDONED
from mldr.domain.leadership import Announcement, Leadership, Role, role
from mldr.errors import MldrError, NothingToClear
from mldr.events.detail_types import FAILOVER_REQUESTED
from mldr.steps.know_leader import Leaders
from tests.chaos.beside import BESIDE, BOTH_AGAIN, KEPT, Beside
from tests.chaos.network import THRESHOLD
from tests.chaos.region import Call, Region
from tests.chaos.schedule import HOME, SIDES, STANDBY

if TYPE_CHECKING:
    from tests.chaos.lane import Lane

ROUNDS = 3  # consecutive_failures of the policy
QUORUM = 2
PLANNED = ("failback", "move")
SLACK = 2.0  # seconds between what a function read and what it wrote

ONE_WRITER = "one writer"
CLAIMED_ONCE = "claimed once"
ONE_AT_A_TIME = "one at a time"
EPOCHS_GROW = "epochs grow"
LEARNED = "learned of a flip"
NO_LAPSE = "no process forgets"
PROVEN_FIRST = "proven first"
WRONG_ANSWERS = "wrong answers stop"
THE_PAST = "work of the past"
DOWN = "down, not unknown"
A_PERSON = "a person said so"
NO_FLAPPING = "no flapping"
STOOD_DOWN = "stood down"
STAYS = "a switch stays"
SETTLED = "settled"
NOT_STUCK = "not stuck"
NO_REQUEST_FAILS = "no request fails"
EVIDENCE = "evidence"
FORESEEN = "foreseen"
LAWS = (
    ONE_WRITER, CLAIMED_ONCE, ONE_AT_A_TIME, EPOCHS_GROW, LEARNED, NO_LAPSE, PROVEN_FIRST, WRONG_ANSWERS, THE_PAST,
    DOWN, A_PERSON, NO_FLAPPING, STOOD_DOWN, STAYS, BESIDE, KEPT, BOTH_AGAIN, SETTLED, NOT_STUCK, NO_REQUEST_FAILS,
    EVIDENCE, FORESEEN,
)  # fmt: skip


@dataclass(frozen=True)
class Violation:
    """A law that was broken."""

    law: str
    what: str

    def __str__(self) -> str:
        return f"{self.law}: {self.what}"


class Book:
    """Keeps what was claimed, proven, flipped and requested; `violation` is the first law that was broken.

    `stakes` counts how often each law was at stake: what it forbids was about to happen, or what it asks for was due.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.violation: Violation | None = None
        self.stakes: Counter[str] = Counter()
        self._claims: dict[int, tuple[str, str]] = {}
        self._flips: list[tuple[float, str, int, bool]] = []
        self._proven: set[tuple[str, str, int, str]] = set()
        self._seen: dict[str, tuple[Any, ...]] = dict.fromkeys(SIDES, ())
        self._highest: dict[tuple[str, str], int] = {}
        self._known: dict[str, tuple[int, float]] = {HOME: (0, -1e9), STANDBY: (0, -1e9)}
        self._asked: dict[str, dict[str, float]] = {HOME: {}, STANDBY: {}}
        self.approved: set[tuple[str, str]] = set()  # the failovers that a person approved, in time or not
        self._confirmed: set[tuple[str, str]] = set()  # and those that followed from it
        self._told: dict[Leaders, int] = {}  # the epoch for which a gateway's process said 200 last
        self.said: dict[Leaders, int] = {}  # the highest epoch that it announced
        self._rounds: dict[str, list[tuple[Call, list[str]]]] = {HOME: [], STANDBY: []}
        self._both = Beside(lane, self.at_stake, self.violate)
        self._acts: dict[str, Callable[[Region, tuple[Any, ...]], None]] = {
            "catalog.claim": self._claimed,
            "catalog.flip": self._flipped,
            "catalog.put_health": self._looked,
            "bus.put": self._asked_for,
            "serving.restore": self._restored,
            **self._both.acts,
        }

    def violate(self, law: str, what: str) -> None:
        """The first one counts."""
        if self.violation is None:
            self.violation = Violation(law, what)
            self._lane.say(f"!!! {self.violation}")

    def at_stake(self, law: str, number: int = 1) -> None:
        """A law could have been broken just now."""
        self.stakes[law] += number

    def facts(self) -> dict[str, int]:
        """What came to pass, so that nobody mistakes a quiet run for a proof."""
        ended = [one.status for one in self._lane.executions.values()]
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
        changed = False
        for side, region in self._lane.sides.items():
            before, written = self._seen[side], region.written()
            if len(before) == len(written) and all(new is old for new, old in zip(written, before, strict=True)):
                continue
            self._seen[side], changed = written, True
            self._changed(region, before[1] if before else None, *written[:4])
        if not changed:
            return
        self._lane.stir()
        writers = [now for region in self._lane.sides.values() if (now := self.role(region)).writer]
        if len(writers) > 1:
            self.at_stake(ONE_WRITER)
        if len({one.epoch for one in writers}) < len(writers):
            self.violate(ONE_WRITER, f"both regions write for epoch {writers[0].epoch}")

    def _changed(self, region: Region, before: Any, epoch: Any, takeover: Any, _former: Any, standing: Any) -> None:
        side = region.side
        self._grows(side, "claim", epoch.number if epoch else 0)
        self._grows(side, "learned", standing.epoch if standing else 0)
        if takeover:
            self._grows(side, "switch", takeover.epoch)
        known = region.knowledge().epoch
        if known > self._known[side][0]:
            self._known[side] = (known, self._lane.now)
        if standing and standing.epoch:
            self.at_stake(LEARNED)
            sides = self._lane.sides
            flipped = {(number, sides[who].name) for _, who, number, _ in self._flips}
            if (standing.epoch, standing.holder) not in flipped:
                self.violate(LEARNED, f"{side} learned that {standing.holder} flipped {standing.epoch}: it did not")
        if before and not takeover:
            self.at_stake(STAYS)
            if self._newest_of_other(side) <= before.epoch:
                self.violate(STAYS, f"{side} switched epoch {before.epoch} off, and nobody serves a higher one")

    def _grows(self, side: str, what: str, number: int) -> None:
        before = self._highest.get((side, what), 0)
        if number != before:
            self.at_stake(EPOCHS_GROW)
        if number < before:
            self.violate(EPOCHS_GROW, f"{side}: {what} {before} -> {number}")
        self._highest[side, what] = number

    def _newest_of_other(self, side: str) -> int:
        return max((number for _, who, number, _ in self._flips if who != side), default=0)

    def flipped_by(self, side: str) -> bool:
        """Whether a region ever took the model over."""
        return any(who == side for _, who, *_ in self._flips)

    def role(self, region: Region) -> Role:
        """What the product says that a region is."""
        home = self._lane.sides[HOME].name
        return role(region.name, home, region.knowledge(), now=region.world.clock.now(), drain=dt.timedelta(0))

    def writers(self) -> list[Region]:
        """The regions that say that they serve and write."""
        roles = [(one, self.role(one)) for one in self._lane.sides.values()]
        return [one for one, now in roles if now.writer and now.serving]

    # what functions do

    def answered(self, region: Region, call: Call) -> None:
        """A function came to its end."""
        if call.door == "verify_serving":
            claim = call.task["claim"]
            if not call.answers or not all(call.answers):
                self.violate(WRONG_ANSWERS, f"let pass in {region.side}, epoch {claim['epoch']}: {call.answers}")
            self._proven.add((region.side, call.task["failover_id"], claim["epoch"], claim["endpoint"]))

    def refused(self, region: Region, call: Call, error: MldrError) -> None:
        """A function was refused something: a person may clear every claim that is open."""
        if call.door != "claim_epoch" or call.task["kind"] != "clear":
            return
        open_ = call.epoch is not None and not call.epoch.concluded and region.epoch() is call.epoch
        if open_:
            self.at_stake(NOT_STUCK)
        if open_ and isinstance(error, NothingToClear):
            self.violate(NOT_STUCK, f"{region.side}: epoch {call.epoch.number if call.epoch else 0} cannot be cleared")

    def ended(self, call: Call) -> None:
        """A function came to its end, one way or another."""
        if call.door == "verify_serving" and not all(call.answers):
            self.at_stake(WRONG_ANSWERS)
        if call.door in ("restore_serving", "flip_switch") and not _holds(call, call.epoch):
            self.at_stake(THE_PAST)

    def done(self, region: Region, what: str, given: tuple[Any, ...]) -> None:
        """A call of a port had its effect."""
        if act := self._acts.get(what):
            act(region, given)

    def _looked(self, region: Region, _given: tuple[Any, ...]) -> None:
        kept = self._rounds[region.side][-(ROUNDS - 1) :]
        self._rounds[region.side] = [*kept, (region.call, self._lane.sights(region.call))]

    def late(self, region: Region, what: str, given: tuple[Any, ...]) -> None:
        """A write that was given up arrives, whatever becomes of it."""
        held = region.epoch()
        if what == "catalog.flip" and (held is None or held.concluded or held.number != given[1].epoch):
            self.at_stake(THE_PAST)

    def _claimed(self, region: Region, given: tuple[Any, ...]) -> None:
        epoch, previous = given[1:]
        if previous is not None and not previous.concluded:
            self._superseded(region, epoch, previous)
        mine = (region.side, epoch.failover_id)
        self.at_stake(CLAIMED_ONCE)
        if self._claims.setdefault(epoch.number, mine) != mine:
            self.violate(CLAIMED_ONCE, f"epoch {epoch.number}: {self._claims[epoch.number]} and {mine}")
        self._lane.say(f"{region.side}: claimed epoch {epoch.number} for {epoch.failover_id}")

    def _superseded(self, region: Region, epoch: Any, previous: Any) -> None:
        """A claim is followed by another when its execution is dead, a person clears it, or after an hour.

        Dead when it was looked at: what is started again within that look finds its claim gone, and is refused.
        """
        self.at_stake(ONE_AT_A_TIME)
        executions = self._lane.executions
        runs = any(
            name in region.call.beside and runs_for(name, previous.failover_id) and one.status == "RUNNING"
            for (_, name), one in executions.items()
        )
        cleared = any(
            side == region.side and runs_for(name, epoch.failover_id) and one.data["kind"] == "clear"
            for (side, name), one in executions.items()
        )
        if runs and not cleared and epoch.claimed_at - previous.claimed_at < ABANDONED:
            self.violate(ONE_AT_A_TIME, f"{region.side} claimed epoch {epoch.number} while {previous.number} was open")

    def _flipped(self, region: Region, given: tuple[Any, ...]) -> None:
        _, takeover, epoch = given
        self.at_stake(PROVEN_FIRST)
        if (region.side, epoch.failover_id, takeover.epoch, takeover.endpoint) not in self._proven:
            self.violate(PROVEN_FIRST, f"{region.side} flipped epoch {takeover.epoch} before a golden check")
        held, standing = region.epoch(), region.knowledge().standing
        mine = held is not None and (held.number, held.failover_id) == (takeover.epoch, epoch.failover_id)
        if not mine or held.concluded or (standing is not None and standing.epoch >= takeover.epoch):
            self.violate(THE_PAST, f"{region.side} flipped epoch {takeover.epoch}, which was over")
        automatic = epoch.failover_id.startswith("auto-")
        self._flips.append((self._lane.now, region.side, takeover.epoch, automatic))

    def _restored(self, region: Region, _given: tuple[Any, ...]) -> None:
        call = region.call
        if call.door == "restore_serving" and not _holds(call, call.epoch):
            self.violate(THE_PAST, f"{region.side} restored an endpoint for epoch {call.task['claim']['epoch']}")

    def _asked_for(self, region: Region, given: tuple[Any, ...]) -> None:
        if given[0] != FAILOVER_REQUESTED:
            return
        name = given[1]["failover_id"]
        if self._lane.machinery.mode == "automatic":
            self._requested(region, name)
            return
        self.at_stake(A_PERSON)
        if (region.side, name) in self._confirmed:
            return  # the same failover again, because nothing was seen of it
        said = region.decisions.approval(region.model)
        if said is None or said.failover_id != name or (region.side, name) not in self.approved:
            self.violate(A_PERSON, f"nobody approved {name} in {region.side}")
        elif said.withdrawn or said.used_at is None or said.used_at >= said.expires_at:
            self.violate(A_PERSON, f"the approval of {name} in {region.side} came when it did not count any more")
        self._confirmed.add((region.side, name))

    def _requested(self, region: Region, name: str) -> None:
        now, machinery = self._lane.now, self._lane.machinery
        before = [sights for call, sights in self._rounds[region.side] if call is not region.call]
        rounds = [*before[-(ROUNDS - 1) :], self._lane.sights(region.call)]
        self.at_stake(DOWN)
        if len(rounds) < ROUNDS or not all(_down(sights) for sights in rounds):
            self.violate(DOWN, f"{region.side} asked for {name}: {rounds}")
        asked = self._asked[region.side]
        if name in asked:
            return
        self.at_stake(NO_FLAPPING)
        cool = machinery.cool_down * 60 - SLACK
        last = max(asked.values(), default=-1e9)
        moved = self._known[region.side][1]
        if now - moved < cool or ("-t" not in name[-4:] and now - last < cool):
            self.violate(
                NO_FLAPPING,
                f"{region.side} {name}: {now - moved:.0f} s after a move, {now - last:.0f} s after a request",
            )
        asked[name] = now

    # what clients, checkers and the peer are answered

    def predicted(self, region: Region, status: int, endpoint: str) -> None:
        """A region that knows of a higher epoch answers only to drain a planned move, or with what is proven beside."""
        knowledge = region.knowledge()
        if status == 200 and self._both.answers(region, knowledge, endpoint):
            return
        if not _overruled(knowledge, region.name):
            return
        self.at_stake(STOOD_DOWN)
        if status != 200 or region.has("catalog refuses"):  # each of its processes answers by what it last knew
            return
        standing = knowledge.standing
        assert standing
        since = (region.world.clock.now() - standing.learned_at).total_seconds()
        if standing.kind.value not in PLANNED or since > self._lane.machinery.drain * 60 + SLACK:
            self.violate(STOOD_DOWN, f"{region.side} answers {since:.0f} s after it learned of a higher epoch")

    def showed(self, region: Region, process: Leaders, status: int) -> None:
        """A process that showed a takeover goes on showing it, whatever refuses, until the peer took a higher epoch."""
        switch, before = region.takeover(), self._told.get(process)
        if status == 200 and switch:
            self._told[process] = switch.epoch
        elif before and switch and before == switch.epoch and self._newest_of_other(region.side) <= before:
            self.violate(STAYS, f"{region.side} answered {status} for epoch {before}, and nobody serves a higher one")
        if before and region.has("catalog refuses"):
            self.at_stake(STAYS)

    def announced(self, region: Region, process: Leaders, before: int, said: Announcement) -> None:
        """What a process once knew it knows for good."""
        if before:
            self.at_stake(NO_LAPSE)
        if said.epoch < before:
            self.violate(NO_LAPSE, f"a gateway of {region.side} announced epoch {before}, and now {said.epoch}")
        self.said[process] = max(said.epoch, self.said.get(process, 0))

    def moved(self) -> None:
        """DNS does not leave a standby that serves, whose gateway is reached and whose processes know of it."""
        network, standby = self._lane.network, self._lane.sides[STANDBY]
        if standby in network.answers() or network.reached < THRESHOLD:
            return
        switch = standby.takeover()
        if switch is None or self._newest_of_other(STANDBY) > switch.epoch:
            return
        if all(self._told.get(gateway) == switch.epoch for gateway in standby.gateways):
            self.violate(STAYS, f"the standby serves epoch {switch.epoch}, and DNS answers home")

    # the end

    def unsettled(self) -> str:
        """Why not exactly one region serves, with the other stood down and the clients there; '' when so."""
        lane = self._lane
        if under_way := self._under_way():
            return under_way
        writers = self.writers()
        if len(writers) != 1:
            said = "; ".join(f"{one.side}: {self.role(one).reason}" for one in lane.sides.values())
            return f"{len(writers)} regions serve: {said}"
        [holder] = writers
        if strange := self._both.unsettled(holder):
            return strange
        other = lane.sides[STANDBY if holder.side == HOME else HOME]
        if other.takeover():
            return f"{other.side} did not stand down"
        status, _ = lane.predict(holder)
        return "" if status == 200 else f"{holder.side} serves and answers {status}"

    def _under_way(self) -> str:
        """Return what has not come to its end: an execution, a message, a write, or a claim."""
        lane = self._lane
        running = [name for (_, name), one in lane.executions.items() if one.status == "RUNNING"]
        if running:
            return f"{running[0]} still runs"
        if lane.in_flight:
            return f"{lane.in_flight} messages or writes are on their way"
        for side, region in lane.sides.items():
            claim = region.epoch()
            if claim is not None and not claim.concluded:
                return f"epoch {claim.number} of {side} is open, and nothing works for it"
        return ""

    def close(self) -> None:
        """Check what can be checked only at the end."""
        cool, storm = self._lane.machinery.cool_down * 60, self._lane.now
        automatic = sum(one for *_, one in self._flips)
        if automatic > 2 * (1 + storm / cool):
            self.violate(NO_FLAPPING, f"{automatic} automatic flips in {storm:.0f} s")
        for region in self._lane.sides.values():
            previous = GENESIS
            mine = [record for record in region.evidence.records if record.model == region.model]
            for number, record in enumerate(mine, 1):
                self.at_stake(EVIDENCE)
                if (record.sequence, record.previous) != (number, previous):
                    self.violate(EVIDENCE, f"the chain of {region.side} is broken at record {number}")
                previous = digest(record.content())
            self._explained(region)

    def _explained(self, region: Region) -> None:
        told = {record.id: record for record in region.evidence.records if record.model == region.model}
        for (side, name), execution in self._lane.executions.items():
            known = any(runs_for(name, one) and record.reason for one, record in told.items())
            if side == region.side and execution.status == "SUCCEEDED" and not known:
                self.violate(EVIDENCE, f"{side}: nothing is kept of {name}")


def runs_for(name: str, request: str) -> bool:
    """Whether an execution is one of a request: the first, or one that followed a lost one."""
    return name == request or name.startswith(f"{request}-")


def _holds(call: Call, epoch: Any) -> bool:
    """Whether a function's claim was in force when it began."""
    number, mine = call.task["claim"]["epoch"], call.task["failover_id"]
    held = epoch is not None and (epoch.number, epoch.failover_id) == (number, mine)
    return bool(held and not (call.standing is not None and call.standing.epoch > number))


def _down(sights: list[str]) -> bool:
    seen = [sight.partition(":")[2] for sight in sights]
    return seen.count("unhealthy") >= QUORUM and "healthy" not in seen


def _overruled(knowledge: Leadership, name: str) -> bool:
    standing, takeover = knowledge.standing, knowledge.takeover
    return bool(standing and standing.holder != name and standing.epoch > (takeover.epoch if takeover else 0))
