"""S3's listings as AWS orders and pages them, and the delete markers of keys that never were.

Restores: versions of one key are newest first, however close in time; a page begins after its markers; checksum
algorithms are listed; delete markers stand among the versions; a page has 1,000 entries at the most; deleting a missing
key of a versioned bucket makes a marker. moto copies every body of the bucket for each page of versions.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend
from moto.s3.responses import S3Response

from localcloud.patches import Patches

LARGEST_PAGE = 1000
SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
OWNER = {"ID": "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a", "DisplayName": "webfile"}
Version = FakeKey | FakeDeleteMarker


def install(patches: Patches) -> None:
    """Put AWS's rules in place."""

    def mark(backend: S3Backend, bucket_name: str, key_name: str) -> FakeDeleteMarker:
        keys = backend.get_bucket(bucket_name).keys
        covered: Any = keys[key_name] if keys.getlist(key_name, []) else SimpleNamespace(name=key_name)
        marker = FakeDeleteMarker(key=covered)
        keys[key_name] = marker
        return marker

    def listed(backend: S3Backend, *arguments: Any, max_keys: int, **named: Any) -> Any:
        return original(backend, *arguments, max_keys=min(max_keys, LARGEST_PAGE), **named)

    patches.replace(S3Backend, "_set_delete_marker", mark)
    patches.replace(S3Response, "list_object_versions", _list_object_versions)
    original = patches.replace(S3Backend, "list_objects_v2", listed)


@dataclass
class Page:
    """What one answer lists."""

    entries: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    last: tuple[str, str | None] | None = None
    truncated: bool = False

    @property
    def size(self) -> int:
        """How many entries it has."""
        return len(self.entries) + len(self.prefixes)


def _list_object_versions(response: S3Response) -> Any:
    asked = {name: values[0] for name, values in response._get_querystring(response.request, response.uri).items()}
    bucket = response.backend.get_bucket(response.bucket_name)
    limit = min(int(asked.get("max-keys", LARGEST_PAGE)), LARGEST_PAGE)
    spell = quote if asked.get("encoding-type") == "url" else str
    page = _page(bucket, asked, limit, spell)
    told = {
        "Name": bucket.name,
        "Prefix": spell(asked.get("prefix", "")),
        "KeyMarker": spell(asked.get("key-marker", "")),
        "VersionIdMarker": asked.get("version-id-marker", ""),
        "MaxKeys": str(limit),
        "IsTruncated": str(page.truncated).lower(),
        "Delimiter": spell(asked["delimiter"]) if "delimiter" in asked else None,
        "EncodingType": asked.get("encoding-type"),
        "NextKeyMarker": spell(page.last[0]) if page.truncated and page.last else None,
        "NextVersionIdMarker": page.last[1] if page.truncated and page.last else None,
    }
    prefixes = "".join(f"<CommonPrefixes>{_tags({'Prefix': spell(one)})}</CommonPrefixes>" for one in page.prefixes)
    inner = _tags(told) + "".join(page.entries) + prefixes
    return 200, {"content-type": "application/xml"}, f"<ListVersionsResult {SPACE}>{inner}</ListVersionsResult>"


def _tags(said: Mapping[str, str | None]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in said.items() if value is not None)


def _page(bucket: FakeBucket, asked: dict[str, str], limit: int, spell: Any) -> Page:
    page, prefix, delimiter = Page(), asked.get("prefix", ""), asked.get("delimiter")
    for version, latest in _after(bucket, prefix, asked.get("key-marker", ""), asked.get("version-id-marker", "")):
        head, found, _ = version.name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        folder = f"{prefix}{head}{delimiter}" if found else None
        if folder and folder in (asked.get("key-marker"), *page.prefixes[-1:]):
            continue
        if page.size >= limit:
            page.truncated = bool(limit)
            break
        if folder:
            page.prefixes.append(folder)
            page.last = folder, None
        else:
            page.entries.append(_entry(version, latest, spell))
            page.last = version.name, version.version_id
    return page


def _after(bucket: FakeBucket, prefix: str, key_marker: str, version_marker: str) -> Iterator[tuple[Version, bool]]:
    """Versions behind the markers, by key in UTF-8 order (which is Python's), newest first."""
    for name in sorted(name for name in bucket.keys._self_iterable() if name.startswith(prefix) and name >= key_marker):
        versions = list(reversed(bucket.keys.getlist(name, [])))
        seen = 0
        if name == key_marker:
            ids = [version.version_id for version in versions]
            seen = ids.index(version_marker) + 1 if version_marker in ids else len(versions)
        for place, version in enumerate(versions[seen:], seen):
            yield version, place == 0


def _entry(version: Version, latest: bool, spell: Any) -> str:
    common: dict[str, str | None] = {
        "Key": spell(version.name),
        "VersionId": version.version_id,
        "IsLatest": str(latest).lower(),
        "LastModified": version.last_modified_ISO8601,
    }
    owner = f"<Owner>{_tags(OWNER)}</Owner>"
    if not isinstance(version, FakeKey):
        return f"<DeleteMarker>{_tags(common)}{owner}</DeleteMarker>"
    kept = {"ETag": version.etag, "Size": str(version.size), "StorageClass": version.storage_class}
    summed = {"ChecksumAlgorithm": version.checksum_algorithm, "ChecksumType": version.checksum_type}
    told = {**common, **kept, **(summed if version.checksum_algorithm else {})}
    return f"<Version>{_tags(told)}{owner}</Version>"
