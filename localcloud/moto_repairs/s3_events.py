"""S3's events for EventBridge as AWS sends them: to the default bus of the bucket's region, once, in their own shape.

Restores: a unique id and a growing sequencer; `etag`, not `eTag`; the API's name as the reason; version ids only where
there are versions; delete markers and DeleteObjects are told, too. Nothing but "Object Created" and "Object Deleted"
is sent: moto tells of tags with every upload, of a PutObject with every multipart upload, and tells custom buses.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from moto.s3 import notifications
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend
from moto.s3.notifications import S3NotificationEvent
from moto.s3.responses import S3Response

from localcloud.patches import Patches

Emit = Callable[[str, dict[str, Any]], None]
REASONS = {
    S3NotificationEvent.OBJECT_CREATED_PUT_EVENT: "PutObject",
    S3NotificationEvent.OBJECT_CREATED_POST_EVENT: "POST Object",
    S3NotificationEvent.OBJECT_CREATED_COPY_EVENT: "CopyObject",
    S3NotificationEvent.OBJECT_CREATED_COMPLETE_MULTIPART_UPLOAD_EVENT: "CompleteMultipartUpload",
}
EMPTY = "d41d8cd98f00b204e9800998ecf8427e"
MARKER, FOREVER = "Delete Marker Created", "Permanently Deleted"
Version = FakeKey | FakeDeleteMarker


class S3Events:
    """Sends events for the buckets that ask for them."""

    def __init__(self, account: str, emit: Emit) -> None:
        self._account, self._emit = account, emit
        self._sequence = itertools.count(time.time_ns())
        self._told: ContextVar[list[tuple[str, dict[str, Any]]] | None] = ContextVar("told", default=None)
        self._address: ContextVar[str] = ContextVar("address", default="127.0.0.1")
        self._patches = Patches()

    def start(self) -> None:
        """Take over from moto."""
        self._patches.replace(notifications, "_send_event_bridge_message", self._created)
        self._tell_deletions()
        for name in ("bucket_response", "key_response"):
            self._tell_after(name)

    def stop(self) -> None:
        """Restore moto."""
        self._patches.undo()

    def _tell_after(self, name: str) -> None:
        """Events leave when the request is over: who reads the object then finds it whole, with tags and checksum."""

        def respond(response: S3Response, request: Any, full_url: str, headers: Any) -> Any:
            told: list[tuple[str, dict[str, Any]]] = []
            self._address.set(getattr(request, "remote_addr", None) or "127.0.0.1")
            token = self._told.set(told)
            try:
                return original(response, request, full_url, headers)
            finally:
                self._told.reset(token)
                for region, event in told:
                    self._emit(region, event)

        original = self._patches.replace(S3Response, name, respond)

    def _created(self, account: str, bucket: FakeBucket, event_name: S3NotificationEvent, key: Any) -> None:
        reason = REASONS.get(event_name)
        if reason is None or (reason == "PutObject" and key.multipart):
            return
        named = {"key": key.name, "size": key.size, "etag": key.etag.strip('"')}
        self._tell(bucket, "Object Created", named, key, {"reason": reason})

    def _tell_deletions(self) -> None:
        def delete(
            backend: S3Backend, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
        ) -> Any:
            bucket = backend.get_bucket(bucket_name)
            before: list[Version] = list(bucket.keys.getlist(key_name, []))
            answer = original(backend, bucket_name, key_name, version_id=version_id, bypass=bypass)
            after: list[Version] = list(bucket.keys.getlist(key_name, []))
            for version in (one for one in after if one not in before):
                self._deleted(bucket, version, EMPTY, MARKER)
            for version in (one for one in before if one not in after):
                etag = version.etag.strip('"') if isinstance(version, FakeKey) else EMPTY
                self._deleted(bucket, version, etag, FOREVER)
            return answer

        original = self._patches.replace(S3Backend, "delete_object", delete)

    def _deleted(self, bucket: FakeBucket, version: Version, etag: str, kind: str) -> None:
        configuration = bucket.notification_configuration
        if configuration is not None and configuration.event_bridge is not None:
            named = {"key": version.name, "etag": etag}
            self._tell(bucket, "Object Deleted", named, version, {"reason": "DeleteObject", "deletion-type": kind})

    def _tell(
        self, bucket: FakeBucket, kind: str, named: dict[str, Any], version: Version, why: dict[str, str]
    ) -> None:
        identified = {} if version.version_id == "null" else {"version-id": version.version_id}
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": kind,
            "source": "aws.s3",
            "account": self._account,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": bucket.region_name,
            "resources": [bucket.arn],
            "detail": {
                "version": "0",
                "bucket": {"name": bucket.name},
                "object": {**named, **identified, "sequencer": f"{next(self._sequence):016X}"},
                "request-id": uuid.uuid4().hex[:16].upper(),
                "requester": self._account,
                "source-ip-address": self._address.get(),
                **why,
            },
        }
        told = self._told.get()
        if told is None:
            self._emit(str(bucket.region_name), event)
        else:
            told.append((str(bucket.region_name), event))
