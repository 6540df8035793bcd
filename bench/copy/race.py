"""The race: every contestant copies the same buckets in turn, round after round, each time in another order."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.copy import workloads
from bench.copy.contestants import PEERS, Contestant, S5cmdPlain
from bench.copy.mldr import Mldr, MldrInParts
from bench.copy.workloads import Workload, contents, make_bucket
from bench.processes import ProgramFailed, Usage
from bench.results import Results
from bench.server import Server
from bench.tools import NotInstalled

ROUNDS, QUICK_ROUNDS = 5, 1
LARGE = 4 * 1024**2  # bytes: copies of larger objects are removed after each round, before the disk is full
FIRST, UNCHANGED, CHANGED = "first copy", "nothing changed", "1 % changed"
TOLD = ", told by events"
Contents = Mapping[str, tuple[int, str]]


def run(server: Server, results: Results, *, quick: bool) -> None:
    """Race over all workloads; what is done already is skipped."""
    with tempfile.TemporaryDirectory() as folder:
        contestants = _contestants(server, Path(folder), results)
        for workload in workloads.QUICK if quick else workloads.FULL:
            rounds = [n for n in range(QUICK_ROUNDS if quick else ROUNDS) if not results.done(f"{workload.name} {n}")]
            if rounds:
                Race(server, workload, contestants, results).run(rounds)


def _contestants(server: Server, folder: Path, results: Results) -> list[Contestant]:
    made: list[Contestant] = []
    for make in (Mldr, *PEERS, S5cmdPlain, MldrInParts):
        try:
            made.append(make(server.place, folder))
        except NotInstalled as missing:
            results.problem(f"{missing} is not installed: its rows are missing")
    return made


class Race:
    """One workload: a source bucket, and for each contestant and round a new destination of the same kind."""

    def __init__(self, server: Server, workload: Workload, contestants: Sequence[Contestant], results: Results) -> None:
        self._server, self._workload, self._results = server, workload, results
        self._contestants = [each for each in contestants if each.takes(workload.size)]
        self._s3 = server.place.client()
        self._source = _bucket("source", workload.name)
        self._generation = itertools.count(1)
        self._expected: Contents = {}

    def run(self, rounds: Sequence[int]) -> None:
        """Write the source and race the given rounds."""
        make_bucket(self._s3, self._source)
        workloads.write(self._s3, self._source, self._workload.keys(), self._workload.size, 0)
        workloads.settle()
        self._expected = contents(self._s3, self._source)
        for number in rounds:
            racing = [each for each in self._contestants if number < each.rounds]
            turn = number % len(racing)
            order = racing[turn:] + racing[:turn]
            self._results.add(f"{self._workload.name} {number}", list(self._round(number, order)))
        self._server.remove_bucket(self._source)
        self._server.collect_garbage()

    def _round(self, number: int, order: Sequence[Contestant]) -> Iterator[dict[str, Any]]:
        destinations = {each.name: _bucket(each.name, self._workload.name, str(number)) for each in order}
        for each in order:
            make_bucket(self._s3, destinations[each.name], locked=True) if each.versioned else self._s3.create_bucket(
                Bucket=destinations[each.name]
            )
            yield from self._measured(number, FIRST, each, destinations, each.first)
        lasting = [each for each in order if each.repeats]
        for each in lasting:
            yield from self._measured(number, UNCHANGED, each, destinations, each.again)
        self._change()
        for each in lasting:
            yield from self._measured(number, CHANGED, each, destinations, each.again)
        yield from self._told(number, order, destinations)
        if self._workload.size >= LARGE:
            for bucket in destinations.values():
                self._server.remove_bucket(bucket)
            self._server.forget_old_versions(self._source)
            self._server.collect_garbage()

    def _told(
        self, number: int, order: Sequence[Contestant], destinations: Mapping[str, str]
    ) -> Iterator[dict[str, Any]]:
        """Measure what knows from events what changed, and so need not list."""
        for each in order:
            if isinstance(each, Mldr) and each.repeats:
                yield from self._measured(number, UNCHANGED, each, destinations, each.told([]), TOLD)
                yield from self._measured(number, CHANGED, each, destinations, each.told(self._change()), TOLD)

    def _change(self) -> list[str]:
        generation = next(self._generation)
        keys = self._workload.rewritten(generation)
        workloads.write(self._s3, self._source, keys, self._workload.size, generation)
        workloads.settle()
        self._expected = contents(self._s3, self._source)
        return keys

    def _measured(
        self,
        number: int,
        phase: str,
        contestant: Contestant,
        destinations: Mapping[str, str],
        work: Callable[[str, str], Mapping[str, Usage]],
        suffix: str = "",
    ) -> Iterator[dict[str, Any]]:
        destination = destinations[contestant.name]
        mark = self._server.mark()
        try:
            taken = work(self._source, destination)
        except ProgramFailed as failed:
            self._results.problem(f"{contestant.name}, {self._workload.name}, {phase}, round {number}: {failed}")
            return
        requests = self._server.requests(mark)
        # Where nothing changed there is nothing new to look at: the next phase is looked at again.
        complete = phase == UNCHANGED or _same(self._expected, contestant.holds(self._s3, destination))
        for label, usage in taken.items():
            yield {
                "workload": self._workload.name,
                "objects": self._workload.count,
                "phase": phase,
                "contestant": label + suffix,
                "round": number,
                "seconds": round(usage.seconds, 4),
                "cpu": round(usage.cpu, 4),
                "peak_mib": round(usage.peak_mib, 1),
                "requests": sum(requests.values()),
                "kinds": dict(requests),
                "complete": complete,
            }


def _same(source: Contents, copies: Contents) -> bool:
    """Return whether keys, sizes and ETags agree; the ETag of what was copied in parts is not that of the source."""
    parts = {key for key, (_, etag) in copies.items() if "-" in etag}
    return source.keys() == copies.keys() and all(
        copies[key][: 1 if key in parts else 2] == found[: 1 if key in parts else 2] for key, found in source.items()
    )


def _bucket(*words: str) -> str:
    """Return a bucket's name for some words."""
    return "-".join("".join(char for char in word.lower() if char.isascii() and char.isalnum()) for word in words)
