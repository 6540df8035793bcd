"""S3's multipart uploads as AWS completes them.

Restores: CompleteMultipartUpload verifies the parts' checksums, their order, the object's checksum, its size and its
type, and answers with the checksum; parts that fail their checksum are not kept; an upload that does not exist (or
was completed under a version that is no longer the newest) is NoSuchUpload; If-Match holds.
Completing again what has just been completed succeeds, as S3 does soon afterwards; its reference also allows
NoSuchUpload. https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from moto.core.responses import ActionResult
from moto.s3.exceptions import (
    EntityTooSmall,
    InvalidPart,
    InvalidPartOrder,
    MalformedXML,
    NoSuchUpload,
    PreconditionFailed,
    S3ClientError,
)
from moto.s3.models import FakeKey, FakeMultipart, S3Backend
from moto.s3.responses import S3Response

from localcloud.moto_repairs.s3_checksums import ALGORITHMS, DEFAULT, checksum, declared, qualified
from localcloud.moto_repairs.s3_copies import CONDITIONAL
from localcloud.patches import Patches

SMALLEST_PART = 5 * 1024 * 1024
WHOLE = ("CRC32", "CRC32C", "CRC64NVME")
MISSING = "The complete request must include the checksum for each part. It was missing for part {} in the request."


@dataclass(frozen=True)
class Part:
    """One part as CompleteMultipartUpload names it."""

    number: int
    etag: str
    checksums: Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """What the caller says about the whole object."""

    checksums: Mapping[str, str]
    kind: str | None
    size: int | None


def install(patches: Patches) -> None:
    """Put AWS's rules in place."""
    _take_parts(patches)
    _begin_and_complete(patches)
    patches.replace(FakeMultipart, "complete", _assemble)
    patches.replace(S3Response, "_complete_multipart_body", lambda _, body: _named_parts(body))


def upload_of(response: S3Response) -> FakeMultipart:
    """The upload that a request names; NoSuchUpload if there is none for this key."""
    wanted = response._get_param("uploadId")
    upload = response.backend.get_bucket(response.bucket_name).multiparts.get(wanted)
    if upload is None or upload.key_name != response.parse_key_name():
        raise NoSuchUpload(upload_id=wanted)
    return upload


def algorithm_of(upload: FakeMultipart) -> tuple[str, str]:
    """The checksum's algorithm and type that the upload was begun with."""
    algorithm = str(upload.metadata.get("x-amz-checksum-algorithm") or DEFAULT).upper()
    usual = "FULL_OBJECT" if algorithm == DEFAULT else "COMPOSITE"
    return algorithm, str(upload.metadata.get("x-amz-checksum-type") or usual)


def keep_checksum(upload: FakeMultipart, part: FakeKey) -> dict[str, str]:
    """Remember a part's checksum under the upload's algorithm; as a member of an answer."""
    part.checksum_algorithm = algorithm_of(upload)[0]
    part.checksum_value = checksum(part.checksum_algorithm, part.value)
    return {f"Checksum{part.checksum_algorithm}": part.checksum_value}


def _take_parts(patches: Patches) -> None:
    def upload_part(response: S3Response) -> Any:
        upload = upload_of(response)
        algorithm, given = declared(response)
        named = upload.metadata.get("x-amz-checksum-algorithm")
        if named and given and algorithm != named.upper():
            text = f"expected checksum Type: {named.lower()}, actual checksum Type: {algorithm.lower()}"
            raise S3ClientError("InvalidRequest", f"Checksum Type mismatch occurred, {text}")
        response._get_checksum({})
        answer = original(response)
        keep_checksum(upload, upload.parts[int(response._get_param("partNumber"))])
        return answer

    original = patches.replace(S3Response, "upload_part", upload_part)


def _begin_and_complete(patches: Patches) -> None:
    def post(response: S3Response, *arguments: Any) -> Any:
        query = arguments[3]
        if "uploads" in query:
            _check_type(response)
        if not query.get("uploadId"):
            return original(response, *arguments)
        with CONDITIONAL:
            return _complete(response, lambda: original(response, *arguments))

    def create(backend: S3Backend, *arguments: Any, **named: Any) -> FakeMultipart:
        upload: FakeMultipart = original_create(backend, *arguments, **named)
        upload.begun = datetime.now(UTC)  # type: ignore[attr-defined]
        return upload

    original = patches.replace(S3Response, "_key_response_post", post)
    original_create = patches.replace(S3Backend, "create_multipart_upload", create)


