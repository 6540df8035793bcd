"""What one seed stands for: the policy, the clocks, how unreliable the machinery is, and a list of steps in time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

HOME, STANDBY = "home", "standby"
SIDES = (HOME, STANDBY)
MINUTE = 60.0
COLD, BOTH = "cold-standby", "active-active"


@dataclass(frozen=True)
class Step:
    """Something that happens to the two regions, when, where, and for how many seconds."""

    at: float
    what: str
    where: str = ""
    lasts: float = 0.0
    more: str = ""
    model: str = ""  # whom it is about, where there are several

    def __str__(self) -> str:
        where = f" {self.where}{f' {self.model}' if self.model else ''}" if self.where else ""
        lasts = f" for {self.lasts:.0f} s" if self.lasts else ""
        return f"{self.at:6.0f} s: {self.what}{where}{f' {self.more}' if self.more else ''}{lasts}"


@dataclass(frozen=True)
class Machinery:
    """How the policy decides, how the clocks go, and how often messages and functions fail in this schedule."""

    mode: str
    cool_down: int  # minutes
    drain: int  # minutes
    witness: bool
    interval: int  # seconds between two checks of Route 53, and between two rounds of watching
    skew: dict[str, float]  # seconds, by side
    lost: float  # the chance of a message
    twice: float
    late: float
    crash: float  # the chance of a call of a function
    between: float  # the chance that something else happens between two calls of a port
    tardy: float  # the chance that a write takes effect only long after whoever wrote has given it up
    both: bool  # whether both regions answer, as the policy says at the beginning


@dataclass(frozen=True)
class Schedule:
    """Everything that follows from a seed, but for the noise, which has a generator of its own."""

    seed: int
    machinery: Machinery
    steps: tuple[Step, ...] = field(default=())
    storm: float = 0.0  # seconds until everything is mended

    def only(self, kept: tuple[int, ...]) -> Self:
        """The same seed with these steps left."""
        return replace(self, steps=tuple(self.steps[number] for number in kept))


def draw(seed: int) -> Schedule:
    """The schedule of a seed."""
    dice = random.Random(seed)
    storm = dice.uniform(9, 25) * MINUTE
    steps = [_step(dice, dice.uniform(30, storm)) for _ in range(dice.randint(2, 10))]
    if dice.random() < 0.6:  # most of what is interesting begins with an outage
        steps += _outage(dice, dice.uniform(30, storm / 3))
    if dice.random() < 0.25:
        steps += _stuck(dice, dice.uniform(30, storm / 2))
    if dice.random() < 0.1:
        steps += _overtaken(dice, dice.uniform(30, storm / 2))
    if dice.random() < 0.15:
        steps += _throttled(dice, dice.uniform(30, storm / 2))
    steps += [again(dice, first) for first in list(steps) if dice.random() < 0.1]
    steps = sorted((step for step in steps if step.at < storm), key=lambda step: step.at)
    return Schedule(seed, machinery(dice), tuple(steps), storm)


def machinery(dice: random.Random) -> Machinery:
    calm = dice.random() < 0.25
    return Machinery(
        mode=dice.choice(["automatic"] * 6 + ["approve", "approve", "manual"]),
        cool_down=dice.choice([3, 6, 12]),
        drain=dice.choice([4, 5]),  # what DNS needs to move, at thirty seconds a check, and the life of an answer
        witness=dice.random() < 0.3,
        interval=dice.choice([10] + [30] * 5),
        skew={side: dice.choice([0.0, dice.uniform(-300, 300)]) for side in SIDES},
        lost=0.0 if calm else dice.choice([0.0, 0.05, 0.3]),
        twice=0.0 if calm else dice.choice([0.0, 0.1, 0.4]),
        late=0.0 if calm else dice.choice([0.0, 0.1, 0.3]),
        crash=0.0 if calm else dice.choice([0.0, 0.02, 0.15]),
        between=0.0 if calm else dice.choice([0.0, 0.01, 0.05]),
        tardy=0.0 if calm else dice.choice([0.0, 0.05, 0.3]),
        both=dice.random() < 0.3,
    )


def _outage(dice: random.Random, at: float) -> list[Step]:
    """The region that serves goes away for long enough to be noticed, and often the one that took over after it."""
    steps = [Step(at, dice.choice(["down", "down", "island", "endpoint errors"]), HOME, dice.uniform(4, 12) * MINUTE)]
    if dice.random() < 0.4:
        after = at + dice.uniform(5, 15) * MINUTE
        steps.append(Step(after, dice.choice(["down", "island"]), STANDBY, dice.uniform(4, 12) * MINUTE))
    return steps


def _stuck(dice: random.Random, at: float) -> list[Step]:
    """A move that hangs, or whose execution is killed, and a person who clears the claim or asks again."""
    side = dice.choice([HOME, STANDBY, STANDBY])
    kind = "failback" if side == HOME else dice.choice(["failover", "move"])
    steps = [Step(at - 5, "endpoint hangs", side, dice.uniform(1, 6) * MINUTE), Step(at, "ask", side, more=kind)]
    if dice.random() < 0.5:
        steps.append(Step(at + dice.uniform(3, 60), "kill executions", side))
    steps.append(Step(at + dice.uniform(5, 120), "ask", side, more=dice.choice(["clear", "clear", kind])))
    return steps


def _overtaken(dice: random.Random, at: float) -> list[Step]:
    """A function flips, its write hangs, and it is given up: it arrives once the claim is cleared, or another's."""
    kind, after = dice.choice(["failover", "move"]), at + dice.uniform(120, 300)
    steps = [Step(at, "flips hang", STANDBY, dice.uniform(4, 7) * MINUTE), Step(at + 5, "ask", STANDBY, more=kind)]
    if dice.random() < 0.6:
        steps.append(Step(after, "kill executions", STANDBY))
    return [*steps, Step(after + dice.uniform(2, 60), "ask", STANDBY, more=dice.choice(["clear", kind]))]


