"""Check the bytes of one shard's objects against its lines, and repair what is bad while its source is still there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from mldr.domain.digests import GIB, RESUMABLE, Digest, checkable
from mldr.domain.manifests import Entry
from mldr.domain.scrub import Checked, Finding, Partial, Problem, ScrubItem, chosen, same_copy, work_key
from mldr.domain.transfers import matched
from mldr.errors import ChecksumMismatch, MissingArtifact
from mldr.events import ScrubTask
from mldr.ports import Clock, Copier, Vault, VaultBytes
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

    def out_of_time(self) -> bool:
        """Whether to stop: what is in flight has to end, and to be noted."""
        return self.remaining() < RESERVE

    def run(self) -> Checked:
        """Go on from the last note, window by window, until the end of the shard or of the time."""
        item, so_far = self.task.item, load_checked(self.vault, self.task.run, self.task.item.item)
        if so_far.done:
            return so_far
        try:
            so_far = self._advanced(item, so_far)
        except (MissingArtifact, ChecksumMismatch) as error:
            so_far = _with_lost_shard(so_far, item, str(error))
        self._keep(so_far)
        return so_far

    def _advanced(self, item: ScrubItem, before: Checked) -> Checked:
        so_far = before
        for window in windows(self._wanted(item, so_far.after)):
            so_far = self._with_window(so_far, window)
            if self.out_of_time():
                return so_far if so_far != before else _skipped(so_far, window[0])
            self._keep(so_far)
        return so_far.model_copy(update={"after": item.shard.last, "done": True})

    def _wanted(self, item: ScrubItem, after: str) -> Iterator[Entry]:
        """What this run reads of the shard: what it chose, and no newer manifest names."""
        mine = lines(self.vault, [item.shard], after=after)
        for entry, newer in matched(mine, self._newer(item, after)):
            if not same_copy(entry, newer) and chosen(self.task.run, entry, self.task.sample):
                yield entry

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
        findings = [finding for read in ended if (finding := self._finding(read))]
        return so_far.model_copy(
            update={
                "after": ended[-1].entry.name if ended else so_far.after,
                "partial": stopped,
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

    def _keep(self, so_far: Checked) -> None:
        self.vault.keep(_key(self.task.run, so_far.item), so_far.model_dump_json().encode())


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


def _skipped(so_far: Checked, entry: Entry) -> Checked:
    """What a whole function's time was too short for must not keep the rest from being checked."""
    finding = _unread(entry, f"{entry.size} bytes are more than one function reads in its time")
    return so_far.model_copy(update={"after": entry.name, "partial": {}, "findings": (*so_far.findings, finding)})


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
