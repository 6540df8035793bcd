"""Kubernetes clusters in memory: versions, generations and refusals as an API server keeps them."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from typing import Any

from mldr.errors import BadPolicy, EndpointFailed, LostRace
from tests.kube import crds

Document = dict[str, Any]
Key = tuple[str, str, str]


class Refused(Exception):
    """The API server's Status: code, reason, message."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        self.code, self.reason, self.message = code, reason, message
        super().__init__(message)


class KubeObjects:
    """What a cluster keeps. `changed` is told of every InferenceService that was created or written over."""

    def __init__(self, changed: Callable[[Document], None] = lambda _: None) -> None:
        self.changed = changed
        self._held: dict[Key, Document] = {}
        self._version = 100

    def get(self, kind: str, namespace: str, name: str) -> Document:
        """Return a copy. Refuses with 404."""
        found = self._held.get(_key(kind, namespace, name))
        if found is None:
            raise Refused(404, "NotFound", f'{kind.lower()} "{name}" not found')
        return copy.deepcopy(found)

    def every(self, kind: str) -> list[Document]:
        """All objects of a kind."""
        return [copy.deepcopy(one) for (held, _, _), one in self._held.items() if held == kind]

    def create(self, document: Document) -> Document:
        """Keep a new object. Refuses with 409 when it is there, 400 or 422 when it is not valid."""
        kind, metadata = document["kind"], document["metadata"]
        key = _key(kind, metadata.get("namespace", ""), metadata["name"])
        if key in self._held:
            raise Refused(409, "AlreadyExists", f'{kind.lower()} "{metadata["name"]}" already exists')
        kept = self._valid(document)
        kept.pop("status", None) if kind == "InferenceService" else None
        kept["metadata"] |= {"uid": str(uuid.uuid4()), "generation": 1, "creationTimestamp": "2026-03-01T12:00:00Z"}
        return self._keep(key, kept)

    def replace(self, document: Document) -> Document:
        """Write over an object of the same version; its status stays. Refuses with 404, 409, 400 or 422."""
        kind, metadata = document["kind"], document["metadata"]
        key = _key(kind, metadata.get("namespace", ""), metadata["name"])
        held = self.get(*key)
        version = metadata.get("resourceVersion")
        if version is None:
            raise Refused(
                422, "Invalid", "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
            )
        if version != held["metadata"]["resourceVersion"]:
            raise Refused(
                409, "Conflict", "the object has been modified; please apply your changes to the latest version"
            )
        kept = self._valid(document)
        grown = held["metadata"]["generation"] + (kept["spec"] != held["spec"])
        kept["metadata"] |= {"uid": held["metadata"]["uid"], "generation": grown}
        if "status" in held:
            kept["status"] = held["status"]
        return self._keep(key, kept)

    def put_status(self, namespace: str, name: str, status: Document) -> None:
        """Write the status subresource of an InferenceService, as its controller does."""
        held = self.get("InferenceService", namespace, name) | {"status": status}
        mistakes = crds.wrong("InferenceService", held) + crds.unknown("InferenceService", held)
        assert not mistakes, mistakes
        self._version += 1
        held["metadata"]["resourceVersion"] = str(self._version)
        self._held[_key("InferenceService", namespace, name)] = held

    def put(self, document: Document) -> None:
        """Keep an object of somebody else's: a Knative revision, a cluster's runtime."""
        metadata = document["metadata"]
        self._version += 1
        kept = copy.deepcopy(document)
        kept["metadata"]["resourceVersion"] = str(self._version)
        self._held[_key(document["kind"], metadata.get("namespace", ""), metadata["name"])] = kept

    def _valid(self, document: Document) -> Document:
        kind = document["kind"]
        if unknown := crds.unknown(kind, document):
            listed = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise Refused(400, "BadRequest", f"strict decoding error: {listed}")
        kept = crds.with_defaults(kind, copy.deepcopy(document))
        if mistakes := crds.wrong(kind, kept):
            raise Refused(422, "Invalid", f"{kind} is invalid: {'; '.join(mistakes)}")
        return kept

    def _keep(self, key: Key, kept: Document) -> Document:
        self._version += 1
        kept["metadata"]["resourceVersion"] = str(self._version)
        self._held[key] = kept
        if kept["kind"] == "InferenceService":
            self.changed(copy.deepcopy(kept))
        return self.get(*key)


def _key(kind: str, namespace: str, name: str) -> Key:
    return kind, "" if kind.startswith("Cluster") else namespace, name


class FakeInferenceServices:
    """One cluster's objects, with our errors in place of the API server's."""

    def __init__(self, objects: KubeObjects) -> None:
        self.objects = objects

    def get(self, kind: str, namespace: str, name: str) -> Document | None:
        try:
            return self.objects.get(kind, namespace, name)
        except Refused:
            return None

    def create(self, document: Document) -> Document:
        return _ours(self.objects.create, document)

    def replace(self, document: Document) -> Document:
        return _ours(self.objects.replace, document)


def _ours(act: Callable[[Document], Document], document: Document) -> Document:
    try:
        return act(document)
    except Refused as refused:
        if refused.code == 409:
            raise LostRace(refused.message) from refused
        raise EndpointFailed(refused.message) from refused


class FakeClusters:
    """`reached` maps (cluster, region) to its objects and its ingress."""

    def __init__(self) -> None:
        self.reached: dict[tuple[str, str], tuple[KubeObjects, str]] = {}

    def services(self, cluster: str, region: str) -> FakeInferenceServices:
        return FakeInferenceServices(self._of(cluster, region)[0])

    def ingress(self, cluster: str, region: str) -> str:
        return self._of(cluster, region)[1]

    def _of(self, cluster: str, region: str) -> tuple[KubeObjects, str]:
        if (cluster, region) not in self.reached:
            raise BadPolicy([f"clusters.{cluster}.{region}: missing"])
        return self.reached[cluster, region]
