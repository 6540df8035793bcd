"""The bytes of the vault's objects, one bounded range per request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from mldr.aws.pacing import PacedCalls
from mldr.aws.s3_wire import S3Wire
from mldr.errors import MissingArtifact
from mldr.sdk import code, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3VaultBytes:
    """Needs s3:GetObjectVersion on the vault and kms:Decrypt on its key."""

    def __init__(self, s3: S3Client, *, bucket: str) -> None:
        self._wire, self._bucket, self._calls = S3Wire(s3), bucket, PacedCalls()

    def piece(self, key: str, version_id: str, first: int, size: int) -> tuple[bytes, int]:
        return self._calls.once(lambda: self._range(key, version_id, first, size))

    def _range(self, key: str, version_id: str, first: int, size: int) -> tuple[bytes, int]:
        gone = MissingArtifact(f"{key} (version {version_id}) is not in the vault any more")
        missing = dict.fromkeys(("NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "_404", "_405"), gone)
        wanted = f"bytes={first}-{first + size - 1}"
        try:
            with translated(f"read {key} in the vault", **missing):
                stream = self._wire.get_object(self._bucket, key, VersionId=version_id, Range=wanted)
                with stream:
                    data = stream.read()
        except ClientError as error:
            if code(error) != "InvalidRange":
                raise
            return b"", 0  # an empty object has no byte that a range could name
        total = stream.head.headers.get("content-range", "").rpartition("/")[2]
        return data, int(total) if total.isdigit() else stream.head.size
