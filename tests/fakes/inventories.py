"""What S3 Inventory would write of a bucket, as AWS documents it: gzipped CSV files, a manifest and its checksum."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import io
import json
import random
from typing import Any
from urllib.parse import quote_plus

from tests.fakes.objects import Buckets, Version

SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, ChecksumAlgorithm"
PLACE = "photos/all/"


def rows_of(buckets: Buckets, bucket: str) -> list[list[str]]:
    """Return a line for every version of a bucket, in no order."""
    rows = [
        _row(bucket, key, version, latest=version is versions[-1])
        for key in buckets.names(bucket, "")
        for versions in [buckets.all(bucket, key)]
        for version in versions
    ]
    random.Random(1).shuffle(rows)
    return rows


def _row(bucket: str, key: str, version: Version, *, latest: bool) -> list[str]:
    return [
        bucket,
        quote_plus(key, safe="/"),
        "" if version.version_id == "null" else version.version_id,
        str(latest).lower(),
        str(version.body is None).lower(),
        str(len(version.body or b"")),
        f"{dt.datetime.fromtimestamp(version.modified / 1e6, dt.UTC):%Y-%m-%dT%H:%M:%S.000Z}",
        "etag",
        "CRC64NVME",
    ]


def write_inventory(
    buckets: Buckets, begun_at: dt.datetime, rows: list[list[str]], *, files: int = 3, **manifest: Any
) -> str:
    """Write an inventory of the bucket photos into the bucket reports; returns the key of its manifest."""
    if not buckets.has("reports"):
        buckets.make("reports")
    written = []
    for number in range(files):
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows[number::files])
        content = gzip.compress(text.getvalue().encode())
        key = f"{PLACE}data/{begun_at:%d%H%M}-{number}.csv.gz"
        buckets.put("reports", key, content)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        written.append({"key": key, "size": len(content), "MD5checksum": md5})
    said = {
        "sourceBucket": "photos",
        "destinationBucket": "arn:aws:s3:::reports",
        "version": "2016-11-30",
        "creationTimestamp": str(int(begun_at.timestamp() * 1000)),
        "fileFormat": "CSV",
        "fileSchema": SCHEMA,
        "files": written,
        **manifest,
    }
    content = json.dumps(said).encode()
    folder = f"{PLACE}{begun_at:%Y-%m-%dT%H-%MZ}/"
    buckets.put("reports", f"{folder}manifest.json", content)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    buckets.put("reports", f"{folder}manifest.checksum", md5.encode())
    return f"{folder}manifest.json"
