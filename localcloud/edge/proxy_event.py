"""API Gateway's Lambda proxy integration, payload format 2.0: a request as event, the answer as response."""

import base64
import binascii
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from localcloud.edge.addresses import ACCOUNT
from localcloud.edge.http_apis import Api, Route

TEXT_TYPES = ("application/json", "application/xml", "application/javascript", "application/x-www-form-urlencoded")
DROPPED = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive", "date"})


@dataclass(frozen=True)
class Request:
    """One HTTP request as it came in; `target` is the path with its query."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    source: str

    @property
    def path(self) -> str:
        """The path, decoded, without the query."""
        return unquote(urlsplit(self.target).path) or "/"

    @property
    def host(self) -> str:
        """The Host header without its port."""
        return self.header("host").rsplit(":", 1)[0]

    def header(self, name: str) -> str:
        """All values of a header, joined as API Gateway joins them."""
        return ",".join(value for key, value in self.headers if key.lower() == name)


@dataclass(frozen=True)
class Response:
    """What the client gets."""

    status: int
    headers: Sequence[tuple[str, str]] = field(default_factory=tuple)
    body: bytes = b""


def message(status: int, text: str) -> Response:
    """An answer of API Gateway itself."""
    return Response(status, [("content-type", "application/json")], json.dumps({"message": text}).encode())


INTERNAL_ERROR = message(500, "Internal Server Error")


def event(api: Api, route: Route, parameters: Mapping[str, str], request: Request) -> dict[str, Any]:
    """The event that the function gets; what is empty is left out, as in AWS."""
    names = dict.fromkeys(name.lower() for name, _ in request.headers)
    body, encoded = _body(request)
    query = parse_qsl(urlsplit(request.target).query, keep_blank_values=True)
    optional = {
        "cookies": [part.strip() for part in request.header("cookie").split(";") if part.strip()],
        "queryStringParameters": {name: ",".join(v for n, v in query if n == name) for name, _ in query},
        "pathParameters": dict(parameters),
        "body": body,
    }
    return {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": request.path,
        "rawQueryString": urlsplit(request.target).query,
        "headers": {name: request.header(name) for name in names if name != "cookie"},
        "requestContext": _context(api, route, request),
        **{name: value for name, value in optional.items() if value},
        "isBase64Encoded": encoded,
    }


def _context(api: Api, route: Route, request: Request) -> dict[str, Any]:
    now = time.time()
    return {
        "accountId": ACCOUNT,
        "apiId": api.api_id,
        "domainName": request.host,
        "domainPrefix": request.host.partition(".")[0],
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.source,
            "userAgent": request.header("user-agent"),
        },
        "requestId": str(uuid.uuid4()),
        "routeKey": route.key,
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }


def _body(request: Request) -> tuple[str, bool]:
    kind = request.header("content-type").partition(";")[0].strip().lower()
    textual = not kind or kind.startswith("text/") or kind in TEXT_TYPES or kind.endswith(("+json", "+xml"))
    try:
        if textual:
            return request.body.decode(), False
    except UnicodeDecodeError:
        pass
    return base64.b64encode(request.body).decode(), True


def response(payload: bytes) -> Response:
    """The function's answer as the client gets it; an answer that makes no sense is an internal error."""
    try:
        answer = json.loads(payload)
    except ValueError:
        return INTERNAL_ERROR
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(200, [("content-type", "application/json")], payload)
    try:
        return Response(int(answer["statusCode"]), _headers(answer), _content(answer))
    except (TypeError, ValueError, AttributeError, binascii.Error):
        return INTERNAL_ERROR


def _headers(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    headers = [(name.lower(), str(value)) for name, value in (answer.get("headers") or {}).items()]
    headers += [("set-cookie", str(cookie)) for cookie in answer.get("cookies") or ()]
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain; charset=utf-8"))
    return [(name, value) for name, value in headers if name not in DROPPED]


def _content(answer: Mapping[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise TypeError("the body must be a string")
    return base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()
