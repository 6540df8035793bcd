"""Snapshots of datasets, and the way of their objects back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Protocol

from mldr.domain.datasets import Change
from mldr.domain.manifests import Entry
from mldr.domain.snapshots import RestoreRecord, SnapshotRecord


class Datasets(Protocol):
    """Snapshots of datasets, restores, and the log of what storage events told, in the catalog's table."""

    def begin(self, record: SnapshotRecord) -> None:
        """Write a new record and make it the running one of its dataset.

        Raises LostRace when it exists already, or when another snapshot of the dataset is running.
        """

    def resume(self, record: SnapshotRecord) -> SnapshotRecord:
        """Take the next attempt of a snapshot that runs: attempt + 1, CAPTURING. Raises LostRace when another did."""

    def advance(self, record: SnapshotRecord) -> None:
        """Write a record of the same attempt, but for `again`, which only `ask_again` sets.

        When it is over the dataset is free for the next one; a sealed one becomes the newest of its dataset.
        Raises LostRace when the attempt is over.
        """

    def annotate(self, record: SnapshotRecord) -> None:
        """Write what was counted after the seal: `difference`. Raises LostRace when there is no such record."""

    def ask_again(self, dataset: str, snapshot: str, why: str) -> None:
        """Remember that another snapshot is wanted after this one. Raises LostRace when this one is over."""

    def running(self, dataset: str) -> SnapshotRecord | None:
        """Return the snapshot of a dataset that has not ended, or None."""

    def newest(self, dataset: str) -> SnapshotRecord | None:
        """Return the sealed snapshot of the latest instant, or None."""

    def record(self, dataset: str, snapshot: str) -> SnapshotRecord | None:
        """Return one record, or None."""

    def records(self, dataset: str) -> Iterator[SnapshotRecord]:
        """Yield the records of a dataset, the newest first."""

    def names(self) -> list[str]:
        """Return every dataset that has a record."""

    def log(self, change: Change, at: dt.datetime) -> None:
        """Remember what an event told, under the time of this region's clock. Twice is harmless."""

    def changes(self, dataset: str, since: dt.datetime) -> Iterator[Change]:
        """Yield what was logged at a time or after it, what was logged first first. A change may come twice."""

    def put_restore(self, record: RestoreRecord) -> None:
        """Remember how a restore stands."""

    def restore(self, dataset: str, restore: str) -> RestoreRecord | None:
        """Return one restore, or None."""


class Restorer(Protocol):
    """Copies out of the vault into buckets of this region."""

    def restore(self, entries: Iterable[Entry], bucket: str, base: str) -> Iterator[Entry]:
        """Yield each entry once its verified copy stands at `base` + its name. What stands there already is not copied.

        Raises TargetDiffers when something else stands there, MissingArtifact when the vault's version or the bucket is
        gone, ChecksumMismatch, NotAllowed, Throttled.
        """
