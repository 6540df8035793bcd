"""The re-checking of vault bytes against manifests: what is read, what came of it, and what is to be done about it."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from pydantic import Field

from mldr.domain.digest_jobs import PATIENCE, Choice, choose
from mldr.domain.identity import Frozen
from mldr.domain.manifests import Entry, ShardRef
from mldr.domain.recovery_point import Retention

ALL = "all"  # the owner of a run that looks at everything
FULL = 100.0  # percent


class Holding(Frozen):
    """One sealed manifest: a recovery point or a snapshot, and its shards."""

    owner: str  # model/sagemaker/churn | dataset/images
    id: str
    retention: Retention
    shards: tuple[ShardRef, ...]


class ScrubItem(Frozen):
    """One shard to check. What a newer manifest names, too, is checked there: nothing is read twice in one run."""

    item: str  # shards/000001
    owner: str
    shard: ShardRef
    retention: Retention  # of the copies that a repair makes
    newer: tuple[ShardRef, ...] = ()
    holders: tuple[str, ...] = ()  # the manifests that this shard belongs to, the newest first
    by_job: bool = False  # S3 computes what is compared; else a function reads what it can


class Unreadable(Frozen):
    """A sealed manifest that cannot be read."""

    owner: str
    id: str
    reason: str


class ScrubPlan(Frozen):
    """What a run checks."""

    run: str
    owner: str  # whose manifests, or `all`
    sample: float
    items: tuple[ScrubItem, ...]
    unreadable: tuple[Unreadable, ...] = ()
    choice: Choice | None = None  # how it is read


class Problem(StrEnum):
    """What is wrong with an object."""

    BAD = "bad"  # other bytes than were sealed, or none
    REPAIRED = "repaired"  # it was bad; a new copy of the pinned source stands for it
    UNREAD = "unread"  # nothing to compare it by that one function can compute


class Finding(Frozen):
    """One object that is not as it was sealed."""

    problem: Problem
    name: str
    key: str
    version_id: str
    source: str
    reason: str


class Damage(Frozen):
    """A recovery point or a snapshot that names something bad."""

    owner: str
    id: str
    reason: str


class Partial(Frozen):
    """How far a large object was read."""

    read: int  # bytes
    value: str  # of the checksum so far


class Checked(Frozen):
    """What is known of one shard so far; its worker goes on from here when it was stopped."""

    item: str
    after: str = ""  # the last name of which all before it are checked, too
    partial: dict[str, Partial] = {}
    objects: int = 0
    bytes: int = 0
    findings: tuple[Finding, ...] = ()
    done: bool = False
    deferred: dict[str, int] = {}  # objects that S3 computes the checksum of, by algorithm, and are not compared yet

    @property
    def complete(self) -> bool:
        """Whether nothing of the shard is left to check."""
        return self.done and not self.deferred


class Tally(Frozen):
    """What one run found of one owner."""

    owner: str
    run: str
    sample: float = Field(gt=0, le=FULL)  # percent
    checked_at: dt.datetime
    manifests: int
    objects: int
    bytes: int
    bad: int
    repaired: int
    unread: int
    unchecked: int  # shards whose worker gave up
    damaged: tuple[str, ...] = ()  # recovery points or snapshots that name something bad
    reason: str = ""  # the first thing that is wrong

    @property
    def sound(self) -> bool:
        """Whether everything that the run chose was read and is as it was sealed, or is again."""
        return not (self.bad or self.unread or self.unchecked)


class Outcome(StrEnum):
    """How a run ended."""

    SOUND = "sound"
    REPAIRED = "repaired"
    DAMAGED = "damaged"
    INCOMPLETE = "incomplete"  # nothing is known to be bad, but not everything could be read
    FAILED = "failed"


class Report(Frozen):
    """What a run found, as it is sealed in the vault."""

    run: str
    owner: str
    sample: float
    ended_at: dt.datetime
    outcome: Outcome
    reading: str = ""  # who read the bytes, and why
    tallies: tuple[Tally, ...]
    findings: tuple[Finding, ...]
    damaged: tuple[Damage, ...]


def outcome(tallies: Iterable[Tally]) -> Outcome:
    """Return the worst that was found."""
    known = list(tallies)
    if any(one.bad for one in known):
        return Outcome.DAMAGED
    if any(not one.sound for one in known):
        return Outcome.INCOMPLETE
    return Outcome.REPAIRED if any(one.repaired for one in known) else Outcome.SOUND


def chosen(run: str, entry: Entry, sample: float) -> bool:
    """Return whether a run reads this object. Another run's sample is another one; a sample is a share in percent."""
    if sample >= FULL:
        return True
    drawn = hashlib.sha256(f"{run}\n{entry.key}\n{entry.version_id}".encode()).digest()[:8]
    return int.from_bytes(drawn) < sample / FULL * 2**64


