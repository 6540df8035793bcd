"""A small likeness of KServe's controller over Knative: revisions, shares of the traffic, conditions, an ingress.

After createKnativeService and PropagateStatus of kserve at the commit that PROVENANCE.md names. In particular: a canary
leaves the rest of the traffic with the last revision that had all of it, annotations of the service are handed on to
the revisions, and status.observedGeneration is the generation of what was created, not of the InferenceService.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.clusters import KubeObjects

Document = dict[str, Any]
Backend = Callable[[str, bytes], tuple[int, bytes]]  # (path, body) -> (status, answer)
SOURCE_URI = "internal.serving.kserve.io/storage-initializer-sourceuri"
RUNTIME = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ClusterServingRuntime",
    "metadata": {"name": "kserve-mlserver"},
    "spec": {
        "supportedModelFormats": [{"name": "mlflow", "version": "2", "autoSelect": True}],
        "protocolVersions": ["v2"],
        "containers": [{"name": "kserve-container", "image": "docker.io/seldonio/mlserver:1.5.0"}],
    },
}


class Controller:
    """Follows a cluster's InferenceServices: at once, or, while `holding`, one step at each `tick`.

    `start` makes the model server of a revision from its service's name and storageUri.
    """

    def __init__(self, start: Callable[[str, str], Backend], *, domain: str = "example.com") -> None:
        self.objects = KubeObjects(self._changed)
        self.objects.put(copy.deepcopy(RUNTIME))
        self.holding = False
        self.broken: set[str] = set()  # storageUris that no server can load
        self.started: list[str] = []
        self._start, self._domain = start, domain
        self._backends: dict[str, Backend] = {}
        self._asked: dict[str, int] = {}

    def _changed(self, service: Document) -> None:
        if not self.holding:
            self.settle()

    def settle(self) -> None:
        """Go on until nothing changes."""
        while self.tick():
            pass

    def tick(self) -> bool:
        """One step of every service; returns whether any changed."""
        changed = [self._step(service) for service in self.objects.every("InferenceService")]
        return any(changed)

    def _step(self, service: Document) -> bool:
        before = service.get("status")
        status = copy.deepcopy(before) or {"observedGeneration": 0, "components": {}}
        waiting = [name for name in ("predictor", "transformer") if name in service["spec"]]
        for component in waiting:
            self._step_component(service, component, status)
        _conclude(status, service, self._domain)
        if status == before:
            return False
        metadata = service["metadata"]
        self.objects.put_status(metadata["namespace"], metadata["name"], status)
        return True

    def _step_component(self, service: Document, component: str, status: Document) -> None:
        held = status["components"].setdefault(component, {})
        template, spec = _template(service, component), service["spec"][component]
        made = held.get("latestCreatedRevision")
        current = self._revision(service, made) if made else None
        if current is None or (current["metadata"]["annotations"], current["spec"]) != template:
            held["latestCreatedRevision"] = self._make(service, component, template, made)
            status["observedGeneration"] += 1
            return
        uri = current["metadata"]["annotations"].get(SOURCE_URI, "")
        if held.get("latestReadyRevision") != made:
            if uri in self.broken:
                status["modelStatus"] = _failed(uri, made)
                return
            if component == "predictor":
                self._backends[made] = self._start(service["metadata"]["name"], uri)
                self.started.append(uri)
            held["latestReadyRevision"] = made
        _share(held, spec.get("canaryTrafficPercent"))

    def _revision(self, service: Document, name: str) -> Document:
        return self.objects.get("Revision", service["metadata"]["namespace"], name)

    def _make(self, service: Document, component: str, template: tuple[Document, Document], last: str | None) -> str:
        metadata = service["metadata"]
        number = int(last.rpartition("-")[2]) + 1 if last else 1
        name = f"{metadata['name']}-{component}-{number:05d}"
        self.objects.put(
            {
                "apiVersion": "serving.knative.dev/v1",
                "kind": "Revision",
                "metadata": {"name": name, "namespace": metadata["namespace"], "annotations": template[0]},
                "spec": template[1],
            }
        )
        return name

    def predict(self, host: str, path: str, body: bytes) -> tuple[int, bytes]:
        """What the ingress does: of a hundred requests, each revision gets its share."""
        services = self.objects.every("InferenceService")
        found = next((one for one in services if one.get("status", {}).get("url", "").endswith(f"//{host}")), None)
        if found is None:
            return 404, b"no such host"
        self._asked[host] = self._asked.get(host, 0) + 1
        turn = (self._asked[host] * 37) % 100  # spread over the hundred, the same in each run
        for share in found["status"]["components"]["predictor"].get("traffic", []):
            if turn < share["percent"]:
                return self._backends[share["revisionName"]](path, body)
            turn -= share["percent"]
        return 503, b"no revision is ready"


def _template(service: Document, component: str) -> tuple[Document, Document]:
    """Annotations and spec of the revision that a component asks for."""
    spec = service["spec"][component]
    annotations = dict(service["metadata"].get("annotations", {}))
    annotations["autoscaling.knative.dev/min-scale"] = str(spec.get("minReplicas", 1))
    if "maxReplicas" in spec:
        annotations["autoscaling.knative.dev/max-scale"] = str(spec["maxReplicas"])
    model = spec.get("model")
    containers = copy.deepcopy(spec.get("containers", []))
    if model:
        annotations[SOURCE_URI] = model.get("storageUri", "")
        rendered = {"name": "kserve-container", "image": model.get("image", "docker.io/seldonio/mlserver:1.5.0")}
        containers = [rendered | {key: model[key] for key in ("env", "resources", "args") if key in model}]
    return annotations, {"containers": containers, "containerConcurrency": spec.get("containerConcurrency", 0)}


def _share(held: Document, canary: int | None) -> None:
    ready, rolled_out = held["latestReadyRevision"], held.get("latestRolledoutRevision")
    percent = 100 if canary is None or rolled_out in (None, ready) else canary
    traffic = [{"latestRevision": True, "percent": percent, "revisionName": ready}]
    if percent < 100:
        rest = {"latestRevision": False, "percent": 100 - percent, "revisionName": rolled_out, "tag": "prev"}
        traffic.append(rest)
    elif rolled_out != ready:
        held |= {"latestRolledoutRevision": ready} | ({"previousRolledoutRevision": rolled_out} if rolled_out else {})
    held["traffic"] = traffic


def _failed(uri: str, revision: str) -> Document:
    failure = {"reason": "ModelLoadFailed", "message": f"cannot load {uri}", "modelRevisionName": revision}
    states = {"activeModelState": "", "targetModelState": "FailedToLoad"}
    return {
        "transitionStatus": "BlockedByFailedLoad",
        "states": states,
        "copies": {"failedCopies": 1},
        "lastFailureInfo": failure,
    }


def _conclude(status: Document, service: Document, domain: str) -> None:
    metadata = service["metadata"]
    behind = [
        name
        for name, held in status["components"].items()
        if held.get("latestReadyRevision") != held["latestCreatedRevision"]
    ]
    broken = status.get("modelStatus", {}).get("transitionStatus") == "BlockedByFailedLoad"
    ready = ("False" if broken else "Unknown") if behind else "True"
    status["conditions"] = [{"type": "Ready", "status": ready} | ({"message": f"{behind[0]} waits"} if behind else {})]
    status["deploymentMode"], status["clusterServingRuntimeName"] = "Knative", "kserve-mlserver"
    if not behind:
        status["url"] = f"http://{metadata['name']}.{metadata['namespace']}.{domain}"
        copies = service["spec"]["predictor"].get("minReplicas", 1)
        status["modelStatus"] = {
            "transitionStatus": "UpToDate",
            "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
            "copies": {"failedCopies": 0, "totalCopies": copies},
        }


def stub(name: str, factor: float) -> Backend:
    """A model server that speaks the Open Inference Protocol as KServe's does; its model multiplies."""

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        if path != f"/v2/models/{name}/infer":
            return 404, b'{"error":"Model with name is not found."}'
        asked = json.loads(body)
        numbers = [value * factor for value in asked["inputs"][0]["data"]]
        output = {"name": "out", "shape": [len(numbers)], "datatype": "FP32", "parameters": None, "data": numbers}
        said = {"model_name": name, "model_version": None, "id": asked["id"], "parameters": None, "outputs": [output]}
        return 200, json.dumps(said).encode()

    return answer


class Ingress:
    """The cluster's ingress over HTTP: the Host header says which service is meant."""

    def __init__(self, controller: Controller) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = controller.predict(self.headers["Host"], self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that hung up is no news."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Ingress:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
