"""The race: snapshots of one dataset, first, unchanged and with 1 % changed, on one S3 server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.copy.workloads import make_bucket, settle
from bench.engine import Engine
from bench.processes import ProgramFailed, Usage
from bench.results import Results
from bench.server import Server
from bench.snapshots import dataset as data
from bench.snapshots.contestants import Contestant, Dvc, Restic
from bench.tools import NotInstalled, install_restic

FIRST, UNCHANGED, CHANGED, VERIFY = "first snapshot", "nothing changed", "1 % changed", "verified"
TOLD = ", told by events"
DOWNLOAD = "download (s5cmd sync)"
BUCKET, PREFIX = "dataset", "images/"


def run(server: Server, results: Results, *, quick: bool) -> None:
    """Race over one dataset; a contestant that is done already is skipped."""
    install_restic()
    dataset = data.QUICK if quick else data.FULL
    results.document["dataset"] = {"files": dataset.files, "size": dataset.size}
    with tempfile.TemporaryDirectory(prefix="mldr-bench-", dir=server.scratch) as folder:
        race = Race(server, dataset, Path(folder), results)
        race.prepare()
        race.mldr()
        race.peer(Restic, dataset)
        race.peer(Dvc, dataset.tenth)


class Race:
    """One dataset: files in a folder, the same in a bucket."""

    def __init__(self, server: Server, dataset: data.Dataset, folder: Path, results: Results) -> None:
        self._server, self._dataset, self._folder, self._results = server, dataset, folder, results
        self._s3 = server.place.client()
        self._files = folder / "files"

    def prepare(self) -> None:
        """Write the dataset, and the bucket that mldr reads."""
        self._files.mkdir()
        data.write(self._dataset, self._files)
        make_bucket(self._s3, BUCKET)
        if not self._results.done("mldr"):
            data.upload(self._server.place, self._files, BUCKET, PREFIX)
            settle()

    def mldr(self) -> None:
        """Snapshots from the bucket, by listing and by events; then what a download would have taken."""
        if not self._results.done("mldr"):
            make_bucket(self._s3, "snapshots-mldr", locked=True)
            try:
                self._results.add("mldr", list(self._mldr()))
            except ProgramFailed as failed:
                self._results.problem(f"mldr: {failed}")
        if not self._results.done("download"):
            try:
                self._results.add("download", list(self._download()))
            except NotInstalled as missing:
                self._results.problem(f"{missing} is not installed: the download's row is missing")

    def _mldr(self) -> Iterator[dict[str, Any]]:
        engine = Engine(self._server.place)
        uri, vault = f"s3://{BUCKET}/{PREFIX}", "snapshots-mldr"
        yield from self._both(FIRST, "", lambda: engine.snapshot(uri, vault))
        yield from self._both(UNCHANGED, "", lambda: engine.snapshot(uri, vault))
        yield from self._both(UNCHANGED, TOLD, lambda: engine.snapshot(uri, vault, []))
        self._change("listed")
        yield from self._both(CHANGED, "", lambda: engine.snapshot(uri, vault))
        names = self._change("told")
        yield from self._both(CHANGED, TOLD, lambda: engine.snapshot(uri, vault, names))

    def _download(self) -> Iterator[dict[str, Any]]:
        target, tenth, place = self._folder / "download", self._dataset.tenth, self._server.place
        target.mkdir()
        yield self._measured(FIRST, DOWNLOAD, lambda: data.download(place, target, BUCKET, PREFIX + data.TENTH), tenth)
        shutil.rmtree(target)

    def _change(self, generation: str) -> list[str]:
        names = data.change(self._dataset, self._files, generation)
        data.upload(self._server.place, self._files, BUCKET, PREFIX, names)
        settle()
        return names

    def _both(self, phase: str, suffix: str, work: Callable[[], tuple[Usage, Usage]]) -> Iterator[dict[str, Any]]:
        mark = self._server.mark()
        whole, ready = work()
        requests = dict(self._server.requests(mark))
        yield _sample(phase, f"mldr{suffix}", whole, requests, self._dataset)
        yield _sample(phase, f"mldr, warm{suffix}", ready, requests, self._dataset)

    def peer(self, make: type[Restic] | type[Dvc], dataset: data.Dataset) -> None:
        """Snapshots of the folder by one peer; what cannot be had or fails is noted."""
        name = make.name
        if self._results.done(name):
            return
        own = self._folder / name
        own.mkdir()
        try:
            contestant: Contestant = make(self._server.place, own)
            self._results.add(name, list(self._peer(contestant, dataset)))
        except NotInstalled:
            self._results.problem(f"{name} is not installed: its rows are missing")
        except ProgramFailed as failed:
            self._results.problem(f"{name}: {failed}")

    def _peer(self, contestant: Contestant, dataset: data.Dataset) -> Iterator[dict[str, Any]]:
        bucket = f"snapshots-{contestant.name}"
        self._s3.create_bucket(Bucket=bucket)
        files = self._files
        if dataset != self._dataset:
            files = self._folder / f"files-{contestant.name}"
            files.mkdir()
            data.write(dataset, files)
        files = contestant.prepare(files, bucket)
        yield self._measured(FIRST, contestant.name, contestant.snapshot, dataset)
        yield self._measured(UNCHANGED, contestant.name, contestant.snapshot, dataset)
        data.change(dataset, files, contestant.name)
        yield self._measured(CHANGED, contestant.name, contestant.snapshot, dataset)
        yield self._measured(VERIFY, contestant.name, contestant.verify, dataset)

    def _measured(self, phase: str, name: str, work: Callable[[], Usage], dataset: data.Dataset) -> dict[str, Any]:
        mark = self._server.mark()
        usage = work()
        return _sample(phase, name, usage, dict(self._server.requests(mark)), dataset)


def _sample(phase: str, name: str, usage: Usage, requests: dict[str, int], dataset: data.Dataset) -> dict[str, Any]:
    return {
        "phase": phase,
        "contestant": name,
        "files": dataset.files,
        "seconds": round(usage.seconds, 3),
        "cpu": round(usage.cpu, 3),
        "peak_mib": round(usage.peak_mib, 1),
        "requests": sum(requests.values()),
        "kinds": requests,
    }
