"""What the product relies on in S3, asked of each server itself: one check per feature; gaps.py says who lacks it."""

import base64
import datetime as dt
import zlib
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from awscrt.checksums import crc64nvme
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.contract.conftest import ACTIVE, STANDBY

SERVICE = "s3"
MIB = 1024 * 1024
DAY = dt.timedelta(days=1)
UNTIL = dt.datetime.now(dt.UTC).replace(microsecond=0) + 2 * DAY
PARTS = [b"a" * 5 * MIB, b"b" * 5 * MIB, b"c!"]
WHOLE = b"".join(PARTS)
NEVER = base64.b64encode(bytes(8)).decode()
feature = pytest.mark.feature


def crc(body):
    return base64.b64encode(crc64nvme(body).to_bytes(8, "big")).decode()


def refused(call, **arguments):
    """The error code and status that a call is refused with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture
def s3(cloud):
    """The standby's client, a bucket `lake` that keeps every version, and a locked bucket `vault`."""
    cloud.bucket("lake", STANDBY)
    cloud.bucket("vault", STANDBY, locked=True)
    return cloud.client("s3")


def put(s3, body=b"one", key="k", bucket="lake", **more):
    return s3.put_object(Bucket=bucket, Key=key, Body=body, **more)["VersionId"]


def source(version, key="k"):
    return {"Bucket": "lake", "Key": key, "VersionId": version}


def copied(s3, version, **more):
    return s3.copy_object(Bucket="vault", Key="k", CopySource=source(version), **more)


def begin(s3, **more):
    """An open upload in the vault: what its other calls need."""
    upload = s3.create_multipart_upload(Bucket="vault", Key="k", **more)["UploadId"]
    return {"Bucket": "vault", "Key": "k", "UploadId": upload}


def copy_parts(s3, upload, version, **more):
    """Copy the three parts of WHOLE; what completing needs."""
    done, first = [], 0
    for number, part in enumerate(PARTS, 1):
        area = f"bytes={first}-{first + len(part) - 1}"
        asked = {**upload, "PartNumber": number, "CopySource": source(version), "CopySourceRange": area}
        answer = s3.upload_part_copy(**asked, **more)["CopyPartResult"]
        sums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        done.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
        first += len(part)
    return {"Parts": done}


def race(action, count=16):
    """How many of these threads won; the others must have been refused because of their condition."""

    def one(number):
        try:
            action(number)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "won"

    with ThreadPoolExecutor(count) as pool:
        ends = list(pool.map(one, range(count)))
    assert set(ends) <= {"won", "PreconditionFailed", "ConditionalRequestConflict"}
    return ends.count("won")


# versions


@feature("versions")
def test_every_put_is_a_version_that_can_be_read(s3):
    first, second = put(s3), put(s3, b"two!")
    assert s3.get_object(Bucket="lake", Key="k", VersionId=first)["Body"].read() == b"one"
    assert s3.get_object(Bucket="lake", Key="k")["VersionId"] == second
    assert refused(s3.head_object, Bucket="lake", Key="k", VersionId="0" * 32)[1] in (400, 404)


@feature("delete markers")
def test_a_delete_marker_hides_the_object_and_no_version(s3):
    version = put(s3)
    marker = s3.delete_object(Bucket="lake", Key="k")
    assert marker["DeleteMarker"]
    assert refused(s3.get_object, Bucket="lake", Key="k") == ("NoSuchKey", 404)
    assert s3.get_object(Bucket="lake", Key="k", VersionId=version)["Body"].read() == b"one"


@feature("delete markers named")
def test_a_delete_marker_that_is_named_is_not_allowed_rather_than_absent(s3):
    marker = s3.delete_object(Bucket="lake", Key="k")["VersionId"]
    assert refused(s3.head_object, Bucket="lake", Key="k", VersionId=marker)[1] == 405


def versions(page):
    return [(one["Key"], one["VersionId"]) for one in page.get("Versions", [])]


