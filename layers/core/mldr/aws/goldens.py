"""Golden inferences of this region, the first line of each file: what the gateway asks an endpoint."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from mldr.domain.golden import GoldenInference, parse_golden
from mldr.errors import BadGolden, MissingArtifact
from mldr.sdk import code, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FRESH = 300.0  # seconds for which a file is not read again
LONGEST = 256 * 1024  # bytes of the first line: a request that a checker can wait for is small


class S3Goldens:
    """Needs s3:GetObject, or s3:GetObjectVersion for a pinned one, and kms:Decrypt where the files are encrypted."""

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3
        self._held: dict[tuple[str, str | None], tuple[float, GoldenInference]] = {}

    def first(self, uri: str, version_id: str | None = None) -> GoldenInference:
        at, held = self._held.get((uri, version_id), (0.0, None))
        if held is None or time.monotonic() - at > FRESH:
            held = self._read(uri, version_id)
            self._held[uri, version_id] = (time.monotonic(), held)
        return held

    def _read(self, uri: str, version_id: str | None) -> GoldenInference:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        gone = MissingArtifact(f"the golden inferences {uri} do not exist in this region; upload them")
        pinned = {"VersionId": version_id} if version_id else {}
        try:
            with translated(f"read {uri}", NoSuchKey=gone, NoSuchBucket=gone, NoSuchVersion=gone):
                answer = self._s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{LONGEST - 1}", **pinned)  # type: ignore[arg-type]
                content = answer["Body"].read()
        except ClientError as error:
            if code(error) != "InvalidRange":
                raise
            content = b""
        lines = [line for line in content.splitlines(keepends=True) if line.strip()]
        if lines and len(content) == LONGEST and not lines[0].endswith(b"\n"):
            raise BadGolden(f"the first line of {uri} is longer than {LONGEST} bytes; put a smaller one first")
        return parse_golden(lines[0] if lines else b"")[0]
