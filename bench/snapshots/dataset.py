"""The dataset: small files in a folder, and the same as objects in a bucket."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from bench import tools
from bench.processes import Usage, run
from bench.server import Place

FOLDERS = 100
TENTH = "000"  # what the names of the first tenth begin with
THREADS = 32


class Dataset(NamedTuple):
    """How many files of which size; one in a hundred is written anew before the last snapshot."""

    files: int
    size: int  # bytes

    def name(self, number: int) -> str:
        """Return a file's name within the dataset."""
        return f"{number * FOLDERS // self.files:04d}/{number:06d}.json"

    @property
    def tenth(self) -> Dataset:
        """Return a dataset of a tenth of the files, for what would take longer than all the rest together."""
        return self._replace(files=self.files // 10)

    def changed(self) -> list[str]:
        """Return the names that are written anew: one in a hundred, all over the folders."""
        return [self.name(number) for number in range(0, self.files, 100)]


FULL = Dataset(100_000, 1024)
QUICK = Dataset(2_000, 1024)


def write(dataset: Dataset, folder: Path) -> None:
    """Write all files of the dataset."""
    for number in range(FOLDERS):
        (folder / f"{number:04d}").mkdir(parents=True, exist_ok=True)
    _fill(folder, [dataset.name(number) for number in range(dataset.files)], dataset.size, "first")


def change(dataset: Dataset, folder: Path, generation: str) -> list[str]:
    """Write one file in a hundred anew and return their names; another generation gives other bytes."""
    _fill(folder, dataset.changed(), dataset.size, generation)
    return dataset.changed()


def _fill(folder: Path, names: list[str], size: int, generation: str) -> None:
    source = random.Random(f"{generation}/{len(names)}")
    for name in names:
        (folder / name).write_bytes(source.randbytes(size))


def download(place: Place, folder: Path, bucket: str, prefix: str) -> Usage:
    """Bring a folder up to date with the bucket: what a program that reads files has to wait for.

    Raises NotInstalled: s5cmd does it.
    """
    s5cmd = [tools.find("s5cmd"), "--endpoint-url", place.endpoint, "--log", "error"]
    return run([*s5cmd, "sync", f"s3://{bucket}/{prefix}*", f"{folder}/"], env=place.environment)


def upload(place: Place, folder: Path, bucket: str, prefix: str, names: list[str] | None = None) -> None:
    """Put the folder, or some of its files, into a bucket: by s5cmd, which takes a third of the time, where it is."""
    try:
        s5cmd = [tools.find("s5cmd"), "--endpoint-url", place.endpoint, "--log", "error"]
    except tools.NotInstalled:
        _put(place, folder, bucket, prefix, names or [str(path.relative_to(folder)) for path in folder.rglob("*.json")])
        return
    target = f"s3://{bucket}/{prefix}"
    if names is None:
        run([*s5cmd, "cp", f"{folder}/", target], env=place.environment)
        return
    commands = folder.parent / "upload.txt"
    commands.write_text("".join(f"cp {folder / name} {target}{name}\n" for name in names))
    run([*s5cmd, "run", commands], env=place.environment)


def _put(place: Place, folder: Path, bucket: str, prefix: str, names: list[str]) -> None:
    s3 = place.client()

    def put(name: str) -> None:
        s3.put_object(Bucket=bucket, Key=prefix + name, Body=(folder / name).read_bytes())

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, names))
