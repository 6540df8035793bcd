"""The laws of several models that are recovered together; each against what happened, as the others are."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from mldr.domain.evidence import GENESIS, Evidence, digest
from mldr.domain.failover import Takeover
from mldr.domain.serving import ServingPlan
from tests.chaos.many_pair import limited
from tests.chaos.region import Region, model_of
from tests.chaos.rules import EVIDENCE, Violation, runs_for
from tests.chaos.schedule import COLD, HOME, SIDES

if TYPE_CHECKING:
    from tests.chaos.many import Evacuation, ManySimulator

ONCE = "recovered once"
LEFT_TO_A_PERSON = "left to a person"
ON_ITS_OWN = "each on its own"
TOLD = "every asked model is told of"
WITHIN = "within the quota"
TRIED_LAST = "tried last"
MANY_LAWS = (ONCE, LEFT_TO_A_PERSON, ON_ITS_OWN, TOLD, WITHIN, TRIED_LAST)

AUTOMATIC = "auto-"
PLANNED, REST = "Recover", "TryRest"  # the maps of *evacuate*


class ManyBook:
    """Keeps who was asked for, what was started for it, and what it moved; `violation` is the first broken law."""

    def __init__(self, simulator: ManySimulator) -> None:
        self._simulator = simulator
        self.violation: Violation | None = None
        self.stakes: Counter[str] = Counter()
        self._turns: dict[tuple[str, str], tuple[str, str]] = {}  # a failover -> its evacuation, and the map of it
        self._ids: dict[tuple[str, str, str], str] = {}  # (side, evacuation, model) -> the failover
        self._rested: set[tuple[str, str]] = set()  # evacuations that try what seemed to have no room
        self._flips: dict[tuple[str, str], int] = {}
        self._free: dict[str, int] = {}  # by side, as the schedule read it last
        self._left: dict[tuple[str, str], int] = {}  # by evacuation, as it was read when that was planned
        self._taken: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        self._begun: dict[tuple[str, str], set[str]] = {}  # what ran already then: its instances were taken, or asked
        self._asked: dict[tuple[str, str], set[str]] = {}  # by evacuation: whom its plan had to have
        self.evacuations = self.joint = 0

    def violate(self, law: str, what: str) -> None:
        """The first one counts."""
        if self.violation is None:
            self.violation = Violation(law, what)
            self._simulator.say(f"!!! {self.violation}")

    def at_stake(self, law: str, number: int = 1) -> None:
        """A law could have been broken just now."""
        self.stakes[law] += number

    def facts(self) -> dict[str, int]:
        """What came to pass."""
        refused = sum(limited(region).refused for region in self._simulator.sides.values())
        return {"evacuations": self.evacuations, "of these by itself": self.joint, "endpoints refused": refused}

    # what is planned, and begun

    def read(self, region: Region, free: int) -> None:
        """The schedule read a region's quotas."""
        self._free[region.side] = free

    def planned(self, region: Region, evacuation: str) -> None:
        """A plan was kept."""
        self._left[region.side, evacuation] = self._free[region.side]
        self._begun[region.side, evacuation] = {
            lane.model.name
            for lane in self._simulator.lanes
            if any(side == region.side and one.status == "RUNNING" for (side, _), one in lane.executions.items())
        }
        self._asked[region.side, evacuation] = self._simulator.asked_of(region, evacuation)

    def turn(self, side: str, evacuation: str, state: str, item: dict[str, Any]) -> None:
        """One model's turn has come in an evacuation."""
        name, failover = item["model"].partition("/")[2], item["failover_id"]
        self._turns[side, failover] = (evacuation, state)
        self.at_stake(ONCE)
        if self._ids.setdefault((side, evacuation, name), failover) != failover:
            self.violate(ONCE, f"{name} is recovered as {failover}, too, in {evacuation}")

    def started(self, side: str, name: str, payload: dict[str, Any]) -> None:
        """An execution of *failover* is about to start."""
        failover, model = payload["failover_id"], payload["model"].partition("/")[2]
        executions = self._simulator.executions
        earlier = [one for (where, other), one in executions.items() if where == side and runs_for(other, failover)]
        self.at_stake(ONCE)
        if alive := [one.name for one in earlier if one.status in ("RUNNING", "SUCCEEDED")]:
            self.violate(ONCE, f"{name} starts in {side}, and {alive[0]} runs, or did it")
        evacuation = payload.get("evacuation") or ""
        if not evacuation:
            return
        if evacuation.startswith(AUTOMATIC):
            self.at_stake(LEFT_TO_A_PERSON)
            if self._simulator.lane_of(payload["model"]).machinery.mode != "automatic":
                self.violate(LEFT_TO_A_PERSON, f"{evacuation} of {side} moves {model} by itself")
        self._in_turn(side, failover, evacuation)

    def _in_turn(self, side: str, failover: str, evacuation: str) -> None:
        state = self._turns.get((side, failover), (evacuation, ""))[1]
        running = self._simulator.running(side, evacuation)
        if state == REST:
            self._rested.add((side, running))
            self.at_stake(TRIED_LAST)
        elif state == PLANNED and (side, running) in self._rested:
            self.violate(TRIED_LAST, f"{failover} starts after what {running} tried last")

    def wanted(self, region: Region, plan: ServingPlan, instances: int) -> None:
        """An endpoint is asked of SageMaker. What stands by already is deducted by the plan, and nobody's to count."""
        call, name = region.call, model_of(plan.name)
        evacuation = call.task.get("evacuation") if call.door == "restore_serving" else None
        if not evacuation or self._turns.get((region.side, call.task["failover_id"])) != (evacuation, PLANNED):
            return
        place = region.side, evacuation
        if self._simulator.ruled(name).tier != COLD or region.side == HOME or place not in self._left:
            return
        if name in self._begun[place]:
            return
        taken = self._taken[place]
        taken[name] = max(instances, taken.get(name, 0))
        self.at_stake(WITHIN)
        if sum(taken.values()) > self._left[place]:
            self.violate(WITHIN, f"{evacuation} asks for {taken}, and {self._left[place]} were left when it was made")

    def flipped(self, region: Region, takeover: Takeover, failover: str) -> None:
        """A switch was flipped."""
        place = region.side, failover
        self.at_stake(ONCE)
        if self._flips.setdefault(place, takeover.epoch) != takeover.epoch:
            self.violate(ONCE, f"{failover} of {region.side} flipped {self._flips[place]} and {takeover.epoch}")

    # how it ends

    def concluded(self, region: Region, evacuation: Evacuation) -> None:
        """An evacuation came to its end by itself: every model that it was asked for is told of, as it is."""
        name = evacuation.data["failover_id"]
        record = self._record(region, name)
        self.at_stake(TOLD)
        if record is None:
            self.violate(TOLD, f"{name} of {region.side} left no evidence")
            return
        told = {one.model.name: one for one in record.models}
        for model in sorted(self._asked.get((region.side, name), set())) if evacuation.status == "SUCCEEDED" else ():
            self.at_stake(TOLD)
            if model not in told and self._stands(region, model, name):
                self.violate(TOLD, f"{name} says nothing of {model}")
            elif model in told and not told[model].reason:
                self.violate(TOLD, f"{name} says of {model} no reason")
            elif model in told and told[model].outcome == "completed" and not self._moved(region, model):
                self.violate(TOLD, f"{name} says that {model} moved, and it did not")

    def _record(self, region: Region, name: str) -> Evidence | None:
        mine = [one for one in region.evidence.records if one.model.registry == "region"]
        return next((one for one in mine if one.id == name), None)

    def _stands(self, region: Region, model: str, evacuation: str) -> bool:
        """Whether the model still is to be recovered by this evacuation: not by another one, and it is not well."""
        lane = self._simulator.lane_of(f"sagemaker/{model}")
        if lane.book.role(lane.sides[region.side]).serving:
            return False
        if not evacuation.startswith(AUTOMATIC):
            return True
        request = region.catalog.health(lane.model).request
        return request is not None and request.within == evacuation

    def _moved(self, region: Region, model: str) -> bool:
        lane = self._simulator.lane_of(f"sagemaker/{model}")
        seen = lane.sides[region.side]
        return bool(lane.book.role(seen).serving or lane.book.flipped_by(region.side))

    def close(self) -> None:
        """Check what can be checked only at the end."""
        for side in SIDES:
            region = self._simulator.sides[side]
            for whose in {one.model for one in region.evidence.records if one.model.registry == "region"}:
                self._whole(side, [one for one in region.evidence.records if one.model == whose])

    def _whole(self, side: str, chain: list[Evidence]) -> None:
        previous = GENESIS
        for number, record in enumerate(chain, 1):
            self.at_stake(EVIDENCE)
            if (record.sequence, record.previous) != (number, previous):
                self.violate(EVIDENCE, f"the chain of {record.model} in {side} is broken at record {number}")
            previous = digest(record.content())
