"""S3 preconditions as AWS keeps them, and copies into locked buckets.

Restores: CopyObject honours x-amz-copy-source-if-*, and If-Match and If-None-Match on its target; a delete marker is
no source; of two conditional writes at once only one wins; a copy into a bucket with default retention needs no
Content-MD5.
"""

import threading
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.s3.exceptions import MissingKey, MissingVersion, PreconditionFailed, S3ClientError
from moto.s3.models import FakeDeleteMarker, FakeKey
from moto.s3.responses import S3Response

from localcloud.patches import Patches

CONDITIONAL = threading.RLock()
SOURCE_IF = "x-amz-copy-source-if-"
MARKER = "The source of a copy request may not specifically refer to a delete marker by version id."


def install(patches: Patches) -> None:
    """Put AWS's rules in place."""

    def copy(response: S3Response) -> Any:
        with CONDITIONAL:
            checked_source(response)
            _check_target(response)
            return original_copy(response)

    def put(response: S3Response, query: dict[str, Any], key_name: str) -> Any:
        if "x-amz-copy-source" in response.headers and not query.get("uploadId"):
            response._set_action("KEY", "PUT", query)
            return response.copy_object()
        with CONDITIONAL if _is_conditional(response) else threading.Lock():
            return original_put(response, query, key_name)

    def post(response: S3Response, *arguments: Any) -> Any:
        with CONDITIONAL if _is_conditional(response) else threading.Lock():
            return original_post(response, *arguments)

    original_copy = patches.replace(S3Response, "copy_object", copy)
    original_put = patches.replace(S3Response, "_key_response_put", put)
    original_post = patches.replace(S3Response, "_key_response_post", post)


def _is_conditional(response: S3Response) -> bool:
    return bool(response.headers.get("If-Match") or response.headers.get("If-None-Match"))


def _check_target(response: S3Response) -> None:
    existing = response.backend.get_object(response.bucket_name, response.parse_key_name())
    if response.headers.get("If-None-Match") == "*" and existing is not None:
        raise PreconditionFailed("If-None-Match")
    wanted = response.headers.get("If-Match")
    if wanted and (existing is None or not _same(wanted, existing)):
        raise PreconditionFailed("If-Match")


def checked_source(response: S3Response) -> FakeKey:
    """What a copy reads; raises as S3 does when it is not there, is a delete marker, or fails a precondition."""
    headers, source = response.headers, _source(response)
    match, none_match = headers.get(f"{SOURCE_IF}match"), headers.get(f"{SOURCE_IF}none-match")
    since, before = headers.get(f"{SOURCE_IF}modified-since"), headers.get(f"{SOURCE_IF}unmodified-since")
    if match and not _same(match, source):
        raise PreconditionFailed("x-amz-copy-source-If-Match")
    if none_match and _same(none_match, source):
        raise PreconditionFailed("x-amz-copy-source-If-None-Match")
    changed = source.last_modified.replace(microsecond=0)
    if since and changed <= _moment(since):
        raise PreconditionFailed("x-amz-copy-source-If-Modified-Since")
    # AWS lets a matching ETag win over the date.
    if before and not match and changed > _moment(before):
        raise PreconditionFailed("x-amz-copy-source-If-Unmodified-Since")
    return source


def _source(response: S3Response) -> FakeKey:
    path, _, query = str(response.headers["x-amz-copy-source"]).partition("?")
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    version = parse_qs(query).get("versionId", [None])[0]
    found = response.backend.get_object(bucket, key, version_id=version, return_delete_marker=True)
    if isinstance(found, FakeKey):
        return found
    if version and isinstance(found, FakeDeleteMarker):
        raise S3ClientError("InvalidRequest", MARKER)
    raise MissingVersion() if version else MissingKey(key=key)


def _same(etag: str, key: FakeKey) -> bool:
    return etag.strip('"') == key.etag.strip('"')


def _moment(header: str) -> datetime:
    return parsedate_to_datetime(header).replace(tzinfo=None)
