"""What is copied: how many objects of which size, and what becomes of them between two copies."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KIB, MIB, GIB = 1024, 1024**2, 1024**3
THREADS = 32
BLOCK = 8 * MIB


class Workload(NamedTuple):
    """Equal objects in one bucket; `changed` of them are written anew before the last copy."""

    name: str
    count: int
    size: int  # bytes
    changed: int

    def key(self, number: int) -> str:
        """Return the key of an object: a hundred in each folder."""
        return f"data/{number // 100:04d}/{number:06d}.bin"

    def keys(self) -> list[str]:
        """Return all keys, in order."""
        return [self.key(number) for number in range(self.count)]

    def rewritten(self, generation: int) -> list[str]:
        """Return the keys that are written anew in one generation, spread over the bucket."""
        step = max(1, self.count // self.changed)
        return [self.key((index * step + generation) % self.count) for index in range(self.changed)]


FULL = (
    Workload("1 x 1 GiB", 1, GIB, 1),
    Workload("100 x 10 MiB", 100, 10 * MIB, 1),
    Workload("10,000 x 10 KiB", 10_000, 10 * KIB, 100),
)
QUICK = (
    Workload("1 x 128 MiB", 1, 128 * MIB, 1),
    Workload("20 x 10 MiB", 20, 10 * MIB, 1),
    Workload("1,000 x 10 KiB", 1_000, 10 * KIB, 10),
)


def make_bucket(s3: S3Client, bucket: str, *, locked: bool = False) -> None:
    """Create a bucket that keeps versions; `locked` ones take Object Lock retentions."""
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=locked)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def write(s3: S3Client, bucket: str, keys: Iterable[str], size: int, generation: int) -> None:
    """Write objects of one size; another generation gives other bytes. One request for each, so that ETags are MD5s."""
    with ThreadPoolExecutor(THREADS if size < BLOCK else 2) as pool:
        list(pool.map(lambda key: _put(s3, bucket, key, size, f"{generation}/{key}"), keys))


def _put(s3: S3Client, bucket: str, key: str, size: int, seed: str) -> None:
    source = random.Random(seed)
    if size <= BLOCK:
        s3.put_object(Bucket=bucket, Key=key, Body=source.randbytes(size))
        return
    block = source.randbytes(BLOCK)
    with tempfile.TemporaryFile() as file:
        for number in range(0, size, BLOCK):
            file.write(number.to_bytes(8, "big") + block[8 : min(BLOCK, size - number)])
        file.seek(0)
        s3.put_object(Bucket=bucket, Key=key, Body=file)


def settle() -> None:
    """Wait until what was written is older than the second that the next snapshot is of."""
    time.sleep(1.0)


def contents(s3: S3Client, bucket: str) -> dict[str, tuple[int, str]]:
    """Return size and ETag of everything in a bucket, by key."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {item["Key"]: (item["Size"], item["ETag"]) for page in pages for item in page.get("Contents", [])}
