"""S3 in the local cloud copies as AWS does: what is carried, what is computed, what is refused."""

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.moto_repairs.s3_checksums import checksum
from tests.functional.localcloud.one_endpoint import OneEndpoint, one_endpoint

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
MIB = 1024 * 1024
KEYS = ["a b", "a+b", "100%", "a%2Fb", "ümläut/日本", "a//b", "/a", "dir/", "A", "q?versionId=1&x", "#;=", "x" * 1024]


@pytest.fixture
def endpoint() -> Iterator[OneEndpoint]:
    with one_endpoint() as running:
        yield running


@pytest.fixture
def s3(endpoint: OneEndpoint) -> Any:
    endpoint.bucket("vault", locked=True)
    endpoint.bucket("lake")
    return endpoint.client("s3")


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def multipart(s3: Any, key: str, *bodies: bytes, **create: Any) -> dict[str, Any]:
    """A completed multipart object of the lake; its answer."""
    upload = {"Bucket": "lake", "Key": key}
    upload["UploadId"] = s3.create_multipart_upload(**upload, **create)["UploadId"]
    tags = [s3.upload_part(**upload, PartNumber=n, Body=body, **create)["ETag"] for n, body in enumerate(bodies, 1)]
    parts = {"Parts": [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]}
    made: dict[str, Any] = s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    return made


def test_a_copy_takes_the_version_that_it_names(s3: Any) -> None:
    old = s3.put_object(Bucket="lake", Key="k", Body=b"old")
    s3.put_object(Bucket="lake", Key="k", Body=b"new")
    source = {"Bucket": "lake", "Key": "k", "VersionId": old["VersionId"]}
    copied = s3.copy_object(Bucket="vault", Key="k", CopySource=source, CopySourceIfMatch=old["ETag"])
    assert s3.get_object(Bucket="vault", Key="k")["Body"].read() == b"old"
    assert copied["CopySourceVersionId"] == old["VersionId"]
    assert copied["VersionId"] == s3.head_object(Bucket="vault", Key="k")["VersionId"]


def test_a_delete_marker_is_no_source_and_no_obstacle(s3: Any) -> None:
    s3.put_object(Bucket="lake", Key="k", Body=b"x")
    marker = s3.delete_object(Bucket="lake", Key="k")["VersionId"]
    source = {"Bucket": "lake", "Key": "k"}
    assert refused(s3.copy_object, Bucket="vault", Key="k", CopySource=source) == "NoSuchKey"
    pinned = {**source, "VersionId": marker}
    assert refused(s3.copy_object, Bucket="vault", Key="k", CopySource=pinned) == "InvalidRequest"
    gone = {**source, "VersionId": "0" * 36}
    assert refused(s3.copy_object, Bucket="vault", Key="k", CopySource=gone) == "NoSuchVersion"
    assert refused(s3.copy_object, Bucket="vault", Key="k", CopySource="nowhere/k") == "NoSuchBucket"
    s3.put_object(Bucket="lake", Key="other", Body=b"x")
    s3.copy_object(Bucket="lake", Key="k", CopySource="lake/other", IfNoneMatch="*")


def test_a_copy_is_locked_by_its_own_request(s3: Any) -> None:
    s3.put_object(Bucket="lake", Key="k", Body=b"x")
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": SOON}
    version = s3.copy_object(Bucket="vault", Key="k", CopySource="lake/k", ChecksumAlgorithm="CRC64NVME", **lock)
    head = s3.head_object(Bucket="vault", Key="k")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", SOON)
    assert refused(s3.delete_object, Bucket="vault", Key="k", VersionId=version["VersionId"]) == "AccessDenied"


@pytest.mark.parametrize("algorithm", ["CRC64NVME", "SHA256", "SHA1", "CRC32", "CRC32C"])
def test_a_copy_computes_the_checksum_that_it_is_asked_for(s3: Any, algorithm: str) -> None:
    s3.put_object(Bucket="lake", Key="k", Body=b"weights", ChecksumAlgorithm="CRC32")
    result = s3.copy_object(Bucket="vault", Key="k", CopySource="lake/k", ChecksumAlgorithm=algorithm)
    expected = checksum(algorithm, b"weights")
    assert result["CopyObjectResult"][f"Checksum{algorithm}"] == expected
    assert result["CopyObjectResult"]["ChecksumType"] == "FULL_OBJECT"
    head = s3.head_object(Bucket="vault", Key="k", ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (expected, "FULL_OBJECT")


def test_a_copy_keeps_its_sources_algorithm_over_the_whole_object(s3: Any) -> None:
    s3.put_object(Bucket="lake", Key="sha", Body=b"weights", ChecksumAlgorithm="SHA256")
    kept = s3.copy_object(Bucket="vault", Key="sha", CopySource="lake/sha")["CopyObjectResult"]
    assert kept["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"weights").digest()).decode()
    multipart(s3, "parts", bytes(5 * MIB), b"end")
    computed = s3.copy_object(Bucket="vault", Key="parts", CopySource="lake/parts")["CopyObjectResult"]
    assert computed["ChecksumCRC64NVME"] == checksum("CRC64NVME", bytes(5 * MIB) + b"end")


def test_a_copy_of_a_multipart_object_is_one_object_without_parts(s3: Any) -> None:
    made = multipart(s3, "parts", bytes(5 * MIB), b"end", ChecksumAlgorithm="CRC64NVME")
    assert made["ETag"].endswith('-2"')
    copied = s3.copy_object(Bucket="vault", Key="parts", CopySource="lake/parts")["CopyObjectResult"]
    assert copied["ETag"] == f'"{hashlib.md5(bytes(5 * MIB) + b"end", usedforsecurity=False).hexdigest()}"'
    found = s3.get_object_attributes(Bucket="vault", Key="parts", ObjectAttributes=["ObjectParts", "ObjectSize"])
    assert "ObjectParts" not in found


def test_a_copy_carries_metadata_headers_and_tags_unless_told_otherwise(s3: Any) -> None:
    told = {"ContentType": "application/x-tar", "ContentEncoding": "gzip", "CacheControl": "no-store"}
    told |= {"ContentDisposition": "attachment", "ContentLanguage": "id"}
    put = {"Bucket": "lake", "Key": "k", "Body": b"x", "Metadata": {"trained-by": "ci"}}
    s3.put_object(**put, **told, Tagging="team=fraud&stage=prod")
    s3.copy_object(Bucket="vault", Key="same", CopySource="lake/k", TaggingDirective="COPY")
    head = s3.head_object(Bucket="vault", Key="same")
    assert {name: head[name] for name in told} == told
    assert head["Metadata"] == {"trained-by": "ci"}
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket="vault", Key="same")["TagSet"]}
    assert tags == {"team": "fraud", "stage": "prod"}
    new = {"TaggingDirective": "REPLACE", "Tagging": "a=1", "MetadataDirective": "REPLACE", "Metadata": {"b": "2"}}
    s3.copy_object(Bucket="vault", Key="new", CopySource="lake/k", **new)
    assert s3.get_object_tagging(Bucket="vault", Key="new")["TagSet"] == [{"Key": "a", "Value": "1"}]
    assert s3.head_object(Bucket="vault", Key="new")["Metadata"] == {"b": "2"}


