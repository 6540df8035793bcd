"""S3 checksums as AWS keeps them: verified on upload, whole-object after a copy, composite ones with their part count.

Restores: BadDigest for a wrong x-amz-checksum-*, trailer or Content-MD5; CRC64NVME when the client sends nothing;
the algorithm and type of multipart objects; `-N` on composite checksums in HeadObject and GetObjectAttributes; a copy
has no parts, and computes and tells the checksum that it is asked for (moto's CRC32C is a CRC32).
"""

import base64
import binascii
import hashlib
import re
from typing import Any

from awscrt import checksums  # type: ignore[import-untyped]
from moto.s3 import responses
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeKey, S3Backend
from moto.s3.responses import S3Response

from localcloud.patches import Patches

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
DEFAULT = "CRC64NVME"


def install(patches: Patches) -> None:
    """Put AWS's rules in place."""
    patches.replace(S3Response, "_get_checksum", _checked)
    _keep_type(patches)
    _whole_object_after_copy(patches)
    _multipart(patches)
    _count_parts(patches)


def checksum(algorithm: str, body: bytes) -> str:
    """The checksum as S3 writes it."""
    match algorithm:
        case "CRC32":
            digest = binascii.crc32(body).to_bytes(4, "big")
        case "CRC32C":
            digest = checksums.crc32c(body).to_bytes(4, "big")
        case "CRC64NVME":
            digest = checksums.crc64nvme(body).to_bytes(8, "big")
        case _:
            digest = hashlib.new(algorithm.lower(), body, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _checked(response: S3Response, response_headers: dict[str, Any]) -> tuple[str, str | None]:
    """Compare what the client says about the body with the body."""
    headers = response.headers
    if "x-amz-copy-source" in headers:
        return "", None
    body = response.body or b""
    content = body if isinstance(body, bytes) else str(body).encode()
    _check_md5(headers.get("Content-MD5"), content)
    algorithm, given = declared(response)
    computed = checksum(algorithm, content)
    if given is not None and given != computed:
        raise S3ClientError("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")
    response_headers[f"x-amz-checksum-{algorithm.lower()}"] = computed
    response_headers["x-amz-checksum-type"] = "FULL_OBJECT"
    return algorithm, computed


def declared(response: S3Response) -> tuple[str, str | None]:
    """The algorithm that a request names for its body, and the checksum if it gives one."""
    for algorithm in ALGORITHMS:
        name = f"x-amz-checksum-{algorithm.lower()}"
        if value := response.headers.get(name):
            return algorithm, str(value)
        trailer = re.search(name.encode() + rb":([\w+/=]+)\r?\n?", response.raw_body[-200:])
        if response.headers.get("x-amz-trailer") and trailer:
            return algorithm, trailer.group(1).decode()
    return str(response.headers.get("x-amz-sdk-checksum-algorithm") or DEFAULT).upper(), None


def _check_md5(given: str | None, content: bytes) -> None:
    if given and given != base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode():
        raise S3ClientError("BadDigest", "The Content-MD5 you specified did not match what we received.")


def _keep_type(patches: Patches) -> None:
    def put(backend: S3Backend, *arguments: Any, **named: Any) -> FakeKey:
        key: FakeKey = original(backend, *arguments, **named)
        key.checksum_type = "FULL_OBJECT"
        return key

    original = patches.replace(S3Backend, "put_object", put)


def _whole_object_after_copy(patches: Patches) -> None:
    def copy(
        backend: S3Backend, src_key: FakeKey, dest_bucket_name: str, dest_key_name: str, *rest: Any, **named: Any
    ) -> None:
        original(backend, src_key, dest_bucket_name, dest_key_name, *rest, **named)
        made = backend.get_object(dest_bucket_name, dest_key_name)
        if made is not None:
            made.checksum_algorithm = src_key.checksum_algorithm or DEFAULT
            made.checksum_value = checksum(made.checksum_algorithm, made.value)
            made.multipart = None

    def answer(response: S3Response) -> Any:
        status, headers, body = original_answer(response)
        headers.pop("Checksum", None)
        text = body.decode() if isinstance(body, bytes) else body
        told = text.replace("</CopyObjectResult>", "<ChecksumType>FULL_OBJECT</ChecksumType></CopyObjectResult>")
        return status, {**headers, "content-length": str(len(told.encode()))}, told

    original = patches.replace(S3Backend, "copy_object", copy)
    original_answer = patches.replace(S3Response, "copy_object", answer)
    patches.replace(responses, "compute_checksum", lambda body, algorithm: checksum(algorithm, body).encode())


def _multipart(patches: Patches) -> None:
    def complete(backend: S3Backend, bucket_name: str, multipart_id: str, body: Any) -> FakeKey | None:
        wanted = backend.get_bucket(bucket_name).multiparts[multipart_id].metadata
        key: FakeKey | None = original(backend, bucket_name, multipart_id, body)
        if key is not None:
            key.checksum_algorithm = wanted.get("x-amz-checksum-algorithm") or DEFAULT
            # moto keeps these two as if the user had set them as metadata.
            for name in ("x-amz-checksum-algorithm", "x-amz-checksum-type"):
                key._metadata.pop(name, None)
        return key

    original = patches.replace(S3Backend, "complete_multipart_upload", complete)


def _count_parts(patches: Patches) -> None:
    def attributes(backend: S3Backend, key: FakeKey, attributes_to_get: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = original_attributes(backend, key, attributes_to_get)
        if found["checksum"] and key.checksum_algorithm:
            found["checksum"][key.checksum_algorithm] = qualified(key)
        return found

    def head(
        response: S3Response, bucket_name: str, query: dict[str, Any], key_name: str, headers: dict[str, Any]
    ) -> Any:
        status, answer, body = original_head(response, bucket_name, query, key_name, headers)
        key = (
            response.backend.get_object(bucket_name, key_name, version_id=query.get("versionId", [None])[0])
            if status == 200
            else None
        )
        name = f"x-amz-checksum-{key.checksum_algorithm.lower()}" if key and key.checksum_algorithm else ""
        if key and name in answer:
            answer[name], answer["x-amz-checksum-type"] = qualified(key), key.checksum_type
        return status, answer, body

    original_attributes = patches.replace(S3Backend, "get_object_attributes", attributes)
    original_head = patches.replace(S3Response, "head_object", head)


def qualified(key: FakeKey) -> str:
    """The object's checksum as S3 tells it: a composite one ends in the number of its parts."""
    return f"{key.checksum_value}-{key.checksum_parts}" if key.checksum_type == "COMPOSITE" else str(key.checksum_value)
