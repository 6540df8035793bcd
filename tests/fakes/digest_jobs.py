"""S3 Batch Operations in memory: jobs over the buckets of the fakes that end after a few looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mldr.domain.digest_jobs import Computed, JobState, Phase, Target
from mldr.errors import ChecksumUnavailable
from tests.fakes.objects import Buckets, checksum_of


@dataclass
class Job:
    """One job, and what it was asked for."""

    name: str
    targets: list[Target]
    algorithm: str
    left: int  # looks that still find it running


class FakeDigestJobs:
    """`jobs` by id. `looks` are needed until one ends; `broken` names versions that cannot be computed; `fails` is why
    every job fails as a whole.
    """

    def __init__(self, buckets: Buckets, bucket: str = "vault", looks: int = 2) -> None:
        self.buckets, self.bucket, self.looks = buckets, bucket, looks
        self.jobs: dict[str, Job] = {}
        self.broken: set[str] = set()
        self.fails = ""
        self.refuses = False
        self._tokens: dict[str, str] = {}

    def start(self, name: str, token: str, targets: Iterable[Target], algorithm: str) -> str:
        if self.refuses:
            raise ChecksumUnavailable("S3 Batch Operations refused a job; look at its role")
        if token not in self._tokens:
            self._tokens[token] = f"job-{len(self._tokens)}"
            self.jobs[self._tokens[token]] = Job(name, list(targets), algorithm, self.looks)
        return self._tokens[token]

    def state(self, job: str) -> JobState:
        held = self.jobs[job]
        held.left -= 1
        if held.left > 0:
            return JobState(phase=Phase.RUNNING)
        return JobState(phase=Phase.FAILED, reason=self.fails) if self.fails else JobState(phase=Phase.COMPLETE)

    def results(self, job: str, algorithm: str) -> Iterator[Computed]:
        held = self.jobs[job]
        for key, version_id in reversed([] if self.fails else held.targets):
            version = self.buckets.get(self.bucket, key, version_id)
            if version is None or version.body is None or version_id in self.broken:
                yield Computed(version_id, "", "200 PermanentFailure: Key not found")
            else:
                yield Computed(version_id, checksum_of(version.body, held.algorithm).value)  # type: ignore[arg-type]
