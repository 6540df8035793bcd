"""The few S3 calls that are made once per object, without boto3's cost: 0.2 ms of CPU in place of 1.4."""

from __future__ import annotations

import base64
import datetime as dt
import html
import re
import zlib
from collections.abc import Iterator, Mapping
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast
from urllib.parse import quote, unquote_plus, urlsplit
from xml.etree import ElementTree

from botocore.exceptions import IncompleteReadError, ParamValidationError
from botocore.parsers import create_parser

from mldr.aws.s3_connections import Answer, Connections, Transport
from mldr.aws.s3_signer import Request, Signer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CALLS = ("CopyObject", "UploadPartCopy", "HeadObject", "GetObject", "PutObject")
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
# Buckets of these names are the first label of the host; a dot would not fit the certificate's wildcard.
VIRTUAL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
# Any other endpoint was given by hand, and botocore then keeps its host as it is.
AMAZON = re.compile(r"s3(-fips)?(\.dualstack)?(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?")
FIELD = re.compile(rb"<(ETag|Checksum\w+)>([^<]*)</")
# A version as S3 and radosgw write it. Any other shape of a page is read by an XML parser, at twice the CPU time.
LISTED = re.compile(
    r"<(Version|DeleteMarker)><Key>([^<]*)</Key><VersionId>([^<]*)</VersionId><IsLatest>(true|false)</IsLatest>"
    r"<LastModified>([^<]*)</LastModified>(?:<ETag>([^<]*)</ETag>)?"
    r"(?:<ChecksumAlgorithm>([^<]*)</ChecksumAlgorithm>)?(?:<ChecksumType>([^<]*)</ChecksumType>)?"
    r"(?:<Size>(\d+)</Size>)?(?:<Owner>(?:<\w+>[^<]*</\w+>)*</Owner>|<(StorageClass|Type)>[^<]*</\10>)*</\1>"
)


