"""S3 in the local cloud completes and lists multipart uploads as AWS does, and refuses what AWS refuses."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.moto_repairs.s3_checksums import checksum
from tests.functional.localcloud.one_endpoint import OneEndpoint, one_endpoint

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
FIRST, LAST = bytes(5 * 1024 * 1024), b"end"
WHOLE = checksum("CRC64NVME", FIRST + LAST)
CRC = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}
WRONG = checksum("CRC64NVME", b"other")


@pytest.fixture
def endpoint() -> Iterator[OneEndpoint]:
    with one_endpoint() as running:
        yield running


@pytest.fixture
def s3(endpoint: OneEndpoint) -> Any:
    endpoint.bucket("vault", locked=True)
    return endpoint.client("s3")


def begun(s3: Any, key: str = "k", **create: Any) -> dict[str, Any]:
    """An upload that has begun."""
    named = {"Bucket": "vault", "Key": key}
    return {**named, "UploadId": s3.create_multipart_upload(**named, **create)["UploadId"]}


def sent(s3: Any, upload: dict[str, Any], *numbered: tuple[int, bytes]) -> list[dict[str, Any]]:
    """Its parts, as CompleteMultipartUpload wants them."""
    named = []
    for number, body in numbered:
        answer = s3.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm="CRC64NVME")
        crc = {"ETag": answer["ETag"], "ChecksumCRC64NVME": answer["ChecksumCRC64NVME"]}
        named.append({"PartNumber": number, **crc})
    return named


@pytest.fixture
def upload(s3: Any) -> dict[str, Any]:
    return begun(s3, **CRC)


@pytest.fixture
def whole(s3: Any, upload: dict[str, Any]) -> dict[str, Any]:
    """An upload and its parts, ready to be completed."""
    return {**upload, "MultipartUpload": {"Parts": sent(s3, upload, (1, FIRST), (2, LAST))}}


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_the_whole_objects_checksum_size_and_type_are_verified(s3: Any, whole: dict[str, Any]) -> None:
    complete = s3.complete_multipart_upload
    right: dict[str, Any] = {"ChecksumCRC64NVME": WHOLE, "ChecksumType": "FULL_OBJECT", "MpuObjectSize": 5242883}
    assert refused(complete, **whole, **{**right, "ChecksumCRC64NVME": WRONG}) == "BadDigest"
    assert refused(complete, **whole, **{**right, "MpuObjectSize": 5242882}) == "InvalidRequest"
    assert refused(complete, **whole, **{**right, "ChecksumType": "COMPOSITE"}) == "InvalidRequest"
    assert refused(complete, **whole, ChecksumCRC32="AAAAAA==") == "InvalidRequest"
    assert "Versions" not in s3.list_object_versions(Bucket="vault")
    made = complete(**whole, **right)
    assert (made["ChecksumCRC64NVME"], made["ChecksumType"]) == (WHOLE, "FULL_OBJECT")
    head = s3.head_object(Bucket="vault", Key="k", ChecksumMode="ENABLED", VersionId=made["VersionId"])
    assert (head["ChecksumCRC64NVME"], head["ContentLength"]) == (WHOLE, 5242883)


def test_the_parts_checksums_etags_and_order_are_verified(s3: Any, whole: dict[str, Any]) -> None:
    first, last = whole.pop("MultipartUpload")["Parts"]

    def outcome(*parts: dict[str, Any]) -> str:
        return refused(s3.complete_multipart_upload, **whole, MultipartUpload={"Parts": list(parts)})

    assert outcome({**first, "ChecksumCRC64NVME": WRONG}, last) == "InvalidPart"
    assert outcome(first, {**last, "ETag": first["ETag"]}) == "InvalidPart"
    assert outcome(first, {**last, "PartNumber": 3}) == "InvalidPart"
    assert outcome(last, first) == "InvalidPartOrder"
    assert outcome(first, first) == "InvalidPartOrder"


def test_a_part_that_fails_its_checksum_is_not_kept(s3: Any, upload: dict[str, Any]) -> None:
    part = {**upload, "PartNumber": 1, "Body": b"x"}
    assert refused(s3.upload_part, **part, ChecksumCRC64NVME=WRONG) == "BadDigest"
    assert "Parts" not in s3.list_parts(**upload)
    assert refused(s3.upload_part, **part, ChecksumAlgorithm="SHA256") == "InvalidRequest"


def test_small_parts_but_the_last_are_refused(s3: Any, upload: dict[str, Any]) -> None:
    parts = {"Parts": sent(s3, upload, (1, b"small"), (2, LAST))}
    assert refused(s3.complete_multipart_upload, **upload, MultipartUpload=parts) == "EntityTooSmall"


def test_composite_uploads_need_their_parts_checksums(s3: Any) -> None:
    upload = begun(s3, ChecksumAlgorithm="SHA256")
    part = s3.upload_part(**upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA256")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    assert refused(s3.complete_multipart_upload, **upload, MultipartUpload=parts) == "InvalidRequest"
    whole = {"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"}
    assert refused(s3.create_multipart_upload, Bucket="vault", Key="k", **whole) == "InvalidRequest"


def test_preconditions_hold_at_completion(s3: Any, whole: dict[str, Any]) -> None:
    existing = s3.put_object(Bucket="vault", Key="k", Body=b"x")
    assert refused(s3.complete_multipart_upload, **whole, IfNoneMatch="*") == "PreconditionFailed"
    assert refused(s3.complete_multipart_upload, **whole, IfMatch='"other"') == "PreconditionFailed"
    s3.complete_multipart_upload(**whole, IfMatch=existing["ETag"])


def test_completing_again_answers_the_same_until_a_newer_version_exists(s3: Any, whole: dict[str, Any]) -> None:
    made = s3.complete_multipart_upload(**whole)
    again = s3.complete_multipart_upload(**whole, IfNoneMatch="*")
    told = ("VersionId", "ETag", "ChecksumCRC64NVME")
    assert [again[name] for name in told] == [made[name] for name in told]
    assert len(s3.list_object_versions(Bucket="vault")["Versions"]) == 1
    s3.put_object(Bucket="vault", Key="k", Body=b"newer")
    assert refused(s3.complete_multipart_upload, **whole) == "NoSuchUpload"


def test_of_many_completions_at_once_one_makes_the_version(s3: Any, whole: dict[str, Any]) -> None:
    begin = threading.Barrier(4)

    def complete(_: int) -> str:
        begin.wait()
        return str(s3.complete_multipart_upload(**whole)["VersionId"])

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(complete, range(4)))) == 1


def test_what_is_aborted_is_gone(s3: Any, whole: dict[str, Any]) -> None:
    upload = {name: whole[name] for name in ("Bucket", "Key", "UploadId")}
    s3.abort_multipart_upload(**upload)
    assert refused(s3.complete_multipart_upload, **whole) == "NoSuchUpload"
    assert refused(s3.upload_part, **upload, PartNumber=1, Body=b"x") == "NoSuchUpload"
    assert refused(s3.list_parts, **upload) == "NoSuchUpload"
    assert refused(s3.abort_multipart_upload, **upload) == "NoSuchUpload"


def test_an_upload_carries_lock_tags_metadata_and_headers(s3: Any) -> None:
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": SOON}
    told = {"ContentType": "application/x-tar", "ContentEncoding": "gzip", "CacheControl": "no-store"}
    upload = begun(s3, **CRC, **lock, **told, Tagging="team=fraud", Metadata={"trained-by": "ci"})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent(s3, upload, (1, LAST))})
    head = s3.head_object(Bucket="vault", Key="k")
    assert {name: head[name] for name in (*lock, *told)} == {**lock, **told}
    assert head["Metadata"] == {"trained-by": "ci"}
    assert s3.get_object_tagging(Bucket="vault", Key="k")["TagSet"] == [{"Key": "team", "Value": "fraud"}]


def test_of_uploads_begun_at_once_each_has_its_own_lock(s3: Any) -> None:
    def lock(number: int) -> dict[str, Any]:
        until = SOON + timedelta(days=number)
        return {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until} if number % 2 else {}

    with ThreadPoolExecutor(8) as pool:
        uploads = list(pool.map(lambda number: begun(s3, f"{number:02}", **lock(number)), range(32)))
    for number, upload in enumerate(uploads):
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent(s3, upload, (1, LAST))})
        head = s3.head_object(Bucket="vault", Key=upload["Key"])
        assert {name: head[name] for name in head if name.startswith("ObjectLock")} == lock(number)


def test_parts_are_listed_by_pages_with_their_checksums(s3: Any, upload: dict[str, Any]) -> None:
    sent(s3, upload, (7, LAST), (2, LAST), (10_000, LAST))
    first = s3.list_parts(**upload, MaxParts=2)
    assert [part["PartNumber"] for part in first["Parts"]] == [2, 7]
    assert first["Parts"][0]["ChecksumCRC64NVME"] == checksum("CRC64NVME", LAST)
    assert (first["IsTruncated"], first["NextPartNumberMarker"]) == (True, 7)
    assert (first["ChecksumAlgorithm"], first["ChecksumType"]) == ("CRC64NVME", "FULL_OBJECT")
    second = s3.list_parts(**upload, MaxParts=2, PartNumberMarker=7)
    assert [part["PartNumber"] for part in second["Parts"]] == [10_000]
    assert not second["IsTruncated"]


def test_uploads_are_listed_by_pages_and_say_when_they_began(s3: Any) -> None:
    ids = [begun(s3, key)["UploadId"] for key in ("a/2", "a/1", "b", "a/1")]
    expected = sorted(zip(("a/2", "a/1", "b", "a/1"), ids, strict=True))
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket="vault", PaginationConfig={"PageSize": 1})
    found = [one for page in pages for one in page.get("Uploads", [])]
    assert [(one["Key"], one["UploadId"]) for one in found] == expected
    assert abs((found[0]["Initiated"] - datetime.now(UTC)).total_seconds()) < 60
    named = s3.list_multipart_uploads(Bucket="vault", Prefix="a/1")["Uploads"]
    assert [one["Key"] for one in named] == ["a/1", "a/1"]


def test_attributes_tell_the_parts_of_an_object(s3: Any, whole: dict[str, Any]) -> None:
    version = s3.complete_multipart_upload(**whole)["VersionId"]
    asked = ["Checksum", "ObjectParts", "ObjectSize", "ETag"]
    found = s3.get_object_attributes(Bucket="vault", Key="k", VersionId=version, ObjectAttributes=asked, MaxParts=1)
    assert found["Checksum"] == {"ChecksumCRC64NVME": WHOLE, "ChecksumType": "FULL_OBJECT"}
    parts = found["ObjectParts"]
    assert (parts["TotalPartsCount"], parts["IsTruncated"], parts["NextPartNumberMarker"]) == (2, True, 1)
    assert parts["Parts"][0]["Size"] == 5242880
    assert (found["ObjectSize"], found["VersionId"]) == (5242883, version)
