"""Datasets in memory: the same conditions as the table's, under one lock."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator

from mldr.domain.datasets import Change
from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import RestoreRecord, SnapshotRecord
from mldr.errors import LostRace


class FakeDatasets:
    """Snapshots, restores and logged changes."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._records: dict[tuple[str, str], SnapshotRecord] = {}
        self._running: dict[str, str] = {}
        self._newest: dict[str, str] = {}
        self._restores: dict[tuple[str, str], RestoreRecord] = {}
        self.logged: dict[tuple[str, dt.datetime, str], Change] = {}

    def begin(self, record: SnapshotRecord) -> None:
        with self._lock:
            if self._running.get(record.dataset) or (record.dataset, record.snapshot) in self._records:
                raise LostRace(f"{record.snapshot} exists already, or another snapshot of {record.dataset} runs")
            self._running[record.dataset] = record.snapshot
            self._records[record.dataset, record.snapshot] = record

    def resume(self, record: SnapshotRecord) -> SnapshotRecord:
        again = record.model_copy(update={"attempt": record.attempt + 1, "phase": Phase.CAPTURING, "reason": ""})
        return self._write(again, record.attempt)

    def advance(self, record: SnapshotRecord) -> None:
        with self._lock:
            self._write(record, record.attempt)
            if record.over:
                self._running[record.dataset] = ""
            if record.sealed_at:
                self._newest[record.dataset] = record.snapshot

    def _write(self, record: SnapshotRecord, attempt: int) -> SnapshotRecord:
        with self._lock:
            held = self._records.get((record.dataset, record.snapshot))
            if held is None or held.attempt != attempt or held.over:
                raise LostRace(f"{record.snapshot}: attempt {attempt} is over")
            written = record.model_copy(update={"again": held.again})
            self._records[record.dataset, record.snapshot] = written
            return written

    def annotate(self, record: SnapshotRecord) -> None:
        with self._lock:
            held = self._records.get((record.dataset, record.snapshot))
            if held is None:
                raise LostRace(f"{record.snapshot} is unknown")
            self._records[record.dataset, record.snapshot] = record.model_copy(update={"again": held.again})

    def ask_again(self, dataset: str, snapshot: str, why: str) -> None:
        with self._lock:
            held = self._records.get((dataset, snapshot))
            if held is None or held.over:
                raise LostRace(f"{snapshot} is over")
            self._records[dataset, snapshot] = held.model_copy(update={"again": why})

    def running(self, dataset: str) -> SnapshotRecord | None:
        return self.record(dataset, self._running.get(dataset, ""))

    def newest(self, dataset: str) -> SnapshotRecord | None:
        return self.record(dataset, self._newest.get(dataset, ""))

    def record(self, dataset: str, snapshot: str) -> SnapshotRecord | None:
        return self._records.get((dataset, snapshot))

    def records(self, dataset: str) -> Iterator[SnapshotRecord]:
        found = sorted((one for one in self._records.values() if one.dataset == dataset), key=lambda one: one.snapshot)
        yield from reversed(found)

    def names(self) -> list[str]:
        return sorted(self._running)

    def log(self, change: Change, at: dt.datetime) -> None:
        self.logged[change.dataset, at, change.identity] = change

    def changes(self, dataset: str, since: dt.datetime) -> Iterator[Change]:
        with self._lock:
            found = [(at, one) for (name, at, _), one in self.logged.items() if name == dataset and at >= since]
        yield from (one for _, one in sorted(found, key=lambda pair: pair[0]))

    def put_restore(self, record: RestoreRecord) -> None:
        self._restores[record.dataset, record.restore] = record

    def restore(self, dataset: str, restore: str) -> RestoreRecord | None:
        return self._restores.get((dataset, restore))
