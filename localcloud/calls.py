"""Every API call: which service, operation, region and caller, and the log that law 1 is checked from."""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, unquote

from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, StructureShape

SIGNED_AS = {
    "apigateway": ("apigatewayv2", "apigateway"),
    "dynamodb": ("dynamodb", "dynamodbstreams"),
    "monitoring": ("cloudwatch",),
    "sagemaker": ("sagemaker", "sagemaker-runtime", "sagemaker-featurestore-runtime", "sagemaker-metrics"),
    "servicequotas": ("service-quotas",),
    "states": ("stepfunctions",),
}
REMOTE_SERVICES = frozenset(
    {
        "iam",
        "cloudformation",
        "route53-recovery-control-config",
        "route53-recovery-readiness",
        "arc-region-switch",
        "arc-zonal-shift",
    }
)
ROUTE53_CHANGES = ("Change", "Create", "Delete", "Update")
BUCKET_CONFIGURATION = re.compile(
    r"CreateBucket|DeleteBucket\w*|PutBucket\w+|PutObjectLockConfiguration|(Put|Delete)PublicAccessBlock|UpdateBucketMetadata\w+"
)
GLOBAL_SERVICES, GLOBAL_REGION = frozenset({"iam", "route53"}), "us-east-1"
S3_CONTROL = "/v20180820/"
UNKNOWN = "Unknown"
CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/,\s]+)/([^/,\s]+)/aws4_request")


class Identity(NamedTuple):
    """What a request is, by its signature and by botocore's service models."""

    service: str
    operation: str
    region: str
    access_key: str


@dataclass(frozen=True)
class Call:
    """One request that reached the endpoint, and what became of it."""

    at: float
    region: str
    service: str
    operation: str
    principal: str
    status: int
    refused: str | None = None


class CallLog:
    """All calls since the start, oldest first."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._lock = threading.Lock()

    def append(self, call: Call) -> None:
        """Remember one call."""
        with self._lock:
            self._calls.append(call)

    def since(self, at: float) -> list[Call]:
        """The calls that arrived at this time (seconds since the epoch) or later."""
        with self._lock:
            return [call for call in self._calls if call.at >= at]


def is_bucket_configuration(service: str, operation: str) -> bool:
    """Is it one of the S3 operations whose control plane lives in us-east-1?"""
    return service == "s3" and bool(BUCKET_CONFIGURATION.fullmatch(operation))


def is_remote_control_plane(call: Call) -> bool:
    """Does the call need a control plane that lives outside the recovering region (law 1)?"""
    if call.service == "route53":
        return call.operation.startswith(ROUTE53_CHANGES)
    return call.service in REMOTE_SERVICES or is_bucket_configuration(call.service, call.operation)


def as_json(call: Call) -> dict[str, Any]:
    """The call as `mldr local calls --json` prints it."""
    return {**asdict(call), "control_plane": is_remote_control_plane(call)}


def identify(environ: Mapping[str, Any]) -> Identity:
    """Name the service, operation, region and access key of a WSGI request."""
    key, region, signed = _scope(environ)
    services = ("s3control",) if _is_s3_control(signed, environ) else SIGNED_AS.get(signed, (signed,))
    # With an endpoint of one's own the SDK signs these for the client's region.
    region = GLOBAL_REGION if signed in GLOBAL_SERVICES else region
    for service in services:
        if operation := _operation(service, environ):
            return Identity(service, operation, region, key)
    return Identity(services[0], UNKNOWN, region, key)


def _is_s3_control(signed: str, environ: Mapping[str, Any]) -> bool:
    """S3 Control signs as S3; with an endpoint of one's own only its path tells them apart."""
    return signed == "s3" and _path(environ).startswith(S3_CONTROL)


def bucket_and_key(environ: Mapping[str, Any]) -> tuple[str, str]:
    """The bucket and key of a path-style S3 request; empty when the path names none."""
    bucket, _, key = _path(environ).lstrip("/").partition("/")
    return bucket, key


def copy_source(environ: Mapping[str, Any]) -> tuple[str, str, str | None] | None:
    """Bucket, key and version that a CopyObject or UploadPartCopy reads from."""
    header = str(environ.get("HTTP_X_AMZ_COPY_SOURCE", ""))
    if not header:
        return None
    path, _, query = header.partition("?")
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    return bucket, key, dict(parse_qsl(query)).get("versionId")


