"""The policy in force: one versioned S3 object in this region's config bucket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from mldr.domain.policy import Policy
from mldr.errors import BadPolicy
from mldr.sdk import code, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FRESH = 60.0  # seconds for which a loaded policy is used without asking


class S3PolicyStore:
    """Needs s3:GetObject and s3:ListBucket on the config bucket. Asks again after a minute; unchanged costs a 304."""

    def __init__(self, s3: S3Client, *, location: str) -> None:
        self._s3, self._location = s3, location
        self._bucket, _, self._key = location.removeprefix("s3://").partition("/")
        self._held: tuple[Policy, str, str] | None = None
        self._asked = 0.0

    def load(self) -> tuple[Policy, str]:
        if self._held is None or time.monotonic() - self._asked > FRESH:
            self._held = self._fetch()
            self._asked = time.monotonic()
        return self._held[:2]

    def _fetch(self) -> tuple[Policy, str, str]:
        absent = BadPolicy(
            [f"{self._location} does not exist: copy one there, e.g. aws s3 cp samplecfg/policy.yaml {self._location}"]
        )
        unchanged = {"IfNoneMatch": self._held[2]} if self._held else {}
        try:
            with translated("read the policy", NoSuchKey=absent, NoSuchBucket=absent):
                answer = self._s3.get_object(Bucket=self._bucket, Key=self._key, **unchanged)  # type: ignore[arg-type]
        except ClientError as error:
            if code(error) in ("304", "NotModified") and self._held:
                return self._held
            raise
        return Policy.parse(answer["Body"].read().decode()), answer.get("VersionId", "null"), answer["ETag"]
