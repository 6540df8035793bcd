"""SageMaker endpoints that live: a container process per production variant, started, watched and stopped here.

moto keeps models, endpoint configurations and endpoints; this gives an endpoint its states (Creating, InService,
Updating, Failed), its events, and answers. A failed region's containers are killed; when it heals they start again.
"""

import queue
import random
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.core.utils import unix_time_millis, utcnow
from moto.sagemaker.models import FakeEndpoint, FakeEndpointConfig, SageMakerModelBackend

from localcloud.edge.artifacts import artifact, component_artifact
from localcloud.edge.container_process import Answer, Artifact, ContainerProcess, Unreachable, Unservable
from localcloud.moto_repairs.sagemaker_serving import STOP, components
from localcloud.outage import Outage

CREATING, IN_SERVICE, UPDATING, FAILED, DELETING = "Creating", "InService", "Updating", "Failed", "Deleting"
IN_PROGRESS = (CREATING, UPDATING)
EVENT_STATUS = {
    CREATING: "CREATING",
    IN_SERVICE: "IN_SERVICE",
    UPDATING: "UPDATING",
    FAILED: "FAILED",
    DELETING: "DELETING",
}
PING_SECONDS = 60.0
RESIZE_SECONDS = 3.0  # in which other counts or weights are Updating: SageMaker takes minutes
AGAIN_SECONDS = 5.0  # until containers of an endpoint in service that would not start are started again
Event = dict[str, Any]
Environment = Callable[[str, str], Mapping[str, str]]


class NoEndpoint(Exception):
    """There is no such endpoint in service."""


class NotReady(Exception):
    """The endpoint's containers are being started again."""


@dataclass(frozen=True)
class Predicted:
    """The container's answer and the production variant that gave it."""

    answer: Answer
    variant: str


@dataclass
class Served:
    """One endpoint: moto's record of it and the containers behind it."""

    backend: SageMakerModelBackend
    record: FakeEndpoint
    config: str
    turn: int = 0
    resizing: bool = False  # Updating with the containers that it has
    starting: list[ContainerProcess] = field(default_factory=list)
    running: dict[str, ContainerProcess] = field(default_factory=dict)


