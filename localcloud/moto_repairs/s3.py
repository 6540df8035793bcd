"""S3 as AWS answers it: the right region, bucket policies judged whole, locks, checksums and preconditions.

Restores here: 301 PermanentRedirect for a client of another region than the bucket's; a bucket that tells EventBridge
says so when asked for its notifications; moto's own reading of bucket policies (which ignores Condition and Principal)
is switched off, because the permission check does it properly.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket, s3_backends
from moto.s3.responses import S3Response

from localcloud.moto_repairs import (
    s3_checksums,
    s3_copies,
    s3_listings,
    s3_locks,
    s3_multiparts,
    s3_part_copies,
    s3_upload_listings,
)
from localcloud.patches import Patches

REPAIRS = (s3_locks, s3_checksums, s3_copies, s3_multiparts, s3_part_copies, s3_upload_listings, s3_listings)
ENDING = re.compile(r"\s*/>\s*$|></NotificationConfiguration>\s*$")
SIGNED_FOR = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/s3/")


class S3Repairs:
    """Replaces the parts of moto's S3 that differ from AWS."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._patches = Patches()

    def start(self) -> None:
        """Put the repairs in place."""
        self._patches.replace(FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL)
        self._answer_notifications()
        self._redirect("bucket_response")
        self._redirect("key_response")
        for repair in REPAIRS:
            repair.install(self._patches)

    def stop(self) -> None:
        """Restore moto."""
        self._patches.undo()

    def _answer_notifications(self) -> None:
        def answer(response: S3Response) -> Any:
            status, headers, body = original(response)
            told = response.backend.get_bucket_notification_configuration(response.bucket_name)
            if told is None or told.event_bridge is None:
                return status, headers, body
            text = body.decode() if isinstance(body, bytes) else body
            whole = ENDING.sub(r"><EventBridgeConfiguration/></NotificationConfiguration>", text)
            return status, {**headers, "content-length": str(len(whole))}, whole

        original = self._patches.replace(S3Response, "get_bucket_notification", answer)

    def _redirect(self, name: str) -> None:
        def respond(response: S3Response, request: Any, full_url: str, headers: Any) -> Any:
            home = self._elsewhere(request, full_url)
            return _moved(home) if home else original(response, request, full_url, headers)

        original = self._patches.replace(S3Response, name, respond)

    def _elsewhere(self, request: Any, full_url: str) -> str | None:
        """The bucket's region when the request was signed for another one."""
        signed = SIGNED_FOR.search(request.headers.get("Authorization", ""))
        named = urlsplit(full_url).path.lstrip("/").partition("/")[0]
        bucket = s3_backends[self._account]["aws"].buckets.get(named)
        if not signed or not bucket or signed.group(1) == bucket.region_name:
            return None
        return str(bucket.region_name)


def _moved(region: str) -> tuple[int, dict[str, str], str]:
    message = "The bucket you are attempting to access must be addressed using the specified endpoint."
    body = f"<Error><Code>PermanentRedirect</Code><Message>{message}</Message></Error>"
    return 301, {"x-amz-bucket-region": region, "content-type": "application/xml"}, body
