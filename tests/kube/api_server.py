"""A Kubernetes API server over HTTPS: a certificate of its own, bearer tokens, RBAC from docs/kserve-rbac.yaml."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import json
import ssl
import threading
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fakes.clusters import KubeObjects, Refused
from tests.kube import crds

RBAC = Path(__file__).parents[2] / "docs" / "kserve-rbac.yaml"
VERBS = {"GET": "get", "POST": "create", "PUT": "update"}
TOKEN = "a-token-of-the-cluster"


def certificate(folder: Path) -> tuple[Path, str]:
    """A key with its certificate in one file for 127.0.0.1, and its CA as PEM; as on EKS, without key identifiers."""
    key, authority = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name, server = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in ("kubernetes", "kube-apiserver")
    )
    now = dt.datetime.now(dt.UTC)
    blank = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )
    root = (
        blank.subject_name(name)
        .public_key(authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(authority, hashes.SHA256())
    )
    made = (
        blank.subject_name(server)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(authority, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "tls.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path, root.public_bytes(serialization.Encoding.PEM).decode()


@cache
def granted() -> frozenset[tuple[str, str, str]]:
    """(API group, resource, verb) that the documented manifest grants."""
    documents = yaml.safe_load_all(RBAC.read_text())
    rules = [rule for one in documents for rule in one.get("rules", [])]
    return frozenset(
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


class ApiServer:
    """Serves the objects of a cluster. `used` collects which grants were needed."""

    def __init__(self, objects: KubeObjects, folder: Path) -> None:
        server, self.used = self, set[tuple[str, str, str]]()
        self.objects, self.fault = objects, 0  # `fault`: an HTTP status to answer everything with
        self.tokens = {TOKEN}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, said = server._answer(self)
                content = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:
                self.do_GET()

            def do_PUT(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        path, self.ca = certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ApiServer:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: http.server.BaseHTTPRequestHandler) -> tuple[int, dict[str, Any]]:
        try:
            return self._done(request)
        except Refused as refused:
            said = {"kind": "Status", "status": "Failure", "reason": refused.reason, "code": refused.code}
            return refused.code, said | {"apiVersion": "v1", "message": refused.message}

    def _done(self, request: http.server.BaseHTTPRequestHandler) -> tuple[int, dict[str, Any]]:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise Refused(401, "Unauthorized", "Unauthorized")
        if self.fault:
            raise Refused(self.fault, "InternalError", "etcdserver: leader changed")
        parts = urlsplit(request.path)
        group, version, namespace, plural, name = _route(parts.path)
        grant = (group, plural, VERBS.get(request.command, "delete"))
        if grant not in granted():
            raise Refused(403, "Forbidden", f'{plural}.{group} is forbidden: User "mldr" cannot {grant[2]} resource')
        self.used.add(grant)
        kind = _kind(group, version, plural)
        if request.command == "GET":
            return 200, self.objects.get(kind, namespace, name)
        assert parse_qs(parts.query) == {"fieldValidation": ["Strict"]}
        document = json.loads(body)
        if document["metadata"].get("namespace") != namespace or document["kind"] != kind:
            raise Refused(400, "BadRequest", "the namespace or kind of the object does not match the request")
        if request.command == "PUT":
            return 200, self.objects.replace(document)
        return 201, self.objects.create(document)


def _route(path: str) -> tuple[str, str, str, str, str]:
    """(group, version, namespace, plural, name) of a path of the API."""
    pieces = path.strip("/").split("/")
    if pieces[0] != "apis" or len(pieces) < 4:
        raise Refused(404, "NotFound", "the server could not find the requested resource")
    group, version, rest = pieces[1], pieces[2], pieces[3:]
    namespace = ""
    if rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    return group, version, namespace, rest[0], rest[1] if len(rest) > 1 else ""


def _kind(group: str, version: str, plural: str) -> str:
    if (group, version, plural) == ("serving.knative.dev", "v1", "revisions"):
        return "Revision"
    for kind, one in crds.definitions().items():
        if (one["group"], one["version"], one["plural"]) == (group, version, plural):
            return kind
    raise Refused(404, "NotFound", "the server could not find the requested resource")
