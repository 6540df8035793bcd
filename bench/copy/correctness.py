"""What a copy loses: the same awkward objects through every contestant, and a look at what arrived."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from bench.copy.contestants import PEERS, Contestant
from bench.copy.mldr import Mldr
from bench.copy.workloads import MIB, make_bucket, settle
from bench.processes import ProgramFailed
from bench.results import Results
from bench.server import Server
from bench.tools import NotInstalled

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEPT, LOST, UNNOTICED, BY_BUCKET = "kept", "lost", "not noticed", "kept by the bucket's versions"
SOURCE = "awkward-source"
SMALL, LARGE = "plain/model.bin", "large/weights.bin"
OVERWRITTEN, DELETED, TWICE, LOCKED = (
    "plain/overwritten.bin",
    "plain/deleted.bin",
    "plain/twice.bin",
    "plain/locked.bin",
)
ODD = {
    "empty key that ends in /": "folder/",
    "key that ends in /, with bytes": "folder/bytes/",
    "key with unicode": "odd/größe-模型-é.bin",
    "key with a space": "odd/a b.bin",
    "key with +": "odd/a+b.bin",
    "key with %": "odd/100%25.bin",
    "key with //": "odd//double.bin",
    "key of 1,000 bytes": "odd/" + "k" * 496 + "/" + "k" * 499,
    "empty object": "odd/empty.bin",
}
DRESS: dict[str, Any] = {"Metadata": {"trained-by": "bench"}, "ContentType": "application/x-model"}
TAGS = {"stage": "production"}


class Look(NamedTuple):
    """What one contestant's destination is asked with."""

    s3: S3Client
    contestant: Contestant
    destination: str

    def head(self, key: str) -> Mapping[str, Any] | None:
        """Return the copy of a source key as S3 describes it, or None when there is none."""
        place = self.contestant.locate(self.s3, self.destination, key)
        try:
            return self.s3.head_object(Bucket=self.destination, **place) if place else None
        except ClientError:
            return None

    def read(self, key: str) -> bytes | None:
        """Return the bytes of the copy, or None."""
        place = self.contestant.locate(self.s3, self.destination, key)
        try:
            return self.s3.get_object(Bucket=self.destination, **place)["Body"].read() if place else None
        except ClientError:
            return None

    def tags(self, key: str) -> dict[str, str]:
        """Return the tags of the copy."""
        place = self.contestant.locate(self.s3, self.destination, key)
        try:
            found = self.s3.get_object_tagging(Bucket=self.destination, **place)["TagSet"] if place else []
        except ClientError:
            return {}
        return {tag["Key"]: tag["Value"] for tag in found}

    def locked(self, key: str) -> bool:
        """Return whether the server keeps the copy for some time: whether it refuses to delete that version."""
        place = self.contestant.locate(self.s3, self.destination, key)
        described = self.head(key)
        if not place or not described:
            return False
        version = {"VersionId": described["VersionId"]}
        try:
            self.s3.delete_object(Bucket=self.destination, Key=place["Key"], **version)
        except ClientError:
            return True
        return False


def run(server: Server, results: Results) -> None:
    """Try every contestant, with what it is told to do in the race."""
    s3 = server.place.client()
    for make in (Mldr, *PEERS):
        with tempfile.TemporaryDirectory() as folder:
            try:
                contestant: Contestant = make(server.place, Path(folder))
            except NotInstalled as missing:
                results.problem(f"{missing} is not installed: its rows are missing")
                continue
            if not results.done(contestant.name):
                results.add(contestant.name, [_tried(s3, contestant)])


def _tried(s3: S3Client, contestant: Contestant) -> dict[str, Any]:
    letters = "".join(char for char in contestant.name if char.isalnum())
    source, destination = f"{SOURCE}-{letters}", f"awkward-{letters}"
    make_bucket(s3, source, locked=True)
    make_bucket(s3, destination, locked=True)
    _fill(s3, source)
    settle()
    look = Look(s3, contestant, destination)
    words: dict[str, str] = {"said": ""}
    _copy(contestant.first, source, destination, words)
    verdicts = _dressed(look) | {name: _same(look, key, _body(key)) for name, key in ODD.items()}
    before = _first_version(look)
    _spoil(s3, look, source)
    settle()
    _copy(contestant.again, source, destination, words)
    verdicts |= _after(look, before)
    verdicts["retention that the source had"] = _verdict(look.locked(LOCKED))
    verdicts["locked against deletion"] = _verdict(look.locked(SMALL))
    return {"contestant": contestant.name, "verdicts": verdicts, "said": words["said"][-2000:]}