class Source(Protocol):
    """One version of one object; no version id, no pin."""

    @property
    def bucket(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def version_id(self) -> str | None: ...


class Copied(NamedTuple):
    """What a copy made; a part has no version. `checksums` is base64 by algorithm."""

    version_id: str | None
    etag: str
    checksums: dict[str, str]
    checksum_type: str


class Head(NamedTuple):
    """An object's description; `headers` holds all of it, by lower-case name. `size` is the body's, in bytes."""

    size: int
    etag: str
    version_id: str | None
    checksums: dict[str, str]
    checksum_type: str
    content_type: str
    metadata: dict[str, str]
    headers: dict[str, str]


class Version(NamedTuple):
    """One line of a listing; '' where the server says nothing. `size` in bytes, 0 for a delete marker."""

    key: str
    version_id: str
    is_latest: bool
    is_delete_marker: bool
    modified: dt.datetime
    etag: str
    size: int
    checksum_algorithm: str
    checksum_type: str


class VersionPage(NamedTuple):
    """Versions in the server's order, and where the next page begins: '' after the last."""

    versions: list[Version]
    key_marker: str
    version_marker: str


class Stream:
    """An object's bytes on their way. Use it in `with`, or read it to its end."""

    def __init__(self, answer: Answer) -> None:
        self.head = _head(answer.fields)
        self._answer, self._read = answer, 0

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the bytes, at most `size` at a time. Raises IncompleteReadError when some are missing."""
        while not self._answer.isclosed():
            chunk = self._answer.content(size)
            self._read += len(chunk)
            if chunk:
                yield chunk
        if self._read != self.head.size:
            self.close()
            raise IncompleteReadError(actual_bytes=self._read, expected_bytes=self.head.size)

    def read(self) -> bytes:
        """Return all bytes that are left."""
        return b"".join(self.chunks(1024 * 1024))

    def close(self) -> None:
        """Give up what is not yet read."""
        if not self._answer.isclosed():
            self._answer.close()
            self._answer.connection.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class S3Wire:
    """Does what the boto3 client it is made of would do, with its region, credentials, endpoint and timeouts.

    `options` are the header and query parameters of the boto3 call, by the same names. ETags have no quotes.
    Raises what boto3 raises, at once: nothing is repeated here, and a redirect to another region is an error.
    """

    def __init__(self, client: S3Client) -> None:
        self._client = cast(Any, client)
        credentials = self._client._get_credentials()
        self._signer = Signer(credentials, client.meta.region_name)
        self._transport = Transport(client)
        self._endpoint = urlsplit(client.meta.endpoint_url)
        self._style = (self._client.meta.config.s3 or {}).get("addressing_style") or "auto"
        self._unsigned = f"user-agent: {self._client.meta.config.user_agent}\r\n"
        self._connections: dict[str, Connections] = {}
        self._parameters = {call: _parameters(client, call) for call in CALLS}
        self._parser: Any = create_parser("rest-xml")

    def copy_object(self, bucket: str, key: str, source: Source, **options: Any) -> Copied:
        """Copy a version of at most 5 GB (docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html)."""
        query, headers = self._sorted("CopyObject", options)
        headers["x-amz-copy-source"] = _copy_source(source)
        answer, body = self._asked("CopyObject", "PUT", bucket, key, query, headers)
        return self._copied("CopyObject", b"</CopyObjectResult>", answer, body)

    def upload_part_copy(
        self, bucket: str, key: str, source: Source, upload_id: str, number: int, **options: Any
    ) -> Copied:
        """Copy a range into a part (docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html)."""
        query, headers = self._sorted("UploadPartCopy", options)
        headers["x-amz-copy-source"] = _copy_source(source)
        query |= {"partNumber": str(number), "uploadId": upload_id}
        answer, body = self._asked("UploadPartCopy", "PUT", bucket, key, query, headers)
        return self._copied("UploadPartCopy", b"</CopyPartResult>", answer, body)

    def head_object(self, bucket: str, key: str, **options: Any) -> Head:
        """Describe an object (docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html)."""
        answer, _ = self._asked("HeadObject", "HEAD", bucket, key, *self._sorted("HeadObject", options))
        return _head(answer.fields)

    def get_object(self, bucket: str, key: str, **options: Any) -> Stream:
        """Open an object, or a range of it; its checksum is not compared here
        (docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html)."""
        query, headers = self._sorted("GetObject", options)
        answer = self._sent(Request("GET", *self._place(bucket, key), query, headers))
        if answer.status >= 300:
            raise self._refused("GetObject", answer.status, answer, answer.content())
        return Stream(answer)

    def put_object(self, bucket: str, key: str, body: bytes, **options: Any) -> str | None:
        """Write an object, with its SHA-256 for S3 to compare and to keep; return its version
        (docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html)."""
        query, headers = self._sorted("PutObject", options)
        headers["x-amz-sdk-checksum-algorithm"] = "SHA256"
        headers["x-amz-checksum-sha256"] = base64.b64encode(sha256(body).digest()).decode()
        answer, _ = self._asked("PutObject", "PUT", bucket, key, query, headers, body)
        return answer.fields.get("x-amz-version-id")

    def get_bucket_versioning(self, bucket: str) -> str:
        """Return whether a bucket keeps versions: Enabled, Suspended or ''
        (docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html)."""
        _, body = self._asked("GetBucketVersioning", "GET", bucket, "", {"versioning": ""}, {})
        return _between(body.decode(errors="replace"), "Status")

    def put_object_retention(self, bucket: str, key: str, version_id: str, mode: str, until: dt.datetime) -> None:
        """Lock a version until then (docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html)."""
        content = f"<Mode>{html.escape(mode)}</Mode><RetainUntilDate>{_iso(until)}</RetainUntilDate>"
        body = f'<Retention xmlns="{NAMESPACE}">{content}</Retention>'.encode()
        crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        headers = {"x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-checksum-crc32": crc}
        query = {"retention": "", "versionId": version_id}
        self._asked("PutObjectRetention", "PUT", bucket, key, query, headers, body)

    def list_object_versions(
        self, bucket: str, prefix: str = "", *, key_marker: str = "", version_marker: str = "", max_keys: int = 1000
    ) -> VersionPage:
        """Return one page of a bucket's versions and delete markers
        (docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html)."""
        query = {"versions": "", "prefix": prefix, "encoding-type": "url", "max-keys": str(max_keys)}
        if key_marker:
            query["key-marker"] = key_marker
        if version_marker:
            query["version-id-marker"] = version_marker
        answer, body = self._asked("ListObjectVersions", "GET", bucket, "", query, {})
        try:
            return _version_page(body)
        except ElementTree.ParseError:
            # Cut short, or holding what XML cannot: an error of the server's, as botocore sees it.
            raise self._refused("ListObjectVersions", 500, answer, body) from None

    def close(self) -> None:
        """Close the idle connections."""
        for connections in self._connections.values():
            connections.close()

    def _sorted(self, call: str, options: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the options as (query, headers)."""
        query: dict[str, str] = {}
        headers: dict[str, str] = {}
        for option, value in options.items():
            try:
                name, form = self._parameters[call][option]
            except KeyError:
                known = ", ".join(sorted(self._parameters[call]))
                raise ParamValidationError(report=f"{call} takes {known}; not {option}") from None
            if form == "map":
                headers.update({f"{name}{key.lower()}": text for key, text in value.items()})
            elif form == "query":
                query[name] = _text(value, form)
            else:
                headers[name] = _text(value, form)
        return query, headers

    def _asked(
        self,
        call: str,
        method: str,
        bucket: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> tuple[Answer, bytes]:
        """Return an answer that is read to its end. Raises ClientError when it is an error's."""
        answer = self._sent(Request(method, *self._place(bucket, key), query, headers, body))
        content = answer.content()
        if answer.status >= 300:
            raise self._refused(call, answer.status, answer, content)
        return answer, content

    def _sent(self, request: Request) -> Answer:
        connections = self._connections.get(request.host) or self._connect(request.host)
        head = self._signer.head(request, connections.prefix, self._unsigned + connections.lines)
        return connections.ask(head + request.body, request.method)

    def _place(self, bucket: str, key: str) -> tuple[str, str]:
        """Return (host, path) of an object."""
        path = quote(key, safe="/~")
        if self._is_virtual(bucket):
            return f"{bucket}.{self._endpoint.netloc}", f"/{path}"
        return self._endpoint.netloc, f"{self._endpoint.path.rstrip('/')}/{bucket}{'/' if key else ''}{path}"

    def _is_virtual(self, bucket: str) -> bool:
        if self._style == "path" or not VIRTUAL.fullmatch(bucket):
            return False
        return self._style == "virtual" or bool(AMAZON.fullmatch(self._endpoint.hostname or ""))

    def _connect(self, host: str) -> Connections:
        return self._connections.setdefault(host, Connections(f"{self._endpoint.scheme}://{host}", self._transport))

    def _copied(self, call: str, ending: bytes, answer: Answer, body: bytes) -> Copied:
        # A copy that fails half-way says so under a status of 200 that was sent long before.
        if ending not in body:
            raise self._refused(call, 500, answer, body)
        fields = {name.decode(): html.unescape(value.decode()) for name, value in FIELD.findall(body)}
        etag, kind = fields.pop("ETag", "").strip('"'), fields.pop("ChecksumType", "")
        checksums = {name.removeprefix("Checksum"): value for name, value in fields.items()}
        return Copied(answer.fields.get("x-amz-version-id"), etag, checksums, kind)

    def _refused(self, call: str, status: int, answer: Answer, body: bytes) -> Exception:
        """Return the error that boto3 would raise; its own parser makes it."""
        parsed = self._parser.parse({"status_code": status, "headers": answer.fields, "body": body}, None)
        kind = self._client.exceptions.from_code(parsed.get("Error", {}).get("Code"))
        error: Exception = kind(parsed, call)
        return error


def _copy_source(source: Source) -> str:
    name = quote(f"{source.bucket}/{source.key}", safe="/~")
    return f"{name}?versionId={source.version_id}" if source.version_id else name


def _parameters(client: Any, call: str) -> dict[str, tuple[str, str]]:
    """Return (name on the wire, form) of each parameter of a call that travels in a header or the query."""
    found: dict[str, tuple[str, str]] = {}
    for name, shape in client.meta.service_model.operation_model(call).input_shape.members.items():
        place = shape.serialization.get("location")
        if place == "querystring":
            found[name] = (shape.serialization["name"], "query")
        elif place == "headers":
            found[name] = (shape.serialization["name"].lower(), "map")
        elif place == "header":
            found[name] = (shape.serialization["name"].lower(), shape.serialization.get("timestampFormat", "header"))
    return found


def _text(value: Any, form: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return _iso(value) if form == "iso8601" else format_datetime(value.astimezone(dt.UTC), usegmt=True)
    return str(value)


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"


@lru_cache(maxsize=256)
def _checksum_name(header: str) -> str:
    return header.removeprefix("x-amz-checksum-").upper()


def _head(headers: dict[str, str]) -> Head:
    checksums: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for name, value in headers.items():
        if name.startswith("x-amz-meta-"):
            metadata[name.removeprefix("x-amz-meta-")] = value
        elif name.startswith("x-amz-checksum-"):
            checksums[_checksum_name(name)] = value
    return Head(
        size=int(headers.get("content-length", 0)),
        etag=headers.get("etag", "").strip('"'),
        version_id=headers.get("x-amz-version-id"),
        checksum_type=checksums.pop("TYPE", ""),
        checksums=checksums,
        content_type=headers.get("content-type", ""),
        metadata=metadata,
        headers=headers,
    )


def _version_page(body: bytes) -> VersionPage:
    """Return a page of versions. Raises ParseError."""
    return _usual_page(body.decode(errors="replace")) or _any_page(body)


def _usual_page(text: str) -> VersionPage | None:
    """Return a page of the usual shape; None when anything in it is not as expected."""
    found = LISTED.findall(text)
    first = text.find(f"<{found[0][0]}>") if found else -1
    about = text[: max(0, first)]
    counted = text.count("<Version>") + text.count("<DeleteMarker>")
    strange = "\r" in text or "\ufffd" in text or "<!" in text or "&" in about
    whole = about.count("<IsTruncated>") == 1 and text.rstrip().endswith("></ListVersionsResult>")
    if strange or not whole or counted != len(found):
        return None
    encoded = "<EncodingType>url</EncodingType>" in about
    versions = [_listed_version(fields, encoded) for fields in found]
    if "<IsTruncated>true</IsTruncated>" not in about:
        return VersionPage(versions, "", "")
    key_marker, version_marker = _between(about, "NextKeyMarker"), _between(about, "NextVersionIdMarker")
    return VersionPage(versions, _marker(key_marker, versions, encoded), version_marker) if key_marker else None


def _listed_version(fields: tuple[str, ...], encoded: bool) -> Version:
    kind, key, version_id, latest, modified, etag, algorithm, checksum_type, size, _ = fields
    if "&" in key or "&" in version_id:
        key, version_id = html.unescape(key), html.unescape(version_id)
    return Version(
        _decoded(key) if encoded else key,
        version_id,
        latest == "true",
        kind == "DeleteMarker",
        dt.datetime.fromisoformat(modified),
        html.unescape(etag.replace("&quot;", '"')).strip('"'),
        int(size or 0),
        algorithm,
        checksum_type,
    )


def _decoded(key: str) -> str:
    """Return a key of a listing; most hold nothing but a slash that is encoded."""
    plain = key.replace("%2F", "/")
    return unquote_plus(key) if "%" in plain or "+" in plain else plain


def _between(text: str, name: str) -> str:
    return text.partition(f"<{name}>")[2].partition(f"</{name}>")[0]


def _marker(marker: str, versions: list[Version], encoded: bool) -> str:
    # radosgw encodes the keys but not the marker, which is the last of them.
    return unquote_plus(marker) if encoded and not (versions and versions[-1].key == marker) else marker


def _any_page(body: bytes) -> VersionPage:
    root = ElementTree.fromstring(body)  # noqa: S314  the answer of the server that we authenticated with
    space = root.tag[: root.tag.index("}") + 1] if "}" in root.tag else ""
    encoded = root.findtext(f"{space}EncodingType") == "url"
    start, kinds = len(space), (f"{space}Version", f"{space}DeleteMarker")
    versions = [
        _version({child.tag[start:]: child.text or "" for child in entry}, entry.tag == kinds[1], encoded)
        for entry in root
        if entry.tag in kinds
    ]
    if root.findtext(f"{space}IsTruncated") != "true":
        return VersionPage(versions, "", "")
    marker = _marker(root.findtext(f"{space}NextKeyMarker") or "", versions, encoded)
    return VersionPage(versions, marker, root.findtext(f"{space}NextVersionIdMarker") or "")


def _version(fields: dict[str, str], is_delete_marker: bool, encoded: bool) -> Version:
    key = fields["Key"]
    return Version(
        _decoded(key) if encoded else key,
        fields["VersionId"],
        fields["IsLatest"] == "true",
        is_delete_marker,
        dt.datetime.fromisoformat(fields["LastModified"]),
        fields.get("ETag", "").strip('"'),
        int(fields.get("Size", 0)),
        fields.get("ChecksumAlgorithm", ""),
        fields.get("ChecksumType", ""),
    )
