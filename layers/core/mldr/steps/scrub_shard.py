"""Check the bytes of one shard's objects against its lines, and repair what is bad while its source is still there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from mldr.domain.digest_jobs import Results, checked_by_job, wanted_key
from mldr.domain.digests import GIB, RESUMABLE, Digest, checkable
from mldr.domain.manifests import Entry
from mldr.domain.scrub import Checked, Finding, Partial, Problem, ScrubItem, chosen, same_copy, work_key
from mldr.domain.transfers import matched
from mldr.errors import ChecksumMismatch, MissingArtifact
from mldr.events.scrub import ScrubTask
from mldr.ports.stack import Clock
from mldr.ports.vault import Copier, Vault, VaultBytes
from mldr.steps.digest_lists import keep_wanted, load_results, load_wanted, taken
from mldr.steps.manifest_lines import lines
from mldr.steps.repairs import repair

THREADS = 8
PIECE = 8 * 1024 * 1024  # bytes that one request reads; a piece per thread is in memory
RESERVE = 60_000  # milliseconds that must be left to begin with more
WINDOW = 512  # objects between two notes of how far a worker is
WINDOW_BYTES = 1 * GIB  # or so many bytes; a larger object is a window of its own


class Read(NamedTuple):
    """What reading one object gave. `partial`: time was up before its end."""

    entry: Entry
    bytes: int = 0
    bad: str = ""
    unread: str = ""
    partial: Partial | None = None


@dataclass(frozen=True)
class Scrubber:
    """What a worker works with."""

    task: ScrubTask
    vault: Vault
    reader: VaultBytes
    copier: Copier
    clock: Clock
    remaining: Callable[[], int]
    lists: dict[str, dict[str, Entry]] = field(default_factory=dict)  # left to a job: by algorithm, then by name

    def out_of_time(self) -> bool:
        """Whether to stop: what is in flight has to end, and to be noted."""
        return self.remaining() < RESERVE

    def run(self) -> Checked:
        """Go on from the last note, window by window, until the end of the shard or of the time."""
        item, so_far = self.task.item, load_checked(self.vault, self.task.run, self.task.item.item)
        if so_far.done:
            return self._compared_all(so_far)
        for algorithm in so_far.deferred:
            self.lists[algorithm] = {one.name: one for one in load_wanted(self.vault, self._list(algorithm))}
        try:
            so_far = self._advanced(item, so_far)
        except (MissingArtifact, ChecksumMismatch) as error:
            so_far = _with_lost_shard(so_far, item, str(error))
        return self._keep(so_far)

    def _advanced(self, item: ScrubItem, before: Checked) -> Checked:
        so_far = before
        for window in windows(self._wanted(item, so_far.after)):
            so_far = self._with_window(so_far, window)
            if self.out_of_time():
                return so_far if so_far != before else self._skipped(so_far, window[0])
            self._keep(so_far)
        return so_far.model_copy(update={"after": item.shard.last, "done": True})

    def _wanted(self, item: ScrubItem, after: str) -> Iterator[Entry]:
        """What this run reads of the shard: what it chose, no newer manifest names, and no job computes."""
        mine = lines(self.vault, [item.shard], after=after)
        for entry, newer in matched(mine, self._newer(item, after)):
            mine_to_check = not same_copy(entry, newer) and chosen(self.task.run, entry, self.task.sample)
            if mine_to_check and not self._left_to_a_job(entry, all_by_job=item.by_job):
                yield entry

    def _left_to_a_job(self, entry: Entry, *, all_by_job: bool) -> bool:
        algorithm = checked_by_job(entry, all_by_job=all_by_job)
        if algorithm:
            self.lists.setdefault(algorithm, {})[entry.name] = entry
        return algorithm is not None

    def _newer(self, item: ScrubItem, after: str) -> Iterator[Entry]:
        try:
            yield from lines(self.vault, item.newer, after=after)
        except (MissingArtifact, ChecksumMismatch):
            return  # told by its own worker; what it named is read here

    def _with_window(self, so_far: Checked, window: list[Entry]) -> Checked:
        with ThreadPoolExecutor(THREADS) as pool:
            reads = list(pool.map(lambda entry: self._read(entry, so_far.partial.get(entry.name)), window))
        ended = list(takewhile(lambda read: read.partial is None, reads))
        stopped = {read.entry.name: read.partial for read in reads[len(ended) :] if read.partial and read.partial.value}
        after = ended[-1].entry.name if ended else so_far.after
        return self._with_reads(so_far, ended).model_copy(update={"after": after, "partial": stopped})

    def _with_reads(self, so_far: Checked, ended: list[Read]) -> Checked:
        findings = [finding for read in ended if (finding := self._finding(read))]
        return so_far.model_copy(
            update={
                "objects": so_far.objects + sum(not read.unread for read in ended),
                "bytes": so_far.bytes + sum(read.bytes for read in ended),
                "findings": (*so_far.findings, *findings),
            }
        )

    def _read(self, entry: Entry, partial: Partial | None) -> Read:
        algorithm = checkable({name: value for name, value in entry.digests.items() if value}, entry.size)
        if algorithm is None:
            known = ", ".join(sorted(entry.digests)) or "no checksum"
            return Read(entry, unread=f"nothing that one function could compute over {entry.size} bytes: {known}")
        try:
            return self._compared(entry, Digest(algorithm, partial.value if partial else ""), partial)
        except MissingArtifact as error:
            return Read(entry, bad=str(error))

    def _compared(self, entry: Entry, digest: Digest, partial: Partial | None) -> Read:
        position = partial.read if partial else 0
        while True:
            wanted = min(PIECE, entry.size - position) or 1
            data, total = self.reader.piece(entry.key, entry.version_id, position, wanted)
            if total != entry.size:
                return Read(entry, total, bad=f"{total} bytes in the vault, {entry.size} were sealed")
            digest.update(data)
            position += len(data)
            if position >= entry.size:
                break
            if not data:
                return Read(entry, position, bad=f"it ends after {position} bytes, {entry.size} were sealed")
            if self.out_of_time():
                return Read(entry, partial=Partial(read=position, value=_state(digest)))
        sealed = entry.digests[digest.algorithm]
        wrong = "" if digest.value == sealed else f"{digest.algorithm} is {digest.value}, {sealed} was sealed"
        return Read(entry, entry.size, bad=wrong)

    def _finding(self, read: Read) -> Finding | None:
        entry = read.entry
        if read.unread:
            return _unread(entry, read.unread)
        if not read.bad:
            return None
        task = self.task
        return repair(
            entry, read.bad, task.run, task.item.retention, self.clock.now(), copier=self.copier, vault=self.vault
        )

    def _skipped(self, so_far: Checked, entry: Entry) -> Checked:
        """What a whole function's time was too short for must not keep the rest from being checked."""
        passed = so_far.model_copy(update={"after": entry.name, "partial": {}})
        if self._left_to_a_job(entry, all_by_job=True):
            return passed
        finding = _unread(entry, f"{entry.size} bytes are more than one function reads in its time")
        return passed.model_copy(update={"findings": (*so_far.findings, finding)})

    def _compared_all(self, so_far: Checked) -> Checked:
        """Compare what jobs computed since; an algorithm whose job has not told stays deferred."""
        for algorithm in list(so_far.deferred):
            wanted = self._list(algorithm)
            results = load_results(self.vault, wanted)
            if results is not None:
                reads = [self._told(entry, algorithm, results) for entry in load_wanted(self.vault, wanted)]
                left = {name: count for name, count in so_far.deferred.items() if name != algorithm}
                so_far = self._note(self._with_reads(so_far, reads).model_copy(update={"deferred": left}))
                taken(self.vault, wanted)
        return so_far

    def _told(self, entry: Entry, algorithm: str, results: Results) -> Read:
        computed, sealed = results.values.get(entry.version_id), entry.digests[algorithm]
        if computed == sealed:
            return Read(entry, entry.size)
        if computed:
            return Read(entry, entry.size, bad=f"{algorithm} is {computed}, {sealed} was sealed")
        # Why S3 computed nothing is a sentence; whether the version is there at all is for the vault to say.
        try:
            self.reader.piece(entry.key, entry.version_id, 0, 1)
        except MissingArtifact as error:
            return Read(entry, bad=str(error))
        return Read(entry, unread=f"S3 computed no {algorithm}: {results.errors.get(entry.version_id, 'no reason')}")

    def _list(self, algorithm: str) -> str:
        return wanted_key(self._work, algorithm, self.task.item.item)

    @property
    def _work(self) -> str:
        return work_key(self.task.run, "digests")

    def _keep(self, so_far: Checked) -> Checked:
        """Note how far the shard is read, after what it leaves to jobs."""
        for algorithm, entries in self.lists.items():
            keep_wanted(self.vault, self._work, algorithm, so_far.item, list(entries.values()))
        deferred = {algorithm: len(entries) for algorithm, entries in self.lists.items()}
        return self._note(so_far.model_copy(update={"deferred": deferred}))

    def _note(self, so_far: Checked) -> Checked:
        self.vault.keep(_key(self.task.run, so_far.item), so_far.model_dump_json().encode())
        return so_far


