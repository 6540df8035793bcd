"""What S3 tells of multipart uploads, as AWS tells it.

Restores: ListParts and ListMultipartUploads are paged by part number, key and upload, with checksums and true dates;
GetObjectAttributes names the parts of an object.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.s3.models import FakeKey
from moto.s3.responses import S3Response

from localcloud.moto_repairs.s3_multiparts import upload_of
from localcloud.patches import Patches

LARGEST_PAGE = 1000


def install(patches: Patches) -> None:
    """Put AWS's rules in place."""
    patches.replace(S3Response, "list_parts", _list_parts)
    patches.replace(S3Response, "list_multipart_uploads", _list_uploads)
    patches.replace(S3Response, "get_object_attributes", _get_object_attributes)


def _list_parts(response: S3Response) -> Any:
    upload = upload_of(response)
    marker, limit = response._get_int_param("part-number-marker", 0), response._get_int_param("max-parts", LARGEST_PAGE)
    limit = min(limit, LARGEST_PAGE)
    waiting = [(number, upload.parts[number]) for number in list(upload.partlist) if number > marker]
    page = waiting[:limit]
    result = {
        "Bucket": response.bucket_name,
        "Key": upload.key_name,
        "UploadId": upload.id,
        "PartNumberMarker": marker,
        "NextPartNumberMarker": page[-1][0] if page else 0,
        "MaxParts": limit,
        "IsTruncated": len(waiting) > limit,
        "StorageClass": upload.storage,
        "ChecksumAlgorithm": upload.metadata.get("x-amz-checksum-algorithm"),
        "ChecksumType": upload.metadata.get("x-amz-checksum-type"),
        "Parts": [
            {**_described(number, part), "ETag": part.etag, "LastModified": part.last_modified_ISO8601}
            for number, part in page
        ],
    }
    response.data["Action"] = "ListParts"
    return response.serialized(ActionResult(result))


def _described(number: int, part: FakeKey) -> dict[str, Any]:
    return {"PartNumber": number, "Size": part.size, f"Checksum{part.checksum_algorithm}": part.checksum_value}


def _list_uploads(response: S3Response) -> Any:
    asked = {name: values[0] for name, values in response._get_querystring(response.request, response.uri).items()}
    limit = min(int(asked.get("max-uploads", LARGEST_PAGE)), LARGEST_PAGE)
    marker = (asked.get("key-marker", ""), asked.get("upload-id-marker", chr(0x10FFFF)))
    found = sorted(
        (upload.key_name, upload.id, upload)
        for upload in list(response.backend.get_bucket(response.bucket_name).multiparts.values())
        if upload.key_name.startswith(asked.get("prefix", "")) and (upload.key_name, upload.id) > marker
    )
    page = found[:limit]
    result = {
        "Bucket": response.bucket_name,
        "Prefix": asked.get("prefix", ""),
        "KeyMarker": asked.get("key-marker", ""),
        "UploadIdMarker": asked.get("upload-id-marker", ""),
        "MaxUploads": limit,
        "IsTruncated": len(found) > limit,
        "Uploads": [
            {
                "Key": key,
                "UploadId": identity,
                "Initiated": vars(upload)["begun"],
                "StorageClass": upload.storage,
                "ChecksumAlgorithm": upload.metadata.get("x-amz-checksum-algorithm"),
                "ChecksumType": upload.metadata.get("x-amz-checksum-type"),
            }
            for key, identity, upload in page
        ],
    }
    if len(found) > limit and page:
        result |= {"NextKeyMarker": page[-1][0], "NextUploadIdMarker": page[-1][1]}
    response.data["Action"] = "ListMultipartUploads"
    return response.serialized(ActionResult(result))


def _get_object_attributes(response: S3Response) -> Any:
    key, _ = response._get_key(validate_storage_class=False)
    wanted = [name.strip() for name in response.headers.get("x-amz-object-attributes", "").split(",")]
    found = response.backend.get_object_attributes(key, wanted)
    sums: dict[str, Any] = found["checksum"] or {}
    result = {
        "LastModified": key.last_modified,
        "ETag": found["etag"],
        "Checksum": {f"Checksum{'Type' if name == 'type' else name}": value for name, value in sums.items()} or None,
        "ObjectSize": found["size"],
        "StorageClass": found["storage_class"],
        "ObjectParts": _parts(response, key) if "ObjectParts" in wanted and key.multipart else None,
    }
    response.data["Action"] = "GetObjectAttributes"
    status, headers, body = response.serialized(ActionResult(result))
    version = {} if key.version_id == "null" else {"x-amz-version-id": key.version_id}
    return status, {**headers, **version}, body


def _parts(response: S3Response, key: FakeKey) -> dict[str, Any]:
    """Parts are named one by one only where the upload asked for a checksum."""
    upload: Any = key.multipart
    count = {"TotalPartsCount": len(upload.used)}
    if not upload.metadata.get("x-amz-checksum-algorithm"):
        return count
    marker = int(response.headers.get("x-amz-part-number-marker", 0))
    limit = min(int(response.headers.get("x-amz-max-parts", LARGEST_PAGE)), LARGEST_PAGE)
    waiting = [number for number in upload.used if number > marker]
    page = waiting[:limit]
    return {
        **count,
        "PartNumberMarker": marker,
        "NextPartNumberMarker": page[-1] if page else 0,
        "MaxParts": limit,
        "IsTruncated": len(waiting) > limit,
        "Parts": [_described(number, upload.parts[number]) for number in page],
    }
