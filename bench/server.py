"""The S3 server that every contestant copies on: Ceph's radosgw on bluestore, whose access log counts the requests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import boto3
from botocore.config import Config

from localcloud.real.install import install
from localcloud.real.radosgw import Radosgw

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Level 1 of the gateway's log holds one line for each request.
ACCESS_LOG = "--debug-rgw=1"
REQUEST = re.compile(rb'beast: \S+ \S+ - \S+ \[[^\]]*\] "([A-Z]+) (\S+) ')
MEMORY, DISK = Path("/dev/shm"), Path("/var/tmp")  # noqa: S108  a folder of our own is made within
SIZE = 16 * 1024**3  # bytes that the server may hold in memory; what was removed is free again only some time later
ROOM = SIZE + 3 * 1024**3  # and the programs
LOG_PAUSE = 0.05  # seconds: a log that has not grown for so long is complete
CONFIG = Config(
    s3={"addressing_style": "path"},
    max_pool_connections=64,
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    retries={"mode": "standard", "max_attempts": 5},
)


class Place(NamedTuple):
    """How to reach a server: everything that a contestant's own process needs to know."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str
    key_id: str  # of a KMS key that the server knows

    @property
    def environment(self) -> dict[str, str]:
        """Return what AWS's SDKs read."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> S3Client:
        """Return an S3 client, to prepare and to check with."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=CONFIG,
        )


@dataclass(frozen=True)
class Server:
    """A running server and its access log."""

    place: Place
    log: Path
    environment: Mapping[str, str]  # for Ceph's own tools
    collect_garbage: Callable[[], None]
    scratch: Path  # where other files of a measurement belong, for the same reason as the server's own
    storage: str  # where the server's data is, for the record

    def remove_bucket(self, bucket: str) -> None:
        """Remove a bucket with all versions, locked ones too: the administrator of the disk can.

        Never with --bypass-gc: it takes the data away from the source that shares it.
        """
        command = ["radosgw-admin", "bucket", "rm", "--bucket", bucket, "--purge-objects"]
        subprocess.run(command, env=dict(self.environment), capture_output=True, check=True)

    def forget_old_versions(self, bucket: str) -> None:
        """Delete what is not the newest version of anything in a bucket without locks."""
        s3 = self.place.client()
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for one in page.get("Versions", []):
                if not one["IsLatest"]:
                    s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])

    def mark(self) -> int:
        """Return where the log ends, once it has come to rest."""
        size = -1
        while size != (now := self.log.stat().st_size):
            size = now
            time.sleep(LOG_PAUSE)
        return size

    def requests(self, since: int) -> Counter[str]:
        """Return the requests after a mark, by kind."""
        self.mark()
        with self.log.open("rb") as log:
            log.seek(since)
            return Counter(kind(*found.groups()) for line in log if (found := REQUEST.search(line)))


@contextmanager
def started() -> Iterator[Server]:
    """Yield a server that lives as long as the block; it is installed first where that is possible."""
    install("radosgw")
    os.environ["CEPH_ARGS"] = ACCESS_LOG
    # In memory where there is room: a disk that is slow, and shared, decides over all rows otherwise.
    scratch = MEMORY if _room() >= ROOM else DISK
    in_memory = scratch is MEMORY
    storage = "bluestore on a file in memory: no disk in the figures" if in_memory else "bluestore on a disk"
    with tempfile.TemporaryDirectory(prefix="mldr-bench-", dir=scratch) as folder:
        directory = Path(folder)
        with Radosgw.started(directory, **({"size": SIZE} if in_memory else {})) as gateway:
            place = Place(gateway.endpoint_url, gateway.access_key, gateway.secret_key, gateway.region, gateway.key_id)
            log = directory / "log" / "client.rgw.a.log"
            yield Server(place, log, gateway.environment, gateway.collect_garbage, scratch, storage)


def _room() -> int:
    """Return how many bytes a file in memory may take here."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return 0
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return min(shutil.disk_usage(MEMORY).free, int(found[1]) * 1024 if found else 0)


def kind(method: bytes, target: bytes) -> str:
    """Return what a request is, by its method and target."""
    path, _, query = target.partition(b"?")
    if b"partNumber=" in query:
        return "part"
    if method == b"GET" and b"/" not in path.strip(b"/"):
        return "list"
    return method.decode().lower()
