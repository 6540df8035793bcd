"""Have S3 compute the checksums that shards wait for: start jobs, look at them, and deal out what they told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

from mldr.domain.digest_jobs import (
    JOB_OBJECTS,
    Computed,
    Phase,
    Results,
    Round,
    RunningJob,
    Target,
    wanted_of,
    work_of,
)
from mldr.domain.identity import Frozen
from mldr.events.transfers import DigestTask
from mldr.ports.vault import DigestJobs, Vault
from mldr.steps.digest_lists import keep_results, load_results, load_wanted
from mldr.steps.working_files import need

RESERVE = 120_000  # milliseconds that must be left to deal out one more report, or to begin one more job
AGAIN = "again.json"


class Stand(StrEnum):
    """What a state machine does next."""

    NONE = "none"  # nothing is waited for
    RUNNING = "running"  # ask again after `wait` seconds
    DONE = "done"  # the shards at `shards_key` can go on


class Computing(Frozen):
    """What the state machine goes on with."""

    digests: Stand
    wait: int  # seconds
    shards: int
    shards_key: str


@dataclass(frozen=True)
class Computation:
    """One look at the jobs of one piece of work."""

    work: str
    vault: Vault
    jobs: DigestJobs
    remaining: Callable[[], int]
    round: Round

    def looked(self) -> Computation:
        """Deal out what ended; what still runs, or did not fit into the time, stays in the round."""
        at = self
        for running in self.round.running:
            state = self.jobs.state(running.job) if not self._out_of_time() else None
            if state and state.phase is not Phase.RUNNING:
                self._deal(running, state.reason)
                left = tuple(one for one in at.round.running if one.job != running.job)
                at = at._kept(at.round.model_copy(update={"running": left}))
        return at

    def started(self) -> Computation:
        """Start a job for every list without results, as far as time allows."""
        at = self
        for algorithm, lists in groupby(self._outstanding(), lambda key: wanted_of(key, self.work)[0]):
            for keys, targets in self._batches(lists):
                if self._out_of_time():
                    return at
                at = at._with_job(algorithm, keys, targets)
        return at

    def told(self) -> list[str]:
        """Return the items whose results wait to be taken."""
        lists = self.vault.keys(f"{self.work}/wanted/")
        found = (wanted_of(key, self.work)[1] for key in lists if load_results(self.vault, key))
        return list(dict.fromkeys(found))

    def _outstanding(self) -> Iterator[str]:
        for key in self.vault.keys(f"{self.work}/wanted/"):
            if load_results(self.vault, key) is None:
                yield key

    def _batches(self, lists: Iterator[str]) -> Iterator[tuple[list[str], list[Target]]]:
        keys: list[str] = []
        targets: list[Target] = []
        for key in lists:
            found = [Target(entry.key, entry.version_id) for entry in load_wanted(self.vault, key)]
            if targets and len(targets) + len(found) > JOB_OBJECTS:
                yield keys, targets
                keys, targets = [], []
            if found:
                keys.append(key)
                targets += found
        if targets:
            yield keys, targets

    def _with_job(self, algorithm: str, keys: list[str], targets: list[Target]) -> Computation:
        """Start one job. A function that dies before it is noted asks for the same job again, by the same token."""
        name = f"{self.work}/jobs/{self.round.made:06d}"
        token = hashlib.sha256("\n".join((name, algorithm, *keys)).encode()).hexdigest()
        job = self.jobs.start(name, token, targets, algorithm)
        running = RunningJob(job=job, algorithm=algorithm, wanted=tuple(keys))
        return self._kept(Round(made=self.round.made + 1, running=(*self.round.running, running)))

    def _deal(self, running: RunningJob, failed: str) -> None:
        """Keep each list's part of a report; a version without a line has the reason why."""
        told = {line.version_id: line for line in self.jobs.results(running.job, running.algorithm)}
        missing = failed or f"the report of job {running.job} has no line for it"
        for key in running.wanted:
            wanted = [entry.version_id for entry in load_wanted(self.vault, key)]
            lines = [told.get(version) or Computed(version, "", missing) for version in wanted]
            values = {line.version_id: line.value for line in lines if not line.error}
            errors = {line.version_id: line.error for line in lines if line.error}
            keep_results(self.vault, key, Results(values=values, errors=errors))

    def _kept(self, now: Round) -> Computation:
        self.vault.keep(f"{self.work}/jobs.json", now.model_dump_json().encode())
        return replace(self, round=now)

    def _out_of_time(self) -> bool:
        return self.remaining() < RESERVE


def compute_digests(
    task: DigestTask, *, vault: Vault, jobs: DigestJobs, poll_seconds: int, remaining: Callable[[], int]
) -> Computing:
    """Return what to do next: wait, go on with the shards that have their checksums, or nothing.

    Repeating it is harmless: a job is asked for under a token of its own, and results stay until they are taken.
    """
    work = work_of(task.shards_key)
    content = vault.read(f"{work}/jobs.json")
    held = Round.model_validate_json(content) if content else Round()
    at = Computation(work, vault, jobs, remaining, held).looked()
    if not at.round.running:
        at = at.started()
    if at.round.running:
        return Computing(digests=Stand.RUNNING, wait=poll_seconds, shards=0, shards_key=task.shards_key)
    items = set(at.told())
    if not items:
        return Computing(digests=Stand.NONE, wait=poll_seconds, shards=0, shards_key=task.shards_key)
    return _again(task, items, vault, poll_seconds)


def _again(task: DigestTask, items: set[str], vault: Vault, poll_seconds: int) -> Computing:
    shards = [one for one in json.loads(need(vault, task.shards_key)) if one["item"] in items]
    key = task.shards_key.rpartition("/")[0] + f"/{AGAIN}"
    vault.keep(key, json.dumps(shards).encode())
    return Computing(digests=Stand.DONE, wait=poll_seconds, shards=len(shards), shards_key=key)
