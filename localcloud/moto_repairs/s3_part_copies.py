"""UploadPartCopy as AWS does it: honest about its source and range, and with a checksum of the part.

Restores: x-amz-copy-source-if-*; NoSuchKey, NoSuchVersion and NoSuchUpload; a range must lie within the source, and
only a source of more than 5 MiB may be copied by range; CopyPartResult has the part's checksum; only the range is
read. https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
"""

from __future__ import annotations

import re
from typing import Any

from moto.core.responses import ActionResult
from moto.s3.exceptions import InvalidMaxPartNumberArgument, S3ClientError
from moto.s3.models import FakeKey
from moto.s3.responses import S3Response

from localcloud.moto_repairs.s3_copies import checked_source
from localcloud.moto_repairs.s3_multiparts import keep_checksum, upload_of
from localcloud.patches import Patches

LARGEST_PART = 10_000
WITHOUT_RANGE = 5 * 1024 * 1024


def install(patches: Patches) -> None:
    """Put AWS's rules in place."""
    patches.replace(S3Response, "upload_part_copy", _upload_part_copy)


def _upload_part_copy(response: S3Response) -> Any:
    number = response._get_int_param("partNumber")
    if not 1 <= number <= LARGEST_PART:
        raise InvalidMaxPartNumberArgument(number)
    upload, source = upload_of(response), checked_source(response)
    first, last = _range(response.headers.get("x-amz-copy-source-range"), source.size)
    part = upload.set_part(number, _read(source, first, last))
    result = {"ETag": part.etag, "LastModified": part.last_modified_ISO8601, **keep_checksum(upload, part)}
    response.data["Action"] = "UploadPartCopy"
    status, headers, body = response.serialized(ActionResult({"CopyPartResult": result}))
    pinned = {} if source.version_id == "null" else {"x-amz-copy-source-version-id": source.version_id}
    kept = {name: value for name, value in part.response_dict.items() if name.startswith("x-amz-server-side")}
    return status, {**headers, **pinned, **kept}, body


def _range(asked: str | None, size: int) -> tuple[int, int]:
    if not asked:
        return 0, size - 1
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
    if match is None or int(match[1]) > int(match[2]):
        text = "The x-amz-copy-source-range value must be of the form bytes=first-last"
        raise S3ClientError("InvalidArgument", text)
    if size <= WITHOUT_RANGE:
        text = "The specified copy source is not supported as a byte-range copy source"
        raise S3ClientError("InvalidRequest", text)
    if int(match[2]) >= size:
        raise S3ClientError("InvalidArgument", f"Range specified is not valid for source object of size: {size}")
    return int(match[1]), int(match[2])


def _read(source: FakeKey, first: int, last: int) -> bytes:
    with source.lock:
        source._value_buffer.seek(first)
        return source._value_buffer.read(last - first + 1)
