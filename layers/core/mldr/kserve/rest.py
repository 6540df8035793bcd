"""The Kubernetes REST API of one cluster, spoken with dicts over http.client: no client library, no generated types.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from mldr.domain.kserve import REVISION_API, RUNTIME_API, SERVICE_API, Document
from mldr.errors import EndpointFailed, LostRace, MldrError, NotAllowed, RegionUnreachable, Throttled

TIMEOUT = 10.0  # seconds; an API server answers in a fraction of one, or not at all
# A field that this cluster's KServe does not know is refused; left to itself, the server would drop it in silence.
_STRICT = "?fieldValidation=Strict"
_PLURALS = {
    "InferenceService": (SERVICE_API, "inferenceservices"),
    "ServingRuntime": (RUNTIME_API, "servingruntimes"),
    "ClusterServingRuntime": (RUNTIME_API, "clusterservingruntimes"),
    "Revision": (REVISION_API, "revisions"),
}


class RestInferenceServices:
    """Needs get, create and update on inferenceservices and servingruntimes in the namespace, get on Knative's
    revisions there, and get on clusterservingruntimes: docs/kserve-rbac.yaml.
    """

    def __init__(self, endpoint: str, ca: str, bearer: Callable[[], str]) -> None:
        parts = urlsplit(endpoint)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._bearer, self._endpoint = bearer, endpoint
        self._tls = _trusting(ca)

    def get(self, kind: str, namespace: str, name: str) -> Document | None:
        status, answer = self._ask("GET", f"{_path(kind, namespace)}/{name}", None)
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        return self._good(status, answer, f"read {kind} {namespace}/{name}")

    def create(self, document: Document) -> Document:
        kind, metadata = document["kind"], document["metadata"]
        status, answer = self._ask("POST", _path(kind, metadata["namespace"]) + _STRICT, document)
        return self._good(status, answer, f"create {kind} {metadata['namespace']}/{metadata['name']}")

    def replace(self, document: Document) -> Document:
        kind, metadata = document["kind"], document["metadata"]
        path = f"{_path(kind, metadata['namespace'])}/{metadata['name']}{_STRICT}"
        status, answer = self._ask("PUT", path, document)
        return self._good(status, answer, f"replace {kind} {metadata['namespace']}/{metadata['name']}")

    def _ask(self, method: str, path: str, document: Document | None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self._bearer()}", "Accept": "application/json", "User-Agent": "mldr"}
        body = None
        if document is not None:
            body, headers["Content-Type"] = json.dumps(document), "application/json"
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT, context=self._tls)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, _read(answer.read())
        except ssl.SSLCertVerificationError as error:
            raise NotAllowed(f"{self._endpoint}: {error}; give the cluster's own CA in the policy") from error
        except (OSError, http.client.HTTPException) as error:
            raise RegionUnreachable(f"{self._endpoint}: {type(error).__name__} {error}; it is tried again") from error
        finally:
            connection.close()

    def _good(self, status: int, answer: Any, what: str) -> Document:
        if status < http.HTTPStatus.MULTIPLE_CHOICES and isinstance(answer, dict):
            return answer
        raise _refusal(status, f"{what} in {self._endpoint}: {status} {_message(answer)}")


def _trusting(ca: str) -> ssl.SSLContext:
    """Return what checks an API server's chain, its expiry and its host name.

    Not strictly, which Python does since 3.13: the CA that EKS makes names no key identifiers, and no call would get
    through (github.com/kubernetes-client/python/issues/2394, github.com/awslabs/mcp/issues/3791).
    """
    context = ssl.create_default_context(cadata=ca or None)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _path(kind: str, namespace: str) -> str:
    api, plural = _PLURALS[kind]
    scope = "" if kind.startswith("Cluster") else f"/namespaces/{namespace}"
    return f"/apis/{api}{scope}/{plural}"


def _read(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content[:200].decode("utf-8", errors="replace")


def _message(answer: Any) -> str:
    """Return what a Status object, or whatever stands in its place, says."""
    return str(answer.get("message", answer)) if isinstance(answer, dict) else str(answer)


def _refusal(status: int, said: str) -> MldrError:
    if status in (401, 403):
        return NotAllowed(f"{said}; apply docs/kserve-rbac.yaml and map the function's role or token to its group")
    if status == 409:
        return LostRace(f"{said}; it is read and decided again")
    if status == 429:
        return Throttled(f"{said}; it is tried again, more slowly")
    if status >= 500:
        return RegionUnreachable(f"{said}; it is tried again")
    return EndpointFailed(f"{said}; mend it and request the failover again")