def _throttled(dice: random.Random, at: float) -> list[Step]:
    """A region takes over, and then its catalog refuses for longer than the checkers need to believe anything."""
    began = at + dice.uniform(3, 8) * MINUTE
    return [
        Step(at, "ask", STANDBY, more="move"),
        Step(began, "catalog refuses", STANDBY, dice.uniform(3, 8) * MINUTE),
    ]


def again(dice: random.Random, step: Step) -> Step:
    """Of two operators the second does the same, or the fault comes back."""
    return replace(step, at=step.at + dice.choice([0.0, 2.0, dice.uniform(1, 300)]))


def fault(what: str, shortest: float, longest: float) -> Callable[[random.Random, float], Step]:
    return lambda dice, at: Step(at, what, dice.choice(SIDES), dice.uniform(shortest, longest) * MINUTE)


def between(dice: random.Random, at: float) -> Step:
    return Step(at, "cut", lasts=dice.uniform(1, 15) * MINUTE)


def _asked(dice: random.Random, at: float) -> Step:
    kind = dice.choice(["failover"] * 3 + ["failback", "failback", "move", "move", "clear"])
    return Step(at, "ask", dice.choice(SIDES), more=kind)


def _flaps(dice: random.Random, at: float) -> Step:
    return Step(at, "flap", dice.choice(SIDES), dice.uniform(8, 25) * MINUTE, str(dice.choice([40, 90, 150])))


def _tier(dice: random.Random, at: float) -> Step:
    return Step(at, "tier", more=dice.choice([COLD, BOTH]))


def once(what: str) -> Callable[[random.Random, float], Step]:
    return lambda dice, at: Step(at, what, dice.choice(SIDES))


_KINDS: dict[Callable[[random.Random, float], Step], int] = {
    fault("down", 1, 12): 3,  # the whole region: nothing in it runs, nobody reaches it
    fault("island", 1, 12): 3,  # it runs on, and is reached by nobody
    fault("unseen", 1, 12): 3,  # Route 53's checkers do not reach its gateway
    between: 4,  # the two regions do not reach each other
    fault("catalog refuses", 0.2, 6): 2,
    fault("endpoint errors", 1, 12): 2,  # in service, and answers with errors
    fault("endpoint gone", 1, 12): 2,
    fault("wrong answers", 2, 15): 2,
    fault("no capacity", 2, 15): 1,  # new endpoints fail
    fault("endpoint hangs", 2, 15): 1,  # new endpoints stay Creating
    _flaps: 2,
    _asked: 8,
    once("kill executions"): 2,  # the state machine itself is lost
    once("new gateway"): 2,  # a process that remembers nothing
    once("repeat messages"): 2,  # everything that was ever delivered comes again
    once("damage point"): 1,
    once("approve"): 1,
    _tier: 2,  # the policy says from now on whether one region answers, or both
}
_NAMES, _WEIGHTS = list(_KINDS), list(_KINDS.values())


def _step(dice: random.Random, at: float) -> Step:
    [kind] = dice.choices(_NAMES, _WEIGHTS)
    return kind(dice, at)