class Endpoints:
    """All endpoints of all regions; `environment` gives a container its AWS settings for (region, endpoint)."""

    def __init__(
        self,
        outage: Outage,
        emit: Callable[[str, Event], None],
        environment: Environment,
        state: Path,
        ping_seconds: float = PING_SECONDS,
        resize_seconds: float = RESIZE_SECONDS,
    ) -> None:
        self._outage, self._emit, self._environment = outage, emit, environment
        self._state, self._ping_seconds, self._resize_seconds = state / "endpoints", ping_seconds, resize_seconds
        self._served: dict[tuple[str, str], Served] = {}
        self._lock = threading.RLock()
        self._healing = threading.Lock()
        self._events: queue.SimpleQueue[tuple[str, Event] | None] = queue.SimpleQueue()
        self._stopped = False
        outage.subscribe(self._on_outage)

    def start(self) -> None:
        """Begin to announce; nothing else runs before the first endpoint is created."""
        threading.Thread(target=self._announce, name="endpoint-events", daemon=True).start()

    def stop(self) -> None:
        """Kill every container."""
        with self._lock:
            self._stopped = True
            for served in self._served.values():
                self._kill(served)
            self._served.clear()
        self._events.put(None)

    def create(self, backend: SageMakerModelBackend, record: FakeEndpoint) -> None:
        """A new endpoint: Creating now, InService or Failed later."""
        served = Served(backend, record, record.endpoint_config_name)
        record.production_variants = _variants(record, backend.endpoint_configs[served.config])
        with self._lock:
            self._served[backend.region_name, record.endpoint_name] = served
            self._become(served, CREATING)
            self._launch_later(served)

    def update(self, backend: SageMakerModelBackend, record: FakeEndpoint, config: str) -> None:
        """Another configuration: the old containers serve until the new ones are well."""
        with self._lock:
            served = self._served[backend.region_name, record.endpoint_name]
            served.config = config
            self._become(served, UPDATING)
            self._launch_later(served)

    def reweigh(self, backend: SageMakerModelBackend, record: FakeEndpoint) -> None:
        """Other weights or counts of the same containers: in force at once, announced as any update, Updating a while.

        The old containers go on answering meanwhile, as SageMaker's do.
        """
        with self._lock:
            served = self._served.get((backend.region_name, record.endpoint_name))
            if served is not None:
                served.resizing = True
                self._become(served, UPDATING)
                timer = threading.Timer(self._resize_seconds, self._resized, (served,))
                timer.daemon = True
                timer.start()

    def _resized(self, served: Served) -> None:
        with self._lock:
            if (
                served.resizing
                and self._served.get((served.backend.region_name, served.record.endpoint_name)) is served
            ):
                served.resizing = False
                self._become(served, IN_SERVICE)

    def delete(self, region: str, name: str) -> None:
        """Stop the endpoint's containers."""
        with self._lock:
            served = self._served.pop((region, name), None)
            if served is not None:
                self._become(served, DELETING)
                self._kill(served)

    def invoke(self, region: str, name: str, body: bytes, kind: str, accept: str, variant: str | None) -> Predicted:
        """One prediction by the wanted variant, or by one chosen by weight."""
        with self._lock:
            served = self._served.get((region, name))
            if served is None or served.record.endpoint_status not in (IN_SERVICE, UPDATING):
                raise NoEndpoint(name)
            chosen = variant or _by_weight(served)
            container = served.running.get(chosen)
        if container is None:
            raise NotReady(name)
        try:
            return Predicted(container.invoke(body, kind, accept), chosen)
        except Unreachable:
            self._revive(served, container)
            raise

    def settings(self, region: str, name: str) -> dict[str, Any]:
        """How a client of this process speaks as the endpoint's role."""
        given = self._environment(region, name)
        return {
            "region_name": region,
            "endpoint_url": given["AWS_ENDPOINT_URL"],
            "aws_access_key_id": given["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": given["AWS_SECRET_ACCESS_KEY"],
        }

    def pids(self, region: str) -> list[int]:
        """The processes of the region's containers."""
        with self._lock:
            mine = [served for (where, _), served in self._served.items() if where == region]
            return [one.pid for served in mine for one in (*served.running.values(), *served.starting) if one.alive]

    def _launch_later(self, served: Served, first: AbstractContextManager[object] | None = None) -> None:
        served.turn += 1
        name, after = f"endpoint-{served.record.endpoint_name}", first or nullcontext()
        threading.Thread(target=self._launch, args=(served, served.turn, after), name=name, daemon=True).start()

    def _launch(self, served: Served, turn: int, after: AbstractContextManager[object]) -> None:
        with after:
            self._start(served, turn)

    def _start(self, served: Served, turn: int) -> None:
        try:
            started = self._containers(served, turn)
            for container, seconds in started.values():
                container.wait_ready(seconds)
        except Unservable as fault:
            self._settle(served, turn, {}, str(fault))
        else:
            self._settle(served, turn, {variant: container for variant, (container, _) in started.items()}, None)

    def _containers(self, served: Served, turn: int) -> dict[str, tuple[ContainerProcess, float]]:
        config = served.backend.endpoint_configs.get(served.config)
        if config is None:
            raise Unservable(f'Could not find endpoint configuration "{served.config}".')
        _only_what_runs_here(config)
        name = served.record.endpoint_name
        started = {}
        for variant in config.production_variants:
            if not variant.get("ModelName"):
                continue  # its components bring the containers
            limit = float(variant.get("ContainerStartupHealthCheckTimeoutInSeconds") or self._ping_seconds)
            wanted = artifact(served.backend, variant["ModelName"])
            container = self._container(served, turn, wanted, variant["VariantName"])
            started[variant["VariantName"]] = (container, min(limit, self._ping_seconds))
        for component in list(components(served.backend).values()):
            if component["EndpointName"] == name and component["InferenceComponentStatus"] == IN_SERVICE:
                key = running_as(component["InferenceComponentName"])
                container = self._container(served, turn, component_artifact(served.backend, component), key)
                started[key] = (container, self._ping_seconds)
        return started

    def _container(self, served: Served, turn: int, wanted: Artifact, variant: str) -> ContainerProcess:
        region, name = served.backend.region_name, served.record.endpoint_name
        place = self._state / region / name / f"{variant.replace('/', '-')}-{uuid.uuid4().hex[:8]}"
        with self._lock:
            if served.turn != turn or self._stopped:
                raise Unservable("The endpoint was stopped while it started.")
            container = ContainerProcess(wanted, place, self._environment(region, name), variant)
            served.starting.append(container)
        return container

    def compose(self, backend: SageMakerModelBackend, record: FakeEndpoint, component: dict[str, Any]) -> None:
        """A new inference component: Creating now, InService or Failed later. Its copies are one container."""
        with self._lock:
            served = self._served[backend.region_name, record.endpoint_name]
            component |= {"InferenceComponentStatus": CREATING, STOP: lambda: self._decompose(served, component)}
        name = f"component-{component['InferenceComponentName']}"
        threading.Thread(target=self._compose, args=(served, served.turn, component), name=name, daemon=True).start()

    def _decompose(self, served: Served, component: Mapping[str, Any]) -> None:
        with self._lock:
            container = served.running.pop(running_as(component["InferenceComponentName"]), None)
            if container:
                self._discard(container)

    def _compose(self, served: Served, turn: int, component: dict[str, Any]) -> None:
        key = running_as(component["InferenceComponentName"])
        try:
            container = self._container(served, turn, component_artifact(served.backend, component), key)
            container.wait_ready(self._ping_seconds)
        except Unservable as fault:
            component |= {"InferenceComponentStatus": FAILED, "FailureReason": str(fault)}
            return
        with self._lock:
            if served.turn != turn or component["InferenceComponentStatus"] != CREATING:
                self._discard(container)
                component |= {"InferenceComponentStatus": FAILED, "FailureReason": "The endpoint was stopped."}
                return
            served.starting.remove(container)
            served.running[key] = container
            component["InferenceComponentStatus"] = IN_SERVICE

    def _settle(self, served: Served, turn: int, ready: dict[str, ContainerProcess], reason: str | None) -> None:
        with self._lock:
            if served.turn != turn:
                return
            # Containers that start anew while only counts change: nothing of the configuration is put in their place.
            status = IN_SERVICE if served.resizing else served.record.endpoint_status
            unused = served.starting if reason else list(served.running.values())
            served.starting = []
            for container in unused:
                self._discard(container)
            if not reason:
                served.running = ready
                if status == UPDATING:
                    _reconfigure(served)
            served.record.failure_reason = reason  # type: ignore[assignment]  # moto only ever has None
            if status in IN_PROGRESS:
                self._become(served, FAILED if reason and status == CREATING else IN_SERVICE)
            if reason and status == UPDATING:
                served.config = served.record.endpoint_config_name
            if reason and status == IN_SERVICE:
                self._launch_again(served, turn)

    def _launch_again(self, served: Served, turn: int) -> None:
        """SageMaker gives no endpoint up that was in service: a healed region may be slow to start them all."""

        def again() -> None:
            with self._lock:
                if served.turn == turn and not self._stopped:
                    self._launch_later(served)

        timer = threading.Timer(AGAIN_SECONDS, again)
        timer.daemon = True
        timer.start()

    def _revive(self, served: Served, container: ContainerProcess) -> None:
        """A container that ended by itself is started again, as SageMaker does."""
        with self._lock:
            if container.alive or container not in served.running.values() or self._stopped:
                return
            self._kill(served)
            self._launch_later(served)

    def _on_outage(self, region: str, failed: bool) -> None:
        with self._lock:
            for (where, _), served in self._served.items():
                if where != region:
                    continue
                if failed:
                    self._kill(served)
                elif served.record.endpoint_status != FAILED:
                    # One after another: all at once would take this machine's processors from the region that serves.
                    self._launch_later(served, self._healing)

    def _kill(self, served: Served) -> None:
        served.turn += 1
        for container in (*served.running.values(), *served.starting):
            self._discard(container)
        served.running, served.starting = {}, []

    def _discard(self, container: ContainerProcess) -> None:
        container.kill()
        shutil.rmtree(container.log.parent / "model", ignore_errors=True)

    def _become(self, served: Served, status: str) -> None:
        served.record.endpoint_status = status
        served.record.last_modified_time = utcnow()
        self._events.put((served.backend.region_name, state_change(served.backend, served.record, status)))

    def _announce(self) -> None:
        """Events leave in their order and outside the lock, because their receivers may call back."""
        while (announced := self._events.get()) is not None:
            self._emit(*announced)


def running_as(component: str) -> str:
    """The name under which a component's container runs beside those of variants."""
    return f"component/{component}"


def state_change(backend: SageMakerModelBackend, record: FakeEndpoint, status: str) -> Event:
    """SageMaker's event for an endpoint's new status."""
    detail = {
        "EndpointName": record.endpoint_name,
        "EndpointArn": record.arn,
        "EndpointConfigName": record.endpoint_config_name,
        "ProductionVariants": [dict(variant) for variant in record.production_variants],
        "EndpointStatus": EVENT_STATUS[status],
        "CreationTime": unix_time_millis(record.creation_time),
        "LastModifiedTime": unix_time_millis(record.last_modified_time),
        "Tags": {tag["Key"]: tag["Value"] for tag in record.tags or ()},
    }
    reason: dict[str, Any] = {"FailureReason": record.failure_reason} if record.failure_reason else {}
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "SageMaker Endpoint State Change",
        "source": "aws.sagemaker",
        "account": backend.account_id,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": backend.region_name,
        "resources": [record.arn],
        "detail": detail | reason,
    }


def _only_what_runs_here(config: FakeEndpointConfig) -> None:
    """Variants of instances or serverless ones, and components of one container, answer here; nothing else pretends."""
    kept = getattr(config, "kept", {})
    if kept.get("ShadowProductionVariants"):
        raise Unservable("The local cloud does not run shadow variants.")


def _reconfigure(served: Served) -> None:
    served.record.endpoint_config_name = served.config
    served.record.production_variants = _variants(served.record, served.backend.endpoint_configs[served.config])


def _variants(record: FakeEndpoint, config: FakeEndpointConfig) -> list[dict[str, Any]]:
    """The variants as DescribeEndpoint shows them; moto loses a weight of zero and the default of one."""
    variants = record._process_production_variants(config.production_variants)
    for variant, wanted in zip(variants, config.production_variants, strict=True):
        weight = wanted.get("InitialVariantWeight")
        variant["CurrentWeight"] = variant["DesiredWeight"] = 1.0 if weight is None else float(weight)
    return variants


def _by_weight(served: Served) -> str:
    variants = served.record.production_variants
    weights = [float(variant.get("CurrentWeight", 1.0)) for variant in variants]
    names = [str(variant["VariantName"]) for variant in variants]
    return random.choices(names, weights if sum(weights) else None)[0]
