"""Checksums that S3 computes itself: for which objects a job is worth its hours, what it costs, and what it told."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from mldr.domain.digests import GIB, checkable
from mldr.domain.identity import Frozen
from mldr.domain.manifests import Entry
from mldr.domain.model_rules import Digest

# What S3 computes over a whole object (S3ComputeObjectChecksum), the strongest first
# (docs.aws.amazon.com/AmazonS3/latest/API/API_control_S3ComputeObjectChecksumOperation.html).
COMPUTED_BY_S3 = (
    "SHA256", "SHA512", "SHA1", "MD5", "XXHASH128", "XXHASH3", "XXHASH64", "CRC64NVME", "CRC32C", "CRC32",
)  # fmt: skip
# One job's results are held in memory while they are dealt out to the shards that asked.
JOB_OBJECTS = 50_000
# Dollars, us-east-1. What a job costs per byte that it reads is on the pricing page only, and not in these figures.
PER_JOB, PER_MILLION = 0.25, 1.00
PER_MILLION_GETS, PER_GB_SECOND = 0.40, 0.0000133334
FUNCTIONS, FUNCTION_GB, READ_RATE = 10, 0.5, 70e6  # how *scrub* reads: functions at once, their memory, bytes/s of each
PIECE = 8 * 1024**2
PATIENCE = 6.0  # hours: a job's report may take "a few hours", so reading that is over sooner is not worth one


class Phase(StrEnum):
    """How a job stands."""

    RUNNING = "running"
    COMPLETE = "complete"  # its report is there; single objects may have failed
    FAILED = "failed"  # as a whole; a report may be there


class JobState(Frozen):
    """How a job stands, and why it failed."""

    phase: Phase
    reason: str = ""


class Target(NamedTuple):
    """One version in the vault."""

    key: str
    version_id: str


class Computed(NamedTuple):
    """One line of a job's report: the checksum of a version (base64), or why there is none."""

    version_id: str
    value: str
    error: str = ""


class RunningJob(Frozen):
    """A job that was started, and the lists that it computes."""

    job: str
    algorithm: str
    wanted: tuple[str, ...]  # keys of working files


class Round(Frozen):
    """The jobs of one piece of work: those that run, and how many were ever made."""

    made: int = 0
    running: tuple[RunningJob, ...] = ()


class Results(Frozen):
    """What a job told of one list, by vault version."""

    values: dict[str, str]
    errors: dict[str, str] = {}


class Choice(Frozen):
    """How much is read, and why: every figure is an estimate from sizes, prices and rates."""

    by_job: bool
    reason: str
    hours: float  # that streaming would take
    streaming: float  # dollars
    job: float  # dollars, without what S3 takes per byte


def choose(objects: int, size: int, patience: float = PATIENCE) -> Choice:
    """Return whether S3 or functions read `objects` of `size` bytes together.

    Functions answer in minutes and cost less for whatever they can read in time; only what would keep them busy for
    longer than a job takes (`patience`, hours) is left to a job.
    """
    seconds = size / READ_RATE
    hours = seconds / FUNCTIONS / 3600
    gets = max(objects, size / PIECE)
    streaming = gets / 1e6 * PER_MILLION_GETS + seconds * FUNCTION_GB * PER_GB_SECOND
    by_job = hours > patience
    reason = (
        f"{objects} objects, {size / GIB:.1f} GiB: {FUNCTIONS} functions need {hours:.1f} h and ${streaming:.2f}; "
        f"a job is made above {patience:g} h, and costs ${price(objects):.2f} besides S3's price per byte"
    )
    return Choice(by_job=by_job, reason=reason, hours=hours, streaming=streaming, job=price(objects))


def price(objects: int) -> float:
    """Return the dollars for the jobs over so many objects, without what S3 takes per byte."""
    jobs = -(-objects // JOB_OBJECTS)
    return jobs * PER_JOB + objects / 1e6 * PER_MILLION


def hashed_by_job(entry: Entry, digest: Digest, over: int) -> bool:
    """Return whether an object's SHA-256 comes from a job: it is asked for, unknown, and more bytes than one function
    reads (`over`).
    """
    return digest is Digest.SHA256 and entry.size > over and not entry.digests.get("SHA256")


def checked_by_job(entry: Entry, *, all_by_job: bool) -> str | None:
    """Return the algorithm by which a job checks an object; None when a function reads it, or nobody can."""
    known = {name: value for name, value in entry.digests.items() if value}
    if not all_by_job and checkable(known, entry.size) is not None:
        return None
    return next((name for name in COMPUTED_BY_S3 if name in known), None)


def work_of(shards_key: str) -> str:
    """Return the prefix of the working files of the digests of the shards that a map reads."""
    return shards_key.rpartition("/")[0] + "/digests"


def wanted_key(work: str, algorithm: str, item: str) -> str:
    """Return where a shard lists the objects whose checksum it waits for."""
    return f"{work}/wanted/{algorithm}/{item}.avro"


def wanted_of(key: str, work: str) -> tuple[str, str]:
    """Return (algorithm, item) of such a list."""
    algorithm, _, item = key.removeprefix(f"{work}/wanted/").removesuffix(".avro").partition("/")
    return algorithm, item


def results_key(wanted: str) -> str:
    """Return where the checksums of a list are kept."""
    return wanted.replace("/digests/wanted/", "/digests/results/").removesuffix(".avro") + ".json"
