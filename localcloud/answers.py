"""Error answers in the wire format of each service, so that SDKs raise what they raise against AWS."""

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from localcloud.calls import Identity, protocol

BROKEN = "InternalFailure"
DENIED = "AccessDenied"
UNAVAILABLE = "ServiceUnavailable"


def error(
    identity: Identity, environ: Mapping[str, Any], status: int, code: str, message: str
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body of an error."""
    spoken = protocol(identity.service, environ)
    if spoken == "smithy-rpc-v2-cbor":
        return status, {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}, _cbor(code, message)
    if spoken in ("json", "rest-json"):
        named = f"{code}Exception"
        body = json.dumps({"__type": named, "message": message, "Message": message}).encode()
        return status, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": named}, body
    inner = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    if identity.service == "s3":
        body = f"<Error>{inner}</Error>".encode()
    else:
        wrapped = f"<Error><Type>Sender</Type>{inner}</Error><RequestId>local</RequestId>"
        body = f"<ErrorResponse>{wrapped}</ErrorResponse>".encode()
    return status, {"Content-Type": "application/xml"}, body


def _cbor(code: str, message: str) -> bytes:
    return b"\xa2" + b"".join(_cbor_text(part) for part in ("__type", code, "message", message))


def _cbor_text(text: str) -> bytes:
    encoded = text.encode()
    return b"\x79" + len(encoded).to_bytes(2, "big") + encoded
