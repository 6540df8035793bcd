"""What one seed stands for where several models share a pair of regions: their policies, a quota, and what happens."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.chaos.schedule import (
    BOTH,
    COLD,
    HOME,
    MINUTE,
    SIDES,
    STANDBY,
    Machinery,
    Schedule,
    Step,
    again,
    between,
    fault,
    machinery,
    once,
)

WARM = "warm-standby"
NAMES = {"churn": 1, "basket": 1, "fraud": 2, "price": 1, "route": 3, "score": 1}  # and how many instances each needs
EVERY = "all"  # a person asks about the whole region
KINDS = ("failover", "failover", "move", "failback")


@dataclass(frozen=True)
class Ruled:
    """A model, and what the policy says of it."""

    name: str
    mode: str
    tier: str
    criticality: str


@dataclass(frozen=True)
class ManySchedule(Schedule):
    """A schedule of several models. `quota` are the instances that the standby may start, None where any number is."""

    models: tuple[Ruled, ...] = ()
    quota: int | None = None
    side_by_side: int = 10

    def of(self, ruled: Ruled) -> Machinery:
        """The machinery as one model's policy sets it."""
        return replace(self.machinery, mode=ruled.mode, both=ruled.tier == BOTH)


def draw_many(seed: int) -> ManySchedule:
    """The schedule of a seed."""
    dice = random.Random(f"many {seed}")
    storm = dice.uniform(9, 22) * MINUTE
    models = tuple(_ruled(dice, name) for name in list(NAMES)[: dice.randint(3, 6)])
    steps = [_step(dice, dice.uniform(30, storm), models) for _ in range(dice.randint(1, 7))]
    if dice.random() < 0.6:
        steps += _outage(dice, dice.uniform(30, storm / 3))
    if dice.random() < 0.5:
        steps += _evacuation(dice, dice.uniform(30, storm / 2))
    if dice.random() < 0.5:
        steps += [_hindered(dice, dice.uniform(1, storm / 3), models) for _ in range(dice.randint(1, 2))]
    steps += [again(dice, first) for first in list(steps) if dice.random() < 0.1]
    return ManySchedule(
        seed,
        replace(machinery(dice), cool_down=dice.choice([3, 6])),
        tuple(sorted((step for step in steps if step.at < storm), key=lambda step: step.at)),
        storm,
        models,
        dice.choice([None, None, *range(2, 1 + sum(NAMES[one.name] for one in models))]),
        dice.choice([1, 2, 2, 10]),
    )


def _ruled(dice: random.Random, name: str) -> Ruled:
    return Ruled(
        name,
        dice.choice(["automatic"] * 6 + ["approve", "manual"]),
        dice.choice([COLD] * 4 + [WARM, BOTH]),
        dice.choice(["revenue-critical", "important", "non-critical"]),
    )


def _outage(dice: random.Random, at: float) -> list[Step]:
    """The home goes away for long enough to be noticed, and often the standby after it."""
    steps = [Step(at, dice.choice(["down", "down", "island", "endpoint errors"]), HOME, dice.uniform(4, 12) * MINUTE)]
    if dice.random() < 0.3:
        after = at + dice.uniform(6, 15) * MINUTE
        steps.append(Step(after, dice.choice(["down", "island"]), STANDBY, dice.uniform(4, 12) * MINUTE))
    return steps


def _evacuation(dice: random.Random, at: float) -> list[Step]:
    """A person asks for the region; often it dies, or is asked for again, or the way home follows it."""
    side, kind = STANDBY, dice.choice(["failover", "move"])
    steps = [Step(at, "ask", side, more=kind, model=EVERY)]
    if dice.random() < 0.5:
        steps.append(Step(at + dice.uniform(2, 300), "kill evacuations", side))
        steps.append(Step(at + dice.uniform(10, 400), "repeat messages", side))
    if dice.random() < 0.4:
        steps.append(Step(at + dice.uniform(5, 200), "ask", side, more=dice.choice(["failover", "move"]), model=EVERY))
    if dice.random() < 0.4:
        steps.append(Step(at + dice.uniform(120, 600), "ask", HOME, more="failback", model=EVERY))
    return steps


def _hindered(dice: random.Random, at: float, models: tuple[Ruled, ...]) -> Step:
    """One model's new endpoints fail, hang, or answer wrongly: nobody else's."""
    what = dice.choice(["no capacity", "endpoint hangs", "wrong answers"])
    return Step(at, what, dice.choice(SIDES), dice.uniform(3, 20) * MINUTE, model=dice.choice(models).name)


def _asked(dice: random.Random, at: float, models: tuple[Ruled, ...]) -> Step:
    kind = dice.choice([*KINDS, "clear"])
    whom = dice.choice([EVERY, *(one.name for one in models)]) if kind != "clear" else dice.choice(models).name
    return Step(at, "ask", dice.choice(SIDES), more=kind, model=whom)


def _erring(dice: random.Random, at: float, models: tuple[Ruled, ...]) -> Step:
    what = dice.choice(["endpoint errors", "endpoint gone"])
    return Step(at, what, dice.choice(SIDES), dice.uniform(1, 12) * MINUTE, model=dice.choice(models).name)


def _quota(dice: random.Random, at: float, _models: tuple[Ruled, ...]) -> Step:
    return Step(at, "quota", STANDBY, more=str(dice.randint(2, 12)))


def _any(draw: Callable[[random.Random, float], Step]) -> Callable[[random.Random, float, tuple[Ruled, ...]], Step]:
    return lambda dice, at, _models: draw(dice, at)


_WHAT: dict[Callable[[random.Random, float, tuple[Ruled, ...]], Step], int] = {
    _any(fault("down", 1, 12)): 2,
    _any(fault("island", 1, 12)): 2,
    _any(fault("unseen", 1, 12)): 2,
    _any(between): 3,
    _any(fault("catalog refuses", 0.2, 6)): 2,
    _hindered: 3,
    _erring: 3,
    _asked: 8,
    _quota: 1,
    _any(once("kill executions")): 2,
    _any(once("kill evacuations")): 2,
    _any(once("new gateway")): 1,
    _any(once("repeat messages")): 2,
    _any(once("approve")): 1,
}
_DRAWN, _WEIGHTS = list(_WHAT), list(_WHAT.values())


def _step(dice: random.Random, at: float, models: tuple[Ruled, ...]) -> Step:
    [draw] = dice.choices(_DRAWN, _WEIGHTS)
    return draw(dice, at, models)
