"""S3 in the local cloud refuses what AWS refuses: locks, checksums, preconditions, regions."""

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.functional.localcloud.one_endpoint import ACTIVE, STANDBY, OneEndpoint, one_endpoint

SOON, LATER = (datetime.now(UTC).replace(microsecond=0) + timedelta(days=days) for days in (1, 2))
PART = bytes(5 * 1024 * 1024)


@pytest.fixture
def endpoint() -> Iterator[OneEndpoint]:
    with one_endpoint() as running:
        yield running


@pytest.fixture
def s3(endpoint: OneEndpoint) -> Any:
    endpoint.bucket("vault", locked=True)
    endpoint.bucket("lake")
    return endpoint.client("s3")


def code(call: Any, **arguments: Any) -> str:
    """The error code; empty when the call succeeded."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def sealed(s3: Any, mode: str = "COMPLIANCE") -> dict[str, str]:
    lock = {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": SOON}
    version = s3.put_object(Bucket="vault", Key="k", Body=b"weights", **lock)["VersionId"]
    return {"Bucket": "vault", "Key": "k", "VersionId": version}


def until(mode: str, date: datetime) -> dict[str, Any]:
    return {"Retention": {"Mode": mode, "RetainUntilDate": date}}


def test_compliance_is_never_shortened_weakened_or_deleted(s3: Any) -> None:
    point, retain = sealed(s3), s3.put_object_retention
    sooner = SOON - timedelta(hours=1)
    assert code(retain, **point, **until("COMPLIANCE", sooner), BypassGovernanceRetention=True) == "AccessDenied"
    assert code(retain, **point, **until("GOVERNANCE", LATER), BypassGovernanceRetention=True) == "AccessDenied"
    assert code(s3.delete_object, **point, BypassGovernanceRetention=True) == "AccessDenied"
    assert s3.get_object_retention(**point)["Retention"] == {"Mode": "COMPLIANCE", "RetainUntilDate": SOON}


def test_compliance_can_be_extended(s3: Any) -> None:
    point = sealed(s3)
    assert code(s3.put_object_retention, **point, **until("COMPLIANCE", LATER)) == ""
    assert s3.get_object_retention(**point)["Retention"]["RetainUntilDate"] == LATER


def test_governance_yields_only_to_the_bypass(s3: Any) -> None:
    point, sooner = sealed(s3, "GOVERNANCE"), until("GOVERNANCE", SOON - timedelta(hours=1))
    assert code(s3.put_object_retention, **point, **sooner) == "AccessDenied"
    assert code(s3.delete_object, **point) == "AccessDenied"
    assert code(s3.put_object_retention, **point, **sooner, BypassGovernanceRetention=True) == ""


def test_versioning_of_a_locked_bucket_stays_on(s3: Any) -> None:
    suspended = {"Status": "Suspended"}
    assert code(s3.put_bucket_versioning, Bucket="vault", VersioningConfiguration=suspended) == "InvalidBucketState"
    assert code(s3.put_bucket_versioning, Bucket="lake", VersioningConfiguration=suspended) == ""


def test_locks_need_a_locked_bucket_a_date_and_the_future(s3: Any) -> None:
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": SOON}
    past = {**lock, "ObjectLockRetainUntilDate": datetime.now(UTC) - timedelta(days=1)}
    assert code(s3.put_object, Bucket="lake", Key="k", Body=b"x", **lock) == "InvalidRequest"
    assert code(s3.put_object, Bucket="vault", Key="k", Body=b"x", ObjectLockMode="COMPLIANCE") == "InvalidRequest"
    assert code(s3.put_object, Bucket="vault", Key="k", Body=b"x", **past) == "InvalidArgument"
    assert code(s3.get_object_retention, Bucket="lake", Key="k") == "NoSuchKey"


def test_an_object_without_retention_says_so(s3: Any) -> None:
    s3.put_object(Bucket="vault", Key="k", Body=b"x")
    assert code(s3.get_object_retention, Bucket="vault", Key="k") == "NoSuchObjectLockConfiguration"


def test_a_copy_carries_its_own_lock(s3: Any) -> None:
    s3.put_object(Bucket="lake", Key="k", Body=b"weights")
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": SOON}
    version = s3.copy_object(Bucket="vault", Key="k", CopySource={"Bucket": "lake", "Key": "k"}, **lock)["VersionId"]
    assert code(s3.delete_object, Bucket="vault", Key="k", VersionId=version) == "AccessDenied"


def test_a_multipart_object_carries_the_lock_of_its_start(s3: Any) -> None:
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": SOON}
    upload = {"Bucket": "vault", "Key": "big"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, **lock)["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    version = s3.complete_multipart_upload(**upload, MultipartUpload=parts)["VersionId"]
    assert s3.head_object(Bucket="vault", Key="big")["ObjectLockRetainUntilDate"] == SOON
    assert code(s3.delete_object, Bucket="vault", Key="big", VersionId=version) == "AccessDenied"


def test_default_retention_reaches_puts_copies_and_multiparts(s3: Any) -> None:
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    s3.put_object_lock_configuration(Bucket="vault", ObjectLockConfiguration=rule)
    s3.put_object(Bucket="lake", Key="k", Body=b"x")
    s3.put_object(Bucket="vault", Key="put", Body=b"x")
    s3.copy_object(Bucket="vault", Key="copy", CopySource="lake/k")
    upload = s3.create_multipart_upload(Bucket="vault", Key="parts")["UploadId"]
    etag = s3.upload_part(Bucket="vault", Key="parts", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(Bucket="vault", Key="parts", UploadId=upload, MultipartUpload=parts)
    for key in ("put", "copy", "parts"):
        assert s3.head_object(Bucket="vault", Key=key)["ObjectLockMode"] == "GOVERNANCE", key


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_wrong_checksum_is_a_bad_digest(s3: Any, algorithm: str) -> None:
    right = s3.put_object(Bucket="lake", Key="k", Body=b"weights", ChecksumAlgorithm=algorithm)[f"Checksum{algorithm}"]
    wrong = {f"Checksum{algorithm}": base64.b64encode(bytes(len(base64.b64decode(right)))).decode()}
    assert code(s3.put_object, Bucket="lake", Key="new", Body=b"weights", **wrong) == "BadDigest"
    assert code(s3.head_object, Bucket="lake", Key="new") == "404"
    upload = s3.create_multipart_upload(Bucket="lake", Key="new", ChecksumAlgorithm=algorithm)["UploadId"]
    part = {"Bucket": "lake", "Key": "new", "UploadId": upload, "PartNumber": 1, "Body": b"weights"}
    assert code(s3.upload_part, **part, **wrong) == "BadDigest"
    assert code(s3.upload_part, **part, **{f"Checksum{algorithm}": right}) == ""


def test_a_wrong_md5_is_a_bad_digest(s3: Any) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    assert code(s3.put_object, Bucket="lake", Key="k", Body=b"weights", ContentMD5=wrong) == "BadDigest"


def test_an_object_without_a_checksum_gets_crc64nvme(endpoint: OneEndpoint, s3: Any) -> None:
    silent = endpoint.client("s3", request_checksum_calculation="when_required")
    silent.put_object(Bucket="lake", Key="k", Body=b"123456789")
    head = s3.head_object(Bucket="lake", Key="k", ChecksumMode="ENABLED")
    expected = base64.b64encode(0xAE8B14860A799888.to_bytes(8, "big")).decode()
    assert (head["ChecksumCRC64NVME"], head["ChecksumType"]) == (expected, "FULL_OBJECT")


def test_a_composite_checksum_names_its_parts_and_a_copy_has_a_whole_one(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket="lake", Key="big", ChecksumAlgorithm="SHA256")["UploadId"]
    part = {"Bucket": "lake", "Key": "big", "UploadId": upload, "ChecksumAlgorithm": "SHA256"}
    sent = [s3.upload_part(**part, PartNumber=n, Body=body) for n, body in ((1, PART), (2, b"end"))]
    named = [{name: one[name] for name in ("ETag", "ChecksumSHA256")} for one in sent]
    parts = {"Parts": [{"PartNumber": number, **one} for number, one in enumerate(named, 1)]}
    s3.complete_multipart_upload(Bucket="lake", Key="big", UploadId=upload, MultipartUpload=parts)
    head = s3.head_object(Bucket="lake", Key="big", ChecksumMode="ENABLED")
    assert (head["ChecksumType"], head["ChecksumSHA256"][-2:]) == ("COMPOSITE", "-2")
    found = s3.get_object_attributes(Bucket="lake", Key="big", ObjectAttributes=["Checksum", "ObjectSize"])
    assert found["Checksum"]["ChecksumSHA256"] == head["ChecksumSHA256"]
    s3.copy_object(Bucket="vault", Key="big", CopySource="lake/big")
    copied = s3.head_object(Bucket="vault", Key="big", ChecksumMode="ENABLED")
    whole = base64.b64encode(hashlib.sha256(PART + b"end").digest()).decode()
    assert (copied["ChecksumType"], copied["ChecksumSHA256"]) == ("FULL_OBJECT", whole)


def test_a_full_object_multipart_checksum_is_that_of_the_bytes(s3: Any) -> None:
    crc = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}
    s3.put_object(Bucket="lake", Key="source", Body=b"123456789")
    upload = {"Bucket": "vault", "Key": "k"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, **crc)["UploadId"]
    etag = s3.upload_part_copy(**upload, PartNumber=1, CopySource="lake/source")["CopyPartResult"]["ETag"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    head = s3.head_object(Bucket="vault", Key="k", ChecksumMode="ENABLED")
    expected = base64.b64encode(0xAE8B14860A799888.to_bytes(8, "big")).decode()
    assert (head["ChecksumType"], head["ChecksumCRC64NVME"], head["Metadata"]) == ("FULL_OBJECT", expected, {})


def test_source_preconditions_hold_for_copies_and_part_copies(s3: Any) -> None:
    etag = s3.put_object(Bucket="lake", Key="k", Body=b"weights")["ETag"]
    copy = {"Bucket": "vault", "Key": "k", "CopySource": "lake/k"}
    upload = s3.create_multipart_upload(Bucket="vault", Key="k")["UploadId"]
    part = {**copy, "UploadId": upload, "PartNumber": 1}
    assert code(s3.copy_object, **copy, CopySourceIfMatch='"other"') == "PreconditionFailed"
    assert code(s3.upload_part_copy, **part, CopySourceIfMatch='"other"') == "PreconditionFailed"
    assert code(s3.copy_object, **copy, CopySourceIfNoneMatch=etag) == "PreconditionFailed"
    assert code(s3.copy_object, **copy, CopySourceIfModifiedSince=LATER) == "PreconditionFailed"
    old = datetime.now(UTC) - timedelta(days=1)
    assert code(s3.copy_object, **copy, CopySourceIfUnmodifiedSince=old) == "PreconditionFailed"
    assert code(s3.copy_object, **copy, CopySourceIfMatch=etag, CopySourceIfUnmodifiedSince=old) == ""
    assert code(s3.upload_part_copy, **part, CopySourceIfMatch=etag) == ""


def test_target_preconditions_hold_for_copies(s3: Any) -> None:
    s3.put_object(Bucket="lake", Key="k", Body=b"weights")
    copy = {"Bucket": "vault", "Key": "k", "CopySource": "lake/k"}
    assert code(s3.copy_object, **copy, IfNoneMatch="*") == ""
    assert code(s3.copy_object, **copy, IfNoneMatch="*") == "PreconditionFailed"
    assert code(s3.copy_object, **copy, IfMatch='"other"') == "PreconditionFailed"


def test_of_many_conditional_writes_one_wins(s3: Any) -> None:
    def write(number: int) -> str:
        return code(s3.put_object, Bucket="vault", Key="manifest.json", Body=str(number).encode(), IfNoneMatch="*")

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(write, range(16)))
    assert sorted(outcomes) == [""] + ["PreconditionFailed"] * 15


def test_a_client_of_another_region_is_sent_on(endpoint: OneEndpoint, s3: Any) -> None:
    s3.put_object(Bucket="vault", Key="k", Body=b"weights")
    elsewhere = endpoint.client("s3", ACTIVE)
    assert elsewhere.get_object(Bucket="vault", Key="k")["Body"].read() == b"weights"
    assert [call.status for call in endpoint.log.since(0)[-2:]] in ([301, 200], [200, 200])
    assert 301 in {call.status for call in endpoint.log.since(0)}
    assert endpoint.last_call().region == STANDBY


def test_kms_headers_survive_put_copy_and_multipart(endpoint: OneEndpoint, s3: Any) -> None:
    key = endpoint.client("kms").create_key()["KeyMetadata"]["Arn"]
    sse = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    s3.put_object(Bucket="lake", Key="put", Body=b"x", **sse)
    s3.copy_object(Bucket="lake", Key="copy", CopySource="lake/put", **sse)
    upload = {"Bucket": "lake", "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, **sse)["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    for name in ("put", "copy", "parts"):
        assert s3.head_object(Bucket="lake", Key=name)["SSEKMSKeyId"] == key, name