def _copy(work: Callable[[str, str], Any], source: str, destination: str, words: dict[str, str]) -> None:
    """Copy; a program that fails part of the way is judged by what arrived, and its words are kept."""
    try:
        work(source, destination)
    except ProgramFailed as failed:
        words["said"] += f"{failed}\n"


def _fill(s3: S3Client, source: str) -> None:
    for key in (SMALL, LARGE):
        s3.put_object(Bucket=source, Key=key, Body=_body(key), Tagging="stage=production", **DRESS)
    for key in (OVERWRITTEN, DELETED, TWICE, *ODD.values()):
        s3.put_object(Bucket=source, Key=key, Body=_body(key))
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    put = s3.put_object(Bucket=source, Key=LOCKED, Body=_body(LOCKED))
    lock: Any = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    s3.put_object_retention(Bucket=source, Key=LOCKED, VersionId=put["VersionId"], Retention=lock)


def _body(key: str) -> bytes:
    if key in ("folder/", "odd/empty.bin"):
        return b""
    return (key.encode() * (24 * MIB // len(key.encode()) + 1))[: 24 * MIB if key == LARGE else 2000]


def _dressed(look: Look) -> dict[str, str]:
    verdicts: dict[str, str] = {}
    for size, key in (("small", SMALL), ("24 MiB", LARGE)):
        found = look.head(key) or {}
        verdicts[f"bytes, {size}"] = _same(look, key, _body(key))
        verdicts[f"user metadata, {size}"] = _verdict(DRESS["Metadata"].items() <= found.get("Metadata", {}).items())
        verdicts[f"content type, {size}"] = _verdict(found.get("ContentType") == DRESS["ContentType"])
        verdicts[f"tags, {size}"] = _verdict(look.tags(key) == TAGS)
    return verdicts


def _verdict(holds: bool) -> str:
    return KEPT if holds else LOST


def _same(look: Look, key: str, body: bytes) -> str:
    return _verdict(look.read(key) == body)


def _first_version(look: Look) -> dict[str, Any] | None:
    """Return where the copy of an object is that will be written again."""
    found, place = look.head(TWICE), look.contestant.locate(look.s3, look.destination, TWICE)
    return {"Key": place["Key"], "VersionId": found["VersionId"]} if place and found else None


def _spoil(s3: S3Client, look: Look, source: str) -> None:
    """Put wrong bytes of the same size in place of a copy; write one source object again, and delete another."""
    place = look.contestant.locate(s3, look.destination, OVERWRITTEN)
    if place:
        s3.put_object(Bucket=look.destination, Key=place["Key"], Body=b"?" * len(_body(OVERWRITTEN)))
    s3.put_object(Bucket=source, Key=TWICE, Body=b"second")
    s3.delete_object(Bucket=source, Key=DELETED)


def _after(look: Look, before: Mapping[str, Any] | None) -> dict[str, str]:
    overwritten = _same(look, OVERWRITTEN, _body(OVERWRITTEN))
    return {
        "copy overwritten with wrong bytes of the same size": KEPT if overwritten == KEPT else UNNOTICED,
        "new version of an object": _same(look, TWICE, b"second"),
        "old version of an object": _old_version(look, before),
        "copy of an object that was deleted at the source": _verdict(
            look.contestant.remembers(look.s3, look.destination, DELETED)
        ),
    }


def _old_version(look: Look, before: Mapping[str, Any] | None) -> str:
    """Return whether the bytes before the change can still be had, and who sees to it."""
    if before is None:
        return LOST
    try:
        old = look.s3.get_object(Bucket=look.destination, **before)["Body"].read()
    except ClientError:
        return LOST
    if old != _body(TWICE):
        return LOST
    return KEPT if look.contestant.names_versions else BY_BUCKET
