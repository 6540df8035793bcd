"""S3 in the local cloud lists versions and objects in AWS's order, by AWS's pages."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.localcloud.one_endpoint import one_endpoint


@pytest.fixture
def s3() -> Iterator[Any]:
    with one_endpoint() as endpoint:
        endpoint.bucket("lake")
        yield endpoint.client("s3")


def put(s3: Any, *keys: str) -> list[str]:
    return [s3.put_object(Bucket="lake", Key=key, Body=b"x", ChecksumAlgorithm="SHA256")["VersionId"] for key in keys]


def paged(s3: Any, operation: str, size: int, **more: Any) -> list[dict[str, Any]]:
    pages = s3.get_paginator(operation).paginate(Bucket="lake", PaginationConfig={"PageSize": size}, **more)
    return list(pages)


def test_versions_are_by_key_in_utf8_order_and_newest_first(s3: Any) -> None:
    put(s3, "b", "ü", "a", "\U0001f600", "\uffee", "B")
    ids = put(s3, *["a"] * 9)
    found = s3.list_object_versions(Bucket="lake")["Versions"]
    keys = list(dict.fromkeys(one["Key"] for one in found))
    assert keys == sorted(keys, key=str.encode) == ["B", "a", "b", "ü", "\uffee", "\U0001f600"]
    newest = [one["VersionId"] for one in found if one["Key"] == "a"][:9]
    assert newest == list(reversed(ids))
    assert [one["Key"] for one in found if one["IsLatest"]] == keys
    assert {(*one["ChecksumAlgorithm"], one["ChecksumType"]) for one in found} == {("SHA256", "FULL_OBJECT")}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_pages_of_versions_leave_nothing_out_and_repeat_nothing(s3: Any, size: int) -> None:
    put(s3, *["a"] * 3, "b", "dir/a", "dir/b%2F+ c", "dir/b%2F+ c", "e")
    s3.delete_object(Bucket="lake", Key="b")
    s3.delete_object(Bucket="lake", Key="dir/a")
    pages = paged(s3, "list_object_versions", size)
    assert all(len(page.get("Versions", []) + page.get("DeleteMarkers", [])) <= size for page in pages)
    versions = [one["Key"] for page in pages for one in page.get("Versions", [])]
    assert versions == ["a", "a", "a", "b", "dir/a", "dir/b%2F+ c", "dir/b%2F+ c", "e"]
    markers = [(one["Key"], one["IsLatest"]) for page in pages for one in page.get("DeleteMarkers", [])]
    assert markers == [("b", True), ("dir/a", True)]
    beneath = paged(s3, "list_object_versions", size, Prefix="dir/")
    assert sum(len(page.get("Versions", [])) for page in beneath) == 3
    folders = paged(s3, "list_object_versions", size, Delimiter="/")
    assert [one["Prefix"] for page in folders for one in page.get("CommonPrefixes", [])] == ["dir/"]
    assert sum(len(page.get("Versions", [])) for page in folders) == 5


def test_markers_stand_among_the_versions_where_they_belong(s3: Any) -> None:
    seen: list[dict[str, Any]] = []
    s3.meta.events.register("before-parse.s3.ListObjectVersions", lambda response_dict, **_: seen.append(response_dict))
    put(s3, "a & <b>", "c")
    s3.delete_object(Bucket="lake", Key="a & <b>")
    put(s3, "a & <b>")
    found = s3.list_object_versions(Bucket="lake")
    assert [one["Key"] for one in found["Versions"]] == ["a & <b>", "a & <b>", "c"]
    assert [one["IsLatest"] for one in found["DeleteMarkers"]] == [False]
    kinds = re.findall(rb"<(Version|DeleteMarker)>", seen[0]["body"])
    assert kinds == [b"Version", b"DeleteMarker", b"Version", b"Version"]


def test_a_key_marker_alone_begins_after_the_key(s3: Any) -> None:
    put(s3, "a", "b", "b", "c")
    found = s3.list_object_versions(Bucket="lake", KeyMarker="b")["Versions"]
    assert [one["Key"] for one in found] == ["c"]
    between = s3.list_object_versions(Bucket="lake", KeyMarker="aa")["Versions"]
    assert [one["Key"] for one in between] == ["b", "b", "c"]


def test_objects_begin_after_a_key_and_pages_are_at_most_a_thousand(s3: Any) -> None:
    keys = [f"{number:04}" for number in range(1003)]
    put(s3, *keys)
    page = s3.list_objects_v2(Bucket="lake", MaxKeys=5000)
    assert (page["KeyCount"], page["IsTruncated"]) == (1000, True)
    after = s3.list_objects_v2(Bucket="lake", StartAfter="0999")
    assert [one["Key"] for one in after["Contents"]] == keys[1000:]
    pages = paged(s3, "list_objects_v2", 400, StartAfter="0001", Prefix="0")
    assert [one["Key"] for page in pages for one in page["Contents"]] == keys[2:1000]
    versions = s3.list_object_versions(Bucket="lake", MaxKeys=5000)
    assert (len(versions["Versions"]), versions["MaxKeys"]) == (1000, 1000)
