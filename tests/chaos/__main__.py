"""`python -m tests.chaos --seeds N`: play random schedules, shrink what breaks a law, replay one with a trace."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Self

import pytest

from tests.chaos.many import ManySimulator
from tests.chaos.many_pair import protected_many
from tests.chaos.many_planted import MANY_PLANTED
from tests.chaos.many_rules import MANY_LAWS
from tests.chaos.many_schedule import ManySchedule, draw_many
from tests.chaos.planted import PLANTED
from tests.chaos.rules import LAWS
from tests.chaos.schedule import Schedule, draw
from tests.chaos.simulator import Outcome, Simulator, installed

PROGRESS = 10.0  # seconds
ENOUGH = 3  # seeds that found a planted fault: more of them tell nothing new


Draw = Callable[[int], Schedule]


def play(schedule: Schedule, *, tracing: bool = False) -> Outcome:
    """Play a schedule once."""
    if isinstance(schedule, ManySchedule):
        return ManySimulator(schedule, tracing=tracing).play()
    return Simulator(schedule, tracing=tracing).play()


def shrink(schedule: Schedule, law: str) -> tuple[int, ...]:
    """The numbers of the steps that are enough to break the same law: drop one after another while it still breaks."""
    kept = tuple(range(len(schedule.steps)))
    for number in reversed(kept):
        fewer = tuple(one for one in kept if one != number)
        found = play(schedule.only(fewer)).violation
        if found and found.law == law:
            kept = fewer
    return kept


def replay(seed: int, only: str, draw: Draw) -> int:
    """Print a schedule and all that happened in it."""
    schedule = draw(seed)
    schedule = schedule.only(tuple(int(one) for one in only.split(",") if one)) if only else schedule
    print(f"seed {seed}: {schedule.machinery}")
    if isinstance(schedule, ManySchedule):
        print(f"  quota {schedule.quota}, {schedule.side_by_side} side by side", *schedule.models, sep="\n  ")
    for number, step in enumerate(schedule.steps):
        print(f"  step {number:2}  {step}")
    outcome = play(schedule, tracing=True)
    print("\n".join(outcome.trace))
    print(outcome.violation or "every law held", outcome.facts)
    return 1 if outcome.violation else 0


def told(schedule: Schedule, outcome: Outcome) -> None:
    """Print a violation and the shortest schedule that was found for it."""
    assert outcome.violation
    seed, many = schedule.seed, " --many" if isinstance(schedule, ManySchedule) else ""
    kept = shrink(schedule, outcome.violation.law)
    only = ",".join(map(str, kept))
    print(f"seed {seed} breaks a law: {outcome.violation}")
    print("\n".join(f"    step {number:2}  {schedule.steps[number]}" for number in kept))
    print(f"  again: python -m tests.chaos --replay {seed}{many}" + (f" --only {only}" if only else ""), flush=True)


@dataclass
class Summary:
    """What many schedules came to."""

    schedules: int = 0
    facts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    stakes: Counter[str] = field(default_factory=Counter)
    broken: dict[int, str] = field(default_factory=dict)
    busy: float = 0.0  # seconds of a processor

    def add(self, seed: int, outcome: Outcome) -> None:
        """Count one schedule."""
        self.schedules += 1
        self.facts.update(outcome.facts)
        self.faults.update(outcome.faults)
        self.stakes.update(outcome.stakes)
        if outcome.violation:
            self.broken[seed] = outcome.violation.law

    def plus(self, other: Self) -> Self:
        """Two of them together."""
        return type(self)(
            self.schedules + other.schedules,
            self.facts + other.facts,
            self.faults + other.faults,
            self.stakes + other.stakes,
            self.broken | other.broken,
            self.busy + other.busy,
        )

    def show(self, passed: float, laws: Sequence[str] = LAWS) -> None:
        """Print it; a law that was never at stake proves nothing, and is named for that."""
        rate = f"{self.schedules / passed:.1f}/s, {self.schedules / max(self.busy, 0.1):.1f} per second of a processor"
        print(f"\n{self.schedules} schedules in {passed:.0f} s ({rate}): {dict(self.facts)}")
        print("\nfaults")
        for what, number in self.faults.most_common():
            print(f"  {number:9}  {what}")
        print("\nlaws, and how often each was at stake")
        for law in laws:
            broken = [seed for seed, name in sorted(self.broken.items()) if name == law]
            said = f"broken by {broken}" if broken else "held" if self.stakes[law] else "NEVER AT STAKE"
            print(f"  {self.stakes[law]:9}  {law}: {said}")
        print(f"\nseeds that broke a law: {sorted(self.broken) or 'none'}", flush=True)


def run(first: int, seeds: int, minutes: float, most: int, draw: Draw = draw) -> Summary:
    """Play many seeds one after another."""
    gc.freeze()  # what is imported stays, and need not be looked at again
    began = shown = time.perf_counter()
    summary, worked = Summary(), time.process_time()
    for seed in count(first):
        passed = time.perf_counter() - began
        if summary.schedules == seeds or (minutes and passed > minutes * 60) or len(summary.broken) >= most:
            break
        schedule = draw(seed)
        outcome = play(schedule)
        summary.add(seed, outcome)
        if outcome.violation:
            told(schedule, outcome)
        if time.perf_counter() - shown > PROGRESS:
            shown = time.perf_counter()
            rate = f"{summary.schedules / (shown - began):.1f}/s"
            print(f"seeds {first} to {seed}: {len(summary.broken)} broken, {rate}", flush=True)
    summary.busy = time.process_time() - worked
    return summary


def run_beside(first: int, seeds: int, minutes: float, most: int, jobs: int, draw: Draw) -> Summary:
    """Play ranges of seeds in as many processes, each of which has the whole pair in memory already."""
    each = -(-seeds // jobs)
    shares = [
        (first + each * number, min(each, seeds - each * number), minutes, most, draw)
        for number in range(jobs)
        if each * number < seeds
    ]
    with multiprocessing.get_context("fork").Pool(len(shares)) as pool:
        whole = Summary()
        for summary in pool.starmap(run, shares):
            whole = whole.plus(summary)
    return whole


def seek(what: str, first: int, seeds: int, draw: Draw = draw) -> str:
    """Plant one fault, play until enough seeds have found it, and return its line of a table."""
    found: Counter[str] = Counter()
    earliest = played = 0
    with pytest.MonkeyPatch.context() as patch:
        (PLANTED | MANY_PLANTED)[what](patch)
        for played in range(1, seeds + 1):
            violation = play(draw(first + played - 1)).violation
            if violation:
                earliest = earliest or played
                found[violation.law] += 1
            if found.total() >= ENOUGH:
                break
    by = ", ".join(f"{law} {number}" for law, number in found.most_common())
    return f"| {what} | {found.total()} of {played} | {earliest or 'none'} | {by or 'none'} |"


def _sought(given: tuple[str, int, int, Draw]) -> str:
    return seek(*given)


def plant(named: str, first: int, seeds: int, jobs: int, draw: Draw) -> int:
    """Print for every planted fault how many seeds found it, and by which law; how many faults were not found."""
    of_these = MANY_PLANTED if draw is draw_many else PLANTED
    chosen = [what for what in of_these if named == "all"] or [what for what in PLANTED | MANY_PLANTED if named == what]
    print("| planted | found in seeds | first | by |\n|---|---|---|---|", flush=True)
    missed = 0
    with multiprocessing.get_context("fork").Pool(min(jobs, max(len(chosen), 1))) as pool:
        for line in pool.imap(_sought, [(what, first, seeds, draw) for what in chosen]):
            print(line, flush=True)
            missed += line.endswith("none |")
    return missed


def words() -> argparse.Namespace:
    """What was asked for."""
    asked = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    asked.add_argument("--seeds", type=int, default=10_000, help="how many schedules")
    asked.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    asked.add_argument("--minutes", type=float, default=0, help="stop after so many minutes")
    asked.add_argument("--most", type=int, default=5, help="stop after so many broken schedules in one process")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes share the seeds")
    asked.add_argument("--replay", type=int, help="play one seed and print all that happens")
    asked.add_argument("--only", default="", help="with --replay: the numbers of the steps to keep")
    asked.add_argument("--planted", help="plant a fault of tests/chaos/planted.py, or all, and see which law finds it")
    asked.add_argument("--many", action="store_true", help="several models of one pair, that fail together")
    return asked.parse_args()


def main() -> int:
    """Return 1 when a schedule broke a law, or a planted fault broke none."""
    asked = words()
    drawn, laws = (draw_many, (*LAWS, *MANY_LAWS)) if asked.many else (draw, LAWS)
    with installed():
        if asked.many:
            protected_many()
        if asked.replay is not None:
            return replay(asked.replay, asked.only, drawn)
        if asked.planted:
            return min(plant(asked.planted, asked.first, asked.seeds, asked.jobs, drawn), 1)
        began = time.perf_counter()
        summary = run_beside(asked.first, asked.seeds, asked.minutes, asked.most, asked.jobs, drawn)
        summary.show(time.perf_counter() - began, laws)
        return min(len(summary.broken), 1)


if __name__ == "__main__":
    sys.exit(main())