def parameters(environ: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    """The request's input members, by the names of the service model; `xml` is an XML body; S3 bodies stay unread."""
    body = b"" if identity.service == "s3" else _body(environ)
    target = environ.get("HTTP_X_AMZ_TARGET")
    if not target and body[:1] not in (b"{", b"[") and b"Action=" in body:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    found: dict[str, Any] = {name: values[0] for name, values in _query(environ).items()}
    route = next((r for r in _routes(identity.service) if r.operation == identity.operation), None)
    if route and (match := route.pattern.fullmatch(_path(environ))):
        found.update(zip(route.labels, (unquote(value) for value in match.groups()), strict=True))
    if component := environ.get("HTTP_X_AMZN_SAGEMAKER_INFERENCE_COMPONENT"):
        found["InferenceComponentName"] = component
    if body[:1] == b"<":
        found["xml"] = body.decode()
    if body[:1] == b"{":
        found.update(json.loads(body))
    return found


def xml_body(environ: Mapping[str, Any]) -> bytes:
    """The body of a request that lists things in XML; without the chunk headers of a streamed upload."""
    body = _body(environ)
    return body[body.index(b"<") : body.rindex(b">") + 1] if b"<" in body else b"<Delete/>"


def protocol(service: str, environ: Mapping[str, Any]) -> str:
    """The wire format of the request: some services speak several."""
    if environ.get("HTTP_X_AMZ_TARGET"):
        return "json"
    if _path(environ).startswith("/service/"):
        return "smithy-rpc-v2-cbor"
    if str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded"):
        return "query"
    model = _model(service)
    return str(model.metadata["protocol"]) if model else "rest-xml"


def _scope(environ: Mapping[str, Any]) -> tuple[str, str, str]:
    match = CREDENTIAL.search(str(environ.get("HTTP_AUTHORIZATION", "")))
    if match:
        return match.group(1), match.group(2), match.group(3)
    presigned = dict(parse_qsl(str(environ.get("QUERY_STRING", "")))).get("X-Amz-Credential", "").split("/")
    if len(presigned) == 5:
        return presigned[0], presigned[2], presigned[3]
    return "anonymous", "us-east-1", "s3"


def _operation(service: str, environ: Mapping[str, Any]) -> str | None:
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    if target:
        prefix, _, operation = target.rpartition(".")
        return operation if _target_prefix(service) in ("", prefix) else None
    if cbor := re.fullmatch(r"/service/\w+/operation/(\w+)", _path(environ)):
        return cbor.group(1)
    if str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded"):
        return parse_qs(_body(environ).decode()).get("Action", [None])[0]
    return _rest_operation(service, environ)


def _rest_operation(service: str, environ: Mapping[str, Any]) -> str | None:
    """The route that demands most of what the request carries."""
    query = set(_query(environ))
    fitting = [
        route
        for route in _routes(service)
        if route.method == environ.get("REQUEST_METHOD")
        and route.pattern.fullmatch(_path(environ))
        and route.query <= query
        and all(environ.get(name) for name in route.headers)
        and (not route.list_type or _query(environ).get("list-type") == ["2"])
    ]
    best = max(fitting, key=lambda route: route.precision, default=None)
    return best.operation if best else None


@dataclass(frozen=True)
class Route:
    """How one REST operation looks on the wire."""

    operation: str
    method: str
    pattern: re.Pattern[str]
    labels: tuple[str, ...]
    query: frozenset[str]
    headers: tuple[str, ...]
    list_type: bool

    @property
    def precision(self) -> tuple[int, int, int]:
        return len(self.query), len(self.headers), -len(self.labels)


@cache
def _routes(service: str) -> tuple[Route, ...]:
    model = _model(service)
    return tuple(_route_of(model.operation_model(name)) for name in model.operation_names) if model else ()


def _route_of(operation: OperationModel) -> Route:
    uri = str(operation.http.get("requestUri", "/"))
    path, _, literal = uri.partition("?")
    members = _members(operation, "uri")
    labels = tuple(members.get(label, label) for label in re.findall(r"\{(\w+)\+?\}", path))
    pattern = "".join(_segment(part) for part in re.split(r"(\{\w+\+?\})", path.rstrip("/")))
    query = {pair.partition("=")[0] for pair in literal.split("&") if pair} - {"x-id"}
    required = set(_required(operation, "querystring"))
    headers = tuple(f"HTTP_{name.upper().replace('-', '_')}" for name in _required(operation, "header"))
    method = str(operation.http["method"])
    return Route(
        operation.name,
        method,
        re.compile(pattern + "/?"),
        labels,
        frozenset(query | required),
        headers,
        "list-type=2" in literal,
    )


def _members(operation: OperationModel, location: str) -> dict[str, str]:
    """Input members by the names that they have on the wire."""
    shape = operation.input_shape
    found = shape.members.items() if isinstance(shape, StructureShape) else ()
    return {
        str(member.serialization.get("name", name)): name
        for name, member in found
        if member.serialization.get("location") == location
    }


def _segment(part: str) -> str:
    if part.startswith("{"):
        return "(.+)" if part.endswith("+}") else "([^/]+)"
    return re.escape(part)


def _required(operation: OperationModel, location: str) -> Iterator[str]:
    shape = operation.input_shape
    if not isinstance(shape, StructureShape):
        return
    for name in shape.required_members:
        serialization = shape.members[name].serialization
        if serialization.get("location") == location:
            yield str(serialization.get("name", name))


@cache
def _model(service: str) -> ServiceModel | None:
    try:
        return ServiceModel(Loader().load_service_model(service, "service-2"), service)
    except UnknownServiceError:
        return None


@cache
def _target_prefix(service: str) -> str:
    model = _model(service)
    return str(model.metadata.get("targetPrefix", "-")) if model else ""


def _path(environ: Mapping[str, Any]) -> str:
    raw = str(environ.get("PATH_INFO", "/"))
    return raw.encode("latin-1", "replace").decode("utf-8", "replace")


def _query(environ: Mapping[str, Any]) -> dict[str, list[str]]:
    return parse_qs(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)


def _body(environ: Mapping[str, Any]) -> bytes:
    """The body; the server keeps it in memory, so reading it takes nothing from moto."""
    stream = environ.get("wsgi.input")
    if stream is None:
        return b""
    content: bytes = stream.read()
    stream.seek(0)
    return content