@feature("order of versions")
def test_versions_are_listed_by_key_and_the_newest_first(s3):
    made = {(key, put(s3, key=key)) for key in ("b", "a", "a/é", "a b") for _ in range(3)}
    listed = versions(s3.list_object_versions(Bucket="lake"))
    assert set(listed) == made
    assert [key for key, _ in listed] == sorted((key for key, _ in listed), key=lambda key: key.encode())
    latest = put(s3, key="a")
    page = s3.list_object_versions(Bucket="lake", Prefix="a")["Versions"]
    assert (page[0]["VersionId"], page[0]["IsLatest"], page[1]["IsLatest"]) == (latest, True, False)


@feature("pages of versions")
def test_a_listing_of_versions_goes_on_from_its_markers(s3):
    for key in ("a", "b", "c"):
        for _ in range(3):
            put(s3, key=key)
        s3.delete_object(Bucket="lake", Key=key)
    whole = versions(s3.list_object_versions(Bucket="lake"))
    pages, markers = [], {}
    while True:
        page = s3.list_object_versions(Bucket="lake", MaxKeys=2, **markers)
        assert len(versions(page)) + len(page.get("DeleteMarkers", [])) <= 2
        pages += versions(page)
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    assert (pages, len(pages)) == (whole, 9)


@feature("versions after a key")
def test_a_listing_of_versions_begins_after_a_key(s3):
    for key in ("a", "b", "c"):
        put(s3, key=key)
    assert [key for key, _ in versions(s3.list_object_versions(Bucket="lake", KeyMarker="a"))] == ["b", "c"]


@feature("versions after any key")
def test_a_listing_of_versions_goes_on_after_any_key(s3):
    keys = sorted(["100% +", "a b", "a//b", "é", "モデル", "~"], key=lambda key: key.encode())
    for key in keys:
        put(s3, key=key)
        put(s3, key=key)
    for number, key in enumerate(keys):
        last = versions(s3.list_object_versions(Bucket="lake", Prefix=key))[-1][1]
        page = s3.list_object_versions(Bucket="lake", KeyMarker=key, VersionIdMarker=last)
        assert [name for name, _ in versions(page)] == [name for name in keys[number + 1 :] for _ in range(2)]


@feature("times of versions")
def test_a_listing_tells_the_same_time_as_the_object(s3):
    put(s3)
    listed = s3.list_object_versions(Bucket="lake")["Versions"][0]["LastModified"]
    assert listed == s3.head_object(Bucket="lake", Key="k")["LastModified"]


KEYS = ["ünï/モデル", "folder/", "a//b", "100% +plus&amp;=?", "sp ace ", "Case", "case", "x" * 1024, "é" * 512]


@feature("any key")
def test_every_key_is_stored_listed_and_copied(s3):
    for key in KEYS:
        version = put(s3, key.encode(), key=key)
        s3.copy_object(Bucket="vault", Key=key, CopySource=source(version, key))
        assert s3.get_object(Bucket="vault", Key=key)["Body"].read() == key.encode()
    listed = s3.list_objects_v2(Bucket="vault")["Contents"]
    assert [one["Key"] for one in listed] == sorted(KEYS, key=lambda key: key.encode())


# locks


def locked(s3, mode, until=UNTIL):
    version = put(s3, bucket="vault")
    s3.put_object_retention(
        Bucket="vault", Key="k", VersionId=version, Retention={"Mode": mode, "RetainUntilDate": until}
    )
    return {"Bucket": "vault", "Key": "k", "VersionId": version}


def retention(s3, version):
    held = s3.get_object_retention(Bucket="vault", Key="k", VersionId=version)["Retention"]
    return held["Mode"], held["RetainUntilDate"]


