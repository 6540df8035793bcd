"""`python -m tests.chaos --seeds N`: play random schedules, shrink what breaks a law, replay one with a trace."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter
from itertools import count

from tests.chaos.schedule import Schedule, draw
from tests.chaos.simulator import Outcome, Simulator, installed

PROGRESS = 10.0  # seconds


def play(schedule: Schedule, *, tracing: bool = False) -> Outcome:
    """Play a schedule once."""
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


def replay(seed: int, only: str) -> int:
    """Print a schedule and all that happened in it."""
    schedule = draw(seed)
    schedule = schedule.only(tuple(int(one) for one in only.split(",") if one)) if only else schedule
    print(f"seed {seed}: {schedule.machinery}")
    for number, step in enumerate(schedule.steps):
        print(f"  step {number:2}  {step}")
    outcome = play(schedule, tracing=True)
    print("\n".join(outcome.trace))
    print(outcome.violation or "every law held", outcome.facts)
    return 1 if outcome.violation else 0


def told(seed: int, outcome: Outcome) -> None:
    """Print a violation and the shortest schedule that was found for it."""
    assert outcome.violation
    schedule = draw(seed)
    kept = shrink(schedule, outcome.violation.law)
    only = ",".join(map(str, kept))
    print(f"seed {seed} breaks a law: {outcome.violation}")
    print("\n".join(f"    step {number:2}  {schedule.steps[number]}" for number in kept))
    print(f"  again: python -m tests.chaos --replay {seed}" + (f" --only {only}" if only else ""), flush=True)


def run(first: int, seeds: int, minutes: float, most: int) -> int:
    """Play many seeds; the number of those that broke a law."""
    gc.freeze()  # what is imported stays, and need not be looked at again
    began = shown = time.perf_counter()
    facts: Counter[str] = Counter()
    broken: list[int] = []
    played = 0
    for seed in count(first):
        passed = time.perf_counter() - began
        if played == seeds or (minutes and passed > minutes * 60) or len(broken) >= most:
            break
        outcome = play(draw(seed))
        played += 1
        facts.update(outcome.facts)
        if outcome.violation:
            broken.append(seed)
            told(seed, outcome)
        if time.perf_counter() - shown > PROGRESS:
            shown = time.perf_counter()
            rate = f"{played / (shown - began):.1f}/s"
            print(f"seeds {first} to {seed}: {played} schedules, {len(broken)} broken, {rate}", flush=True)
    passed = time.perf_counter() - began
    print(
        f"{played} schedules from seed {first} in {passed:.0f} s ({played / passed:.1f}/s): "
        f"{len(broken)} broke a law {broken or ''}; {dict(facts)}"
    )
    return len(broken)


def main() -> int:
    """Return how many schedules broke a law, 0 when none did."""
    words = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    words.add_argument("--seeds", type=int, default=10_000, help="how many schedules")
    words.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    words.add_argument("--minutes", type=float, default=0, help="stop after so many minutes")
    words.add_argument("--most", type=int, default=5, help="stop after so many broken schedules")
    words.add_argument("--replay", type=int, help="play one seed and print all that happens")
    words.add_argument("--only", default="", help="with --replay: the numbers of the steps to keep")
    given = words.parse_args()
    with installed():
        if given.replay is not None:
            return replay(given.replay, given.only)
        return min(run(given.first, given.seeds, given.minutes, given.most), 1)


if __name__ == "__main__":
    sys.exit(main())
