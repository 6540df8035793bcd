"""S3 Object Lock as AWS keeps it: multipart and default locks hold, COMPLIANCE only ever grows, suspending is refused.

Restores: a COMPLIANCE retention can be neither shortened nor changed in mode, a GOVERNANCE one only with the bypass
header; CreateMultipartUpload's lock headers and the bucket's default retention reach the completed object; versioning
of a locked bucket cannot be suspended; lock headers on a bucket without Object Lock are refused; GetObjectRetention
answers.
"""

import threading
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.s3.exceptions import MissingKey, S3ClientError
from moto.s3.models import FakeBucket, FakeKey, S3Backend
from moto.s3.responses import S3Response

from localcloud.patches import Patches

MODE, UNTIL, HOLD = "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold"
CREATING = threading.Lock()
PROTECTED = "Access Denied because object protected by object lock."
UNLOCKED = "The specified object does not have a ObjectLock configuration"
VERSIONING = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
PAST = "The retain until date must be in the future!"


def install(patches: Patches) -> None:
    """Put AWS's rules in place."""
    _keep_retention(patches)
    _keep_versioning(patches)
    _lock_multiparts(patches)
    _answer_retention(patches)
    _refuse_locks_without_object_lock(patches)


def until(text: str) -> datetime:
    """The moment at which a retention ends."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _keep_retention(patches: Patches) -> None:
    def put_object_retention(response: S3Response) -> Any:
        key = _key(response)
        mode, date = response._mode_until_from_body()
        bypass = str(response.headers.get("x-amz-bypass-governance-retention", "")).lower() == "true"
        if key.lock_mode and key.lock_until and not _may_change(key, mode, date, bypass=bypass):
            raise S3ClientError("AccessDenied", PROTECTED)
        if date and until(date) <= datetime.now(UTC):
            raise S3ClientError("InvalidArgument", PAST)
        return original(response)

    original = patches.replace(S3Response, "put_object_retention", put_object_retention)


def _may_change(key: FakeKey, mode: str | None, date: str | None, *, bypass: bool) -> bool:
    held = until(key.lock_until or "")
    if held <= datetime.now(UTC):
        return True
    extends = bool(date) and until(date or "") >= held
    if key.lock_mode == "COMPLIANCE":
        return mode == "COMPLIANCE" and extends
    return bypass or (extends and mode in ("GOVERNANCE", "COMPLIANCE"))


def _keep_versioning(patches: Patches) -> None:
    def put_bucket_versioning(backend: S3Backend, bucket_name: str, status: str) -> None:
        if status != "Enabled" and backend.get_bucket(bucket_name).object_lock_enabled:
            raise S3ClientError("InvalidBucketState", VERSIONING)
        original(backend, bucket_name, status)

    original = patches.replace(S3Backend, "put_bucket_versioning", put_bucket_versioning)


def _lock_multiparts(patches: Patches) -> None:
    def create(response: S3Response, *arguments: Any) -> Any:
        if "uploads" not in arguments[3]:
            return original_post(response, *arguments)
        with CREATING:
            answer = original_post(response, *arguments)
            bucket = response.backend.get_bucket(response.bucket_name)
            upload = list(bucket.multiparts.values())[-1]
            hold, mode, date = response._get_lock_details(bucket, bucket.object_lock_enabled)
            upload.locked = {"lock_mode": mode, "lock_until": date, "lock_legal_status": hold}  # type: ignore[attr-defined]
        return answer

    def complete(backend: S3Backend, bucket_name: str, multipart_id: str, body: Any) -> FakeKey | None:
        upload = backend.get_bucket(bucket_name).multiparts[multipart_id]
        key: FakeKey | None = original_complete(backend, bucket_name, multipart_id, body)
        if key is not None:
            vars(key).update(getattr(upload, "locked", {}))
        return key

    original_post = patches.replace(S3Response, "_key_response_post", create)
    original_complete = patches.replace(S3Backend, "complete_multipart_upload", complete)


def _answer_retention(patches: Patches) -> None:
    def get(response: S3Response, query: dict[str, Any], key_name: str) -> Any:
        if "retention" not in query:
            return original(response, query, key_name)
        key = _key(response)
        if not key.lock_mode:
            raise S3ClientError("NoSuchObjectLockConfiguration", UNLOCKED)
        response.data["Action"] = "GetObjectRetention"
        retention = {"Mode": key.lock_mode, "RetainUntilDate": until(key.lock_until or "")}
        return response.serialized(ActionResult({"Retention": retention}))

    original = patches.replace(S3Response, "_key_response_get", get)


def _refuse_locks_without_object_lock(patches: Patches) -> None:
    def details(response: S3Response, bucket: FakeBucket, lock_enabled: bool) -> Any:
        headers = response.headers
        if not lock_enabled and any(headers.get(name) for name in (MODE, UNTIL, HOLD)):
            raise S3ClientError("InvalidRequest", "Bucket is missing Object Lock Configuration")
        if bool(headers.get(MODE)) != bool(headers.get(UNTIL)):
            raise S3ClientError("InvalidRequest", f"{MODE} and {UNTIL} must both be supplied")
        if headers.get(UNTIL) and until(headers[UNTIL]) <= datetime.now(UTC):
            raise S3ClientError("InvalidArgument", PAST)
        return original(response, bucket, lock_enabled)

    original = patches.replace(S3Response, "_get_lock_details", details)


def _key(response: S3Response) -> FakeKey:
    key = response.backend.get_object(
        response.bucket_name, response.parse_key_name(), version_id=response._get_param("versionId")
    )
    if key is None:
        raise MissingKey(key=response.parse_key_name())
    return key