def scrub_shard(
    task: ScrubTask,
    *,
    vault: Vault,
    reader: VaultBytes,
    copier: Copier,
    clock: Clock,
    remaining: Callable[[], int],
) -> Checked:
    """Return what is known of a shard: all of it, or as much as time allowed. Again goes on where it stopped."""
    return Scrubber(task, vault, reader, copier, clock, remaining).run()


def load_checked(vault: Vault, run: str, item: str) -> Checked:
    """Return how far the check of a shard has come."""
    content = vault.read(_key(run, item))
    return Checked.model_validate_json(content) if content else Checked(item=item)


def windows(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Yield the entries in groups that are read at once."""
    window: list[Entry] = []
    size = 0
    for entry in entries:
        if window and (len(window) >= WINDOW or size + entry.size > WINDOW_BYTES):
            yield window
            window, size = [], 0
        window.append(entry)
        size += entry.size
    if window:
        yield window


def _key(run: str, item: str) -> str:
    return work_key(run, f"results/{item}.json")


def _state(digest: Digest) -> str:
    return digest.value if digest.algorithm in RESUMABLE else ""


def _unread(entry: Entry, reason: str) -> Finding:
    return Finding(
        problem=Problem.UNREAD,
        name=entry.name,
        key=entry.key,
        version_id=entry.version_id,
        source=entry.source,
        reason=reason,
    )


def _with_lost_shard(so_far: Checked, item: ScrubItem, reason: str) -> Checked:
    finding = Finding(
        problem=Problem.BAD,
        name="",
        key=item.shard.key,
        version_id=item.shard.version_id,
        source="this manifest's own shard",
        reason=reason,
    )
    return so_far.model_copy(update={"findings": (*so_far.findings, finding), "done": True})