@feature("governance lock")
def test_a_governance_lock_is_neither_shortened_nor_is_its_version_deleted(s3):
    lock = locked(s3, "GOVERNANCE")
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": UNTIL - DAY}
    assert refused(s3.put_object_retention, **lock, Retention=shorter)[1] == 403
    assert refused(s3.delete_object, **lock)[1] == 403
    longer = {"Mode": "GOVERNANCE", "RetainUntilDate": UNTIL + DAY}
    s3.put_object_retention(**lock, Retention=longer)
    assert retention(s3, lock["VersionId"]) == ("GOVERNANCE", UNTIL + DAY)


@feature("compliance lock")
def test_a_compliance_lock_holds_against_everybody(s3):
    lock = {**locked(s3, "COMPLIANCE"), "BypassGovernanceRetention": True}
    for mode, until in (("COMPLIANCE", UNTIL - DAY), ("GOVERNANCE", UNTIL + DAY)):
        assert refused(s3.put_object_retention, **lock, Retention={"Mode": mode, "RetainUntilDate": until})[1] == 403
    assert refused(s3.delete_object, **lock)[1] == 403
    s3.put_object_retention(**lock, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": UNTIL + DAY})
    assert retention(s3, lock["VersionId"]) == ("COMPLIANCE", UNTIL + DAY)


LOCK = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": UNTIL}


@feature("lock with a put")
def test_a_put_locks_in_the_same_request(s3):
    assert retention(s3, put(s3, bucket="vault", **LOCK)) == ("COMPLIANCE", UNTIL)


@feature("lock with a copy")
def test_a_copy_locks_in_the_same_request(s3):
    copied(s3, put(s3), **LOCK)
    head = s3.head_object(Bucket="vault", Key="k")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", UNTIL)


@feature("lock with an upload")
def test_an_upload_in_parts_locks_when_it_is_completed(s3):
    upload = begin(s3, **LOCK)
    s3.complete_multipart_upload(**upload, MultipartUpload=copy_parts(s3, upload, put(s3, WHOLE)))
    head = s3.head_object(Bucket="vault", Key="k")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", UNTIL)


# conditions


@feature("conditional put")
def test_a_put_that_wants_no_object_is_refused_over_one(cloud):
    cloud.bucket("plain", versioned=False)
    s3, asked = cloud.client("s3"), {"Bucket": "plain", "Key": "k", "Body": b"one", "IfNoneMatch": "*"}
    s3.put_object(**asked)
    assert refused(s3.put_object, **asked) == ("PreconditionFailed", 412)


@feature("conditional put in a versioned bucket")
def test_the_same_holds_where_every_version_is_kept_and_after_a_delete_marker(s3):
    put(s3, bucket="vault", IfNoneMatch="*")
    assert refused(s3.put_object, Bucket="vault", Key="k", Body=b"two", IfNoneMatch="*") == ("PreconditionFailed", 412)
    s3.delete_object(Bucket="vault", Key="k")
    put(s3, b"three", bucket="vault", IfNoneMatch="*")


@feature("one winner of many puts")
def test_of_sixteen_conditional_puts_one_wins(cloud):
    cloud.bucket("plain", versioned=False)
    s3 = cloud.client("s3")
    for key in map(str, range(5)):
        assert race(lambda n, key=key: s3.put_object(Bucket="plain", Key=key, Body=b"%d" % n, IfNoneMatch="*")) == 1


@feature("one winner of many puts of versions")
def test_of_sixteen_conditional_puts_one_wins_where_every_version_is_kept(s3):
    for key in map(str, range(5)):
        assert race(lambda n, key=key: put(s3, b"%d" % n, key=key, bucket="vault", IfNoneMatch="*")) == 1
        assert len(s3.list_object_versions(Bucket="vault", Prefix=key)["Versions"]) == 1


@feature("conditional copy")
def test_a_copy_that_wants_no_object_is_refused_over_one(s3):
    version = put(s3)
    copied(s3, version, IfNoneMatch="*")
    asked = {"Bucket": "vault", "Key": "k", "CopySource": source(version), "IfNoneMatch": "*"}
    assert refused(s3.copy_object, **asked) == ("PreconditionFailed", 412)


@feature("conditional completion")
def test_a_completion_that_wants_no_object_is_refused_over_one(s3):
    upload = begin(s3)
    parts = copy_parts(s3, upload, put(s3, WHOLE))
    put(s3, bucket="vault")
    asked = {**upload, "MultipartUpload": parts, "IfNoneMatch": "*"}
    assert refused(s3.complete_multipart_upload, **asked) == ("PreconditionFailed", 412)


@feature("copy if the source matches")
def test_a_copy_of_another_etag_is_refused(s3):
    version = put(s3)
    etag = s3.head_object(Bucket="lake", Key="k")["ETag"].strip('"')
    copied(s3, version, CopySourceIfMatch=etag)
    asked = {"Bucket": "vault", "Key": "k", "CopySource": source(version), "CopySourceIfMatch": etag[::-1]}
    assert refused(s3.copy_object, **asked) == ("PreconditionFailed", 412)


@feature("part copy if the source matches")
def test_a_part_of_another_etag_is_refused(s3):
    asked = {**begin(s3), "PartNumber": 1, "CopySource": source(put(s3))}
    etag = s3.head_object(Bucket="lake", Key="k")["ETag"].strip('"')
    s3.upload_part_copy(**asked, CopySourceIfMatch=etag)
    assert refused(s3.upload_part_copy, **asked, CopySourceIfMatch=etag[::-1]) == ("PreconditionFailed", 412)


@feature("get if it matches")
def test_a_read_of_another_etag_is_refused(s3):
    put(s3)
    etag = s3.head_object(Bucket="lake", Key="k")["ETag"].strip('"')
    assert s3.get_object(Bucket="lake", Key="k", IfMatch=f'"{etag}"')["Body"].read() == b"one"
    assert refused(s3.get_object, Bucket="lake", Key="k", IfMatch=f'"{etag[::-1]}"')[1] == 412


# copies


@feature("copy of a version")
def test_an_old_version_is_copied_after_an_overwrite(s3):
    first = put(s3)
    put(s3, b"two!")
    copied(s3, first)
    assert s3.get_object(Bucket="vault", Key="k")["Body"].read() == b"one"


@feature("copy of a version that is gone")
def test_a_version_that_is_gone_is_not_copied(s3):
    version = put(s3)
    s3.delete_object(Bucket="lake", Key="k", VersionId=version)
    asked = {"Bucket": "vault", "Key": "k", "CopySource": source(version)}
    assert refused(s3.copy_object, **asked) in [("NoSuchVersion", 404), ("NoSuchKey", 404)]


@feature("copy tells its version")
def test_a_copy_answers_with_the_version_that_it_made(s3):
    answer = copied(s3, put(s3))
    assert answer["VersionId"] == s3.head_object(Bucket="vault", Key="k")["VersionId"]


@feature("completion tells its version")
def test_a_completion_answers_with_the_version_that_it_made(s3):
    upload = begin(s3)
    done = s3.complete_multipart_upload(**upload, MultipartUpload=copy_parts(s3, upload, put(s3, WHOLE)))
    assert done["VersionId"] == s3.head_object(Bucket="vault", Key="k")["VersionId"]


@feature("completion tells its ETag")
def test_a_completion_answers_with_the_etag_that_it_made(s3):
    upload = begin(s3)
    done = s3.complete_multipart_upload(**upload, MultipartUpload=copy_parts(s3, upload, put(s3, WHOLE)))
    assert done["ETag"] == s3.head_object(Bucket="vault", Key="k")["ETag"]


@feature("metadata of a copy")
def test_a_copy_keeps_metadata_and_content_type(s3):
    copied(s3, put(s3, Metadata={"trained-by": "ci"}, ContentType="application/x-tar"), MetadataDirective="COPY")
    head = s3.head_object(Bucket="vault", Key="k")
    assert (head["Metadata"], head["ContentType"]) == ({"trained-by": "ci"}, "application/x-tar")


TAGS = [{"Key": "team", "Value": "risk"}]


@feature("tags of a copy")
def test_a_copy_keeps_tags(s3):
    copied(s3, put(s3, Tagging="team=risk"), TaggingDirective="COPY")
    assert s3.get_object_tagging(Bucket="vault", Key="k")["TagSet"] == TAGS


@feature("later tags of a copy")
def test_a_copy_of_a_version_keeps_tags_that_were_put_on_it_later(s3):
    version = put(s3)
    s3.put_object_tagging(Bucket="lake", Key="k", Tagging={"TagSet": TAGS})
    copied(s3, version, TaggingDirective="COPY")
    assert s3.get_object_tagging(Bucket="vault", Key="k")["TagSet"] == TAGS


@feature("tags of a copy from another region")
def test_a_copy_from_another_region_keeps_tags(cloud, s3):
    cloud.bucket("far", ACTIVE)
    far = {"Bucket": "far", "Key": "k"}
    version = cloud.client("s3", ACTIVE).put_object(**far, Body=b"one", Tagging="team=risk")["VersionId"]
    s3.copy_object(Bucket="vault", Key="k", CopySource={**far, "VersionId": version}, TaggingDirective="COPY")
    assert s3.get_object_tagging(Bucket="vault", Key="k")["TagSet"] == TAGS


@feature("metadata of an upload")
def test_an_upload_in_parts_has_metadata_and_content_type_from_its_beginning(s3):
    upload = begin(s3, Metadata={"trained-by": "ci"}, ContentType="application/x-tar")
    s3.complete_multipart_upload(**upload, MultipartUpload=copy_parts(s3, upload, put(s3, WHOLE)))
    head = s3.head_object(Bucket="vault", Key="k")
    assert (head["Metadata"], head["ContentType"]) == ({"trained-by": "ci"}, "application/x-tar")


@feature("tags of an upload")
def test_an_upload_in_parts_is_tagged_from_its_beginning(s3):
    upload = begin(s3, Tagging="team=risk")
    s3.complete_multipart_upload(**upload, MultipartUpload=copy_parts(s3, upload, put(s3, WHOLE)))
    assert s3.get_object_tagging(Bucket="vault", Key="k")["TagSet"] == TAGS


@feature("encrypted copy")
def test_a_copy_is_encrypted_with_the_key_that_it_names(cloud, s3):
    key = cloud.key()
    copied(s3, put(s3), ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    assert s3.head_object(Bucket="vault", Key="k").get("SSEKMSKeyId") == key


@feature("encrypted upload")
def test_an_upload_in_parts_is_encrypted_with_the_key_that_it_names(cloud, s3):
    key = cloud.key()
    upload = begin(s3, ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    s3.complete_multipart_upload(**upload, MultipartUpload=copy_parts(s3, upload, put(s3, WHOLE)))
    got = s3.get_object(Bucket="vault", Key="k")
    assert (got["SSEKMSKeyId"], got["Body"].read() == WHOLE) == (key, True)


# parts


@feature("part copies of ranges")
def test_ranges_of_a_version_are_copied_in_parts_and_put_together(s3):
    version = put(s3, WHOLE)
    put(s3, b"overwritten")
    upload = begin(s3)
    parts = copy_parts(s3, upload, version)
    listed = s3.list_parts(**upload)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(n, len(p)) for n, p in enumerate(PARTS, 1)]
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    got = s3.get_object(Bucket="vault", Key="k")
    assert (got["Body"].read() == WHOLE, got["ETag"].strip('"')[-2:]) == (True, "-3")


@feature("reads of ranges")
def test_a_range_is_read(s3):
    put(s3, b"0123456789")
    got = s3.get_object(Bucket="lake", Key="k", Range="bytes=3-5")
    assert (got["Body"].read(), got["ContentRange"]) == (b"345", "bytes 3-5/10")


@feature("range beyond the end")
def test_a_part_beyond_the_end_is_refused(s3):
    area = f"bytes=0-{len(WHOLE)}"
    asked = {**begin(s3), "PartNumber": 1, "CopySource": source(put(s3, WHOLE)), "CopySourceRange": area}
    assert refused(s3.upload_part_copy, **asked) in [("InvalidArgument", 400), ("InvalidRange", 416)]


@feature("part of another upload")
def test_a_wrong_part_is_refused_at_completion(s3):
    upload = begin(s3)
    parts = copy_parts(s3, upload, put(s3, WHOLE))
    parts["Parts"][1]["ETag"] = parts["Parts"][0]["ETag"]
    assert refused(s3.complete_multipart_upload, **upload, MultipartUpload=parts) == ("InvalidPart", 400)


@feature("parts that are too small")
def test_a_small_part_before_the_last_is_refused(s3):
    upload = begin(s3)
    etags = [s3.upload_part(**upload, PartNumber=number, Body=b"x")["ETag"] for number in (1, 2)]
    done = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    assert refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": done}) == ("EntityTooSmall", 400)


@feature("open uploads")
def test_open_uploads_are_listed_until_they_are_aborted(s3):
    upload = begin(s3)
    assert [one["UploadId"] for one in s3.list_multipart_uploads(Bucket="vault", Prefix="k")["Uploads"]] == [
        upload["UploadId"]
    ]
    s3.abort_multipart_upload(**upload)
    assert s3.list_multipart_uploads(Bucket="vault").get("Uploads", []) == []


@feature("uploads that are gone")
def test_an_upload_that_was_aborted_is_not_found(s3):
    upload = begin(s3)
    s3.abort_multipart_upload(**upload)
    assert refused(s3.list_parts, **upload) == ("NoSuchUpload", 404)
    asked = {**upload, "PartNumber": 1, "CopySource": source(put(s3))}
    assert refused(s3.upload_part_copy, **asked) == ("NoSuchUpload", 404)


# checksums


def stored_crc(s3, bucket="vault"):
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    return head.get("ChecksumCRC64NVME"), head.get("ChecksumType")


@feature("checksums")
def test_a_put_keeps_the_checksum_of_the_whole(s3):
    put(s3, ChecksumAlgorithm="CRC64NVME")
    assert stored_crc(s3, "lake") == (crc(b"one"), "FULL_OBJECT")


@feature("wrong checksum of a put")
def test_a_put_with_a_wrong_checksum_is_refused(s3):
    asked = {"Bucket": "lake", "Key": "k", "Body": b"one", "ChecksumCRC64NVME": NEVER}
    assert refused(s3.put_object, **asked) == ("BadDigest", 400)


@feature("wrong checksum in a trailer")
def test_a_put_with_a_wrong_crc32_is_refused(s3):
    wrong = base64.b64encode(zlib.crc32(b"two").to_bytes(4, "big")).decode()
    assert refused(s3.put_object, Bucket="lake", Key="k", Body=b"one", ChecksumCRC32=wrong) == ("BadDigest", 400)


@feature("wrong MD5 of a put")
def test_a_put_with_a_wrong_md5_is_refused(s3):
    wrong = base64.b64encode(bytes(16)).decode()
    assert refused(s3.put_object, Bucket="lake", Key="k", Body=b"one", ContentMD5=wrong) == ("BadDigest", 400)


@feature("checksum of a copy")
def test_a_copy_computes_the_checksum_that_it_is_asked_for(s3):
    answer = copied(s3, put(s3, ChecksumAlgorithm="SHA256"), ChecksumAlgorithm="CRC64NVME")
    assert answer["CopyObjectResult"].get("ChecksumCRC64NVME") == crc(b"one")
    assert stored_crc(s3) == (crc(b"one"), "FULL_OBJECT")


@feature("checksum of a large copy")
def test_parts_that_are_copied_make_a_checksum_over_the_whole(s3):
    upload = begin(s3, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")
    parts = copy_parts(s3, upload, put(s3, WHOLE))
    assert [part.get("ChecksumCRC64NVME") for part in parts["Parts"]] == [crc(part) for part in PARTS]
    whole = {"ChecksumType": "FULL_OBJECT", "MpuObjectSize": len(WHOLE), "ChecksumCRC64NVME": crc(WHOLE)}
    done = s3.complete_multipart_upload(**upload, MultipartUpload=parts, **whole)
    assert done.get("ChecksumCRC64NVME") == crc(WHOLE)
    assert stored_crc(s3) == (crc(WHOLE), "FULL_OBJECT")


@feature("wrong checksum of a completion")
def test_a_completion_with_a_wrong_checksum_is_refused(s3):
    upload = begin(s3, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")
    parts = copy_parts(s3, upload, put(s3, WHOLE))
    asked = {**upload, "MultipartUpload": parts, "ChecksumType": "FULL_OBJECT", "ChecksumCRC64NVME": NEVER}
    assert refused(s3.complete_multipart_upload, **asked) == ("BadDigest", 400)


@feature("wrong size of a completion")
def test_a_completion_with_a_wrong_size_is_refused(s3):
    upload = begin(s3, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")
    parts = copy_parts(s3, upload, put(s3, WHOLE))
    asked = {**upload, "MultipartUpload": parts, "ChecksumType": "FULL_OBJECT", "MpuObjectSize": len(WHOLE) + 1}
    assert refused(s3.complete_multipart_upload, **asked) == ("InvalidRequest", 400)


@feature("composite checksum")
def test_a_sha256_of_parts_says_that_it_is_composite(s3):
    upload = begin(s3, ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE")
    parts = copy_parts(s3, upload, put(s3, WHOLE))
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    head = s3.head_object(Bucket="vault", Key="k", ChecksumMode="ENABLED")
    assert (head.get("ChecksumType"), head.get("ChecksumSHA256", "")[-2:]) == ("COMPOSITE", "-3")


@feature("checksums in a listing")
def test_a_listing_of_versions_names_algorithm_and_type(s3):
    put(s3, ChecksumAlgorithm="CRC64NVME")
    version = s3.list_object_versions(Bucket="lake")["Versions"][0]
    assert (version.get("ChecksumAlgorithm"), version.get("ChecksumType")) == (["CRC64NVME"], "FULL_OBJECT")


@feature("object attributes")
def test_object_attributes_tell_size_and_checksum(s3):
    version = put(s3, ChecksumAlgorithm="CRC64NVME")
    asked = {"Bucket": "lake", "Key": "k", "VersionId": version, "ObjectAttributes": ["ObjectSize", "Checksum"]}
    told = s3.get_object_attributes(**asked)
    assert (told["ObjectSize"], told["Checksum"]["ChecksumCRC64NVME"]) == (3, crc(b"one"))


@feature("objects without a checksum")
def test_an_object_can_be_without_a_checksum_as_old_ones_are(cloud):
    cloud.bucket("lake", ACTIVE)
    cloud.put_without_checksum("lake", "k", b"one")
    assert stored_crc(cloud.client("s3", ACTIVE), "lake") == (None, None)


# who asks, and what is said


@feature("messages of errors")
def test_an_error_says_in_words_what_is_wrong(s3):
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="lake", Key="nothing")
    assert caught.value.response["Error"].get("Message")


@feature("signatures")
def test_a_wrong_signature_is_refused(cloud, s3):
    keys = s3._request_signer._credentials.get_frozen_credentials()
    forged = boto3.client(
        "s3",
        region_name=STANDBY,
        endpoint_url=None if cloud.name == "moto" else s3.meta.endpoint_url,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key="forged",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    assert refused(forged.list_objects_v2, Bucket="lake") == ("SignatureDoesNotMatch", 403)