def shards_of(holdings: Iterable[Holding]) -> tuple[ScrubItem, ...]:
    """Return the shards to check, each once. The holdings of an owner come together, the newest first."""
    items: dict[tuple[str, str], ScrubItem] = {}
    newer: Holding | None = None
    for holding in holdings:
        beside = newer.shards if newer and newer.owner == holding.owner else ()
        for ref in holding.shards:
            place = (holding.owner, ref.digest)
            known = items.get(place) or ScrubItem(
                item=f"shards/{len(items):06d}",
                owner=holding.owner,
                shard=ref,
                retention=holding.retention,
                newer=_overlapping(ref, beside),
            )
            later = max(known.retention, holding.retention, key=lambda one: one.until)
            items[place] = known.model_copy(update={"holders": (*known.holders, holding.id), "retention": later})
        newer = holding
    return tuple(items.values())


def assigned(plan: ScrubPlan, patience: float = PATIENCE) -> ScrubPlan:
    """Return a plan with who reads it: S3 where functions would need more than `patience` hours."""
    share = plan.sample / FULL
    objects, size = (round(share * sum(getattr(one.shard, of) for one in plan.items)) for of in ("objects", "bytes"))
    choice = choose(objects, size, patience)
    items = tuple(item.model_copy(update={"by_job": choice.by_job}) for item in plan.items)
    return plan.model_copy(update={"items": items, "choice": choice})


def _overlapping(ref: ShardRef, others: Sequence[ShardRef]) -> tuple[ShardRef, ...]:
    return tuple(other for other in others if other.first <= ref.last and ref.first <= other.last)


def same_copy(entry: Entry, newer: Entry | None) -> bool:
    """Return whether a newer manifest names the same version in the vault."""
    return newer is not None and (entry.key, entry.version_id) == (newer.key, newer.version_id)


def agree(sealed: Mapping[str, str], copied: Mapping[str, str]) -> bool:
    """Return whether the checksums of two copies prove that they hold the same bytes: one in common, none different."""
    shared = [name for name, value in sealed.items() if value and name in copied]
    return bool(shared) and all(sealed[name] == copied[name] for name in shared)


def work_key(run: str, name: str) -> str:
    """Return the vault key of a run's working file."""
    return f"in-progress/verification/{run}/{name}"


def report_key(run: str) -> str:
    """Return the vault key under which a run's report is sealed."""
    return f"evidence/verification/{run}.json"


def spanning(items: Iterable[ScrubItem], owner: str, name: str) -> list[ScrubItem]:
    """Return the shards of an owner that may name an object."""
    return [one for one in items if one.owner == owner and one.shard.first <= name <= one.shard.last]


def tally(
    owner: str, plan: ScrubPlan, results: Mapping[str, Checked], damaged: Iterable[str], at: dt.datetime
) -> Tally:
    """Return what a run found of one owner, from the results by item and the manifests that name something bad."""
    items = [item for item in plan.items if item.owner == owner]
    known = [results[item.item] for item in items if item.item in results]
    missing = sum(item.item not in results or not results[item.item].complete for item in items)
    findings = [finding for result in known for finding in result.findings]
    lost = [one for one in plan.unreadable if one.owner == owner]
    reasons = [*(one.reason for one in lost), *(f"{one.name}: {one.reason}" for one in findings)]
    mine = {holder for item in items for holder in item.holders}

    def count(problem: Problem) -> int:
        return sum(finding.problem is problem for finding in findings)

    return Tally(
        owner=owner,
        run=plan.run,
        sample=plan.sample,
        checked_at=at,
        manifests=len(mine) + len(lost),
        objects=sum(result.objects for result in known),
        bytes=sum(result.bytes for result in known),
        bad=count(Problem.BAD) + len(lost),
        repaired=count(Problem.REPAIRED),
        unread=count(Problem.UNREAD),
        unchecked=missing,
        damaged=tuple(damaged),
        reason=next(iter(reasons), "" if not missing else f"{missing} shards were not checked; see the log"),
    )