@pytest.mark.parametrize("key", KEYS)
def test_strange_keys_survive_put_copy_and_part_copy(s3: Any, key: str) -> None:
    s3.put_object(Bucket="lake", Key=key, Body=b"x", Metadata={"n": "1"})
    source = {"Bucket": "lake", "Key": key, "VersionId": s3.head_object(Bucket="lake", Key=key)["VersionId"]}
    s3.copy_object(Bucket="vault", Key=key, CopySource=source)
    assert s3.get_object(Bucket="vault", Key=key)["Body"].read() == b"x"
    upload = {"Bucket": "vault", "Key": key}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    etag = s3.upload_part_copy(**upload, PartNumber=1, CopySource=source)["CopyPartResult"]["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    assert s3.complete_multipart_upload(**upload, MultipartUpload=parts)["Key"] == key
    assert [one["Key"] for one in s3.list_object_versions(Bucket="vault")["Versions"]] == [key, key]
    assert [one["Key"] for one in s3.list_objects_v2(Bucket="vault", Prefix=key)["Contents"]] == [key]


def test_names_that_differ_by_case_and_empty_objects_are_kept_apart(s3: Any) -> None:
    for key, body in (("a", b""), ("A", b"A")):
        s3.put_object(Bucket="lake", Key=key, Body=body)
        s3.copy_object(Bucket="vault", Key=key, CopySource=f"lake/{key}", ChecksumAlgorithm="CRC64NVME")
    sizes = {one["Key"]: one["Size"] for one in s3.list_objects_v2(Bucket="vault")["Contents"]}
    assert sizes == {"A": 1, "a": 0}


class TestPartCopies:
    @pytest.fixture
    def part(self, s3: Any) -> dict[str, Any]:
        s3.put_object(Bucket="lake", Key="big", Body=bytes(6 * MIB) + b"end")
        upload: dict[str, Any] = {"Bucket": "vault", "Key": "big", "PartNumber": 1, "CopySource": "lake/big"}
        crc = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}
        upload["UploadId"] = s3.create_multipart_upload(Bucket="vault", Key="big", **crc)["UploadId"]
        return upload

    def test_a_range_is_copied_and_summed(self, s3: Any, part: dict[str, Any]) -> None:
        range_ = f"bytes={6 * MIB - 1}-{6 * MIB + 2}"
        result = s3.upload_part_copy(**part, CopySourceRange=range_)
        assert result["CopyPartResult"]["ChecksumCRC64NVME"] == checksum("CRC64NVME", b"\0end")
        assert result["CopySourceVersionId"] == s3.head_object(Bucket="lake", Key="big")["VersionId"]

    def test_a_range_beyond_the_source_is_refused(self, s3: Any, part: dict[str, Any]) -> None:
        range_ = f"bytes=0-{6 * MIB + 3}"
        assert refused(s3.upload_part_copy, **part, CopySourceRange=range_) == "InvalidArgument"
        assert refused(s3.upload_part_copy, **part, CopySourceRange="bytes=5-4") == "InvalidArgument"

    def test_a_small_source_is_copied_only_whole(self, s3: Any, part: dict[str, Any]) -> None:
        s3.put_object(Bucket="lake", Key="small", Body=bytes(5 * MIB))
        small = {**part, "CopySource": "lake/small"}
        assert refused(s3.upload_part_copy, **small, CopySourceRange="bytes=0-3") == "InvalidRequest"
        s3.upload_part_copy(**small)

    def test_what_is_missing_is_named(self, s3: Any, part: dict[str, Any]) -> None:
        assert refused(s3.upload_part_copy, **{**part, "CopySource": "lake/none"}) == "NoSuchKey"
        assert refused(s3.upload_part_copy, **{**part, "UploadId": "none"}) == "NoSuchUpload"
        assert refused(s3.upload_part_copy, **{**part, "Key": "other"}) == "NoSuchUpload"
        assert refused(s3.upload_part_copy, **{**part, "PartNumber": 10_001}) == "InvalidArgument"