def _check_type(response: S3Response) -> None:
    algorithm = str(response.headers.get("x-amz-checksum-algorithm") or "").upper()
    kind = response.headers.get("x-amz-checksum-type")
    if (kind == "FULL_OBJECT" and algorithm not in ("", *WHOLE)) or (kind == "COMPOSITE" and algorithm == DEFAULT):
        text = f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
        raise S3ClientError("InvalidRequest", text)


def _complete(response: S3Response, original: Any) -> Any:
    wanted, name = response._get_param("uploadId"), response.parse_key_name()
    existing = response.backend.get_object(response.bucket_name, name)
    if existing is None or existing.multipart is None or existing.multipart.id != wanted:
        upload = upload_of(response)
        if (tag := response.headers.get("If-Match")) and (not existing or existing.etag.strip('"') != tag.strip('"')):
            raise PreconditionFailed("If-Match")
        upload.asked = _asked(response)  # type: ignore[attr-defined]
    _, headers, _ = original()
    key = response.backend.get_object(response.bucket_name, name)
    if key is None:
        raise NoSuchUpload(upload_id=wanted)
    result = {
        "Location": f"http://{response.bucket_name}.s3.amazonaws.com/{name}",
        "Bucket": response.bucket_name,
        "Key": name,
        "ETag": key.etag,
        "ChecksumType": key.checksum_type,
        f"Checksum{key.checksum_algorithm}": qualified(key),
    }
    status, more, body = response.serialized(ActionResult(result))
    return status, {**headers, **more}, body


def _asked(response: S3Response) -> Asked:
    headers = response.headers
    given = {name: headers.get(f"x-amz-checksum-{name.lower()}") for name in ALGORITHMS}
    size = headers.get("x-amz-mp-object-size")
    return Asked(
        {name: value for name, value in given.items() if value},
        headers.get("x-amz-checksum-type"),
        int(size) if size is not None else None,
    )


def _named_parts(body: bytes) -> Iterator[Part]:
    last = 0
    for element in ElementTree.fromstring(body):  # noqa: S314 the body of a client on this machine
        said = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
        if "PartNumber" not in said or "ETag" not in said:
            raise MalformedXML
        if int(said["PartNumber"]) <= last:
            raise InvalidPartOrder()
        last = int(said["PartNumber"])
        sums = {name.removeprefix("Checksum"): value for name, value in said.items() if name.startswith("Checksum")}
        yield Part(last, said["ETag"].strip('"'), sums)


def _assemble(upload: FakeMultipart, body: Iterator[Part]) -> tuple[bytes, str, tuple[str, str, int]]:
    """The bytes, ETag and checksum of the whole; raises before anything of the upload is given up."""
    named = list(body)
    if not named:
        raise MalformedXML
    chosen = [_chosen(upload, part) for part in named]
    if any(part.contentsize < SMALLEST_PART for part in chosen[:-1]):
        raise EntityTooSmall()
    value = b"".join(part.value for part in chosen)
    etags = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in named), usedforsecurity=False)
    algorithm, kind = algorithm_of(upload)
    sums = b"".join(base64.b64decode(part.checksum_value or "") for part in chosen)
    found = checksum(algorithm, sums if kind == "COMPOSITE" else value)
    _verify(getattr(upload, "asked", Asked({}, None, None)), algorithm, kind, found, len(value))
    upload.used = [part.number for part in named]  # type: ignore[attr-defined]
    return value, f"{etags.hexdigest()}-{len(named)}", (kind, found, len(named))


def _chosen(upload: FakeMultipart, named: Part) -> FakeKey:
    part, (algorithm, kind) = upload.parts.get(named.number), algorithm_of(upload)
    if part is None or part.etag.strip('"') != named.etag:
        raise InvalidPart()
    if algorithm in named.checksums and named.checksums[algorithm] != part.checksum_value:
        raise InvalidPart()
    if kind == "COMPOSITE" and algorithm not in named.checksums:
        start = f"The upload was created using a {algorithm.lower()} checksum."
        raise S3ClientError("InvalidRequest", f"{start} {MISSING.format(named.number)}")
    return part


def _verify(asked: Asked, algorithm: str, kind: str, found: str, size: int) -> None:
    if asked.kind is not None and asked.kind != kind:
        raise S3ClientError("InvalidRequest", f"The upload was created with the checksum type {kind}.")
    if asked.size is not None and asked.size != size:
        raise S3ClientError("InvalidRequest", "The provided x-amz-mp-object-size does not match the object's size.")
    for name, value in asked.checksums.items():
        if name != algorithm:
            raise S3ClientError("InvalidRequest", f"The upload was created using the {algorithm} checksum algorithm.")
        if value.partition("-")[0] != found:
            raise S3ClientError("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")
