"""The network around both regions: Route 53's checkers and resolvers, the gateways, and the model containers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.core.utils import unix_time
from moto.route53.models import HealthCheck, route53_backends
from moto.s3.models import s3_backends
from moto.sagemaker.models import FakeEndpoint, SageMakerModelBackend

from localcloud.edge.addresses import ACCOUNT, API_HOST
from localcloud.edge.container_process import Answer
from localcloud.edge.endpoints import IN_SERVICE, NoEndpoint, NotReady, Predicted
from localcloud.edge.zones import Zones, domain
from mldr.domain.health import Observation, Sight
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Announcement
from tests.functional.crash.wire import Wire

Gateway = Callable[[str, str], tuple[int, str]]  # region, path -> HTTP status and body


class Checkers:
    """Route 53's health checks. A check knows nothing until time passes; an inverted one starts unhealthy."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.learned: dict[str, bool] = {}

    def pass_time(self) -> None:
        """Every endpoint check looks once."""
        for check in route53_backends[ACCOUNT]["aws"].health_checks.values():
            if check.type_ != "CALCULATED":
                self.learned[check.id] = self._looks_good(check)

    def _looks_good(self, check: HealthCheck) -> bool:
        host = API_HOST.match(str(check.fqdn))
        return bool(host) and self._gateway(host["region"], str(check.resource_path))[0] < 400

    def healthy(self, check_id: str) -> bool:
        """What Route 53 believes."""
        check = route53_backends[ACCOUNT]["aws"].health_checks[check_id]
        if check.type_ == "CALCULATED":
            good = sum(self.healthy(child) for child in check.children) >= int(check.health_threshold)
        else:
            good = self.learned.get(check_id, True)
        return good is not bool(check.inverted)


class Network:
    """What mldr.aws.outside.PublicNetwork sees, answered from moto's Route 53 and the real gateway function."""

    def __init__(self, wire: Wire, checkers: Checkers, gateway: Gateway, regions: tuple[str, ...]) -> None:
        self._wire, self._gateway = wire, gateway
        self._zones = Zones(regions, checkers.healthy)

    def text(self, name: str) -> str | None:
        return self._wire.cross("dns", "TXT", lambda: self._first(name, "TXT"))

    def target(self, name: str) -> str | None:
        return self._wire.cross("dns", "CNAME", lambda: self._first(name, "CNAME"))

    def probe(self, host: str, path: str) -> Observation:
        return self._wire.cross("http", "GET", lambda: self._probe(host, path))

    def announcement(self, host: str, model: ModelKey) -> Announcement | None:
        return self._wire.cross("http", "GET", lambda: self._announcement(host, model))

    def warm(
        self, host: str, model: ModelKey, body: bytes, content_type: str, token: str, *, requests: int
    ) -> list[float]:
        return self._wire.cross("http", "POST", lambda: [1.0] * requests)

    def _announcement(self, host: str, model: ModelKey) -> Announcement | None:
        found = API_HOST.match(host)
        status, body = self._gateway(found["region"], f"/models/{model.name}/epoch") if found else (404, "")
        return Announcement.model_validate_json(body) if status == 200 else None

    def _first(self, name: str, kind: str) -> str | None:
        answers = [one for one in self._zones.find(domain(name), kind).answers if one.type == kind]
        return answers[0].values[0].strip('"').rstrip(".") if answers else None

    def _probe(self, host: str, path: str) -> Observation:
        found = API_HOST.match(host)
        status, _ = self._gateway(found["region"], path) if found else (404, "")
        sight = Sight.HEALTHY if status < 400 else Sight.UNHEALTHY if status >= 500 else Sight.UNKNOWN
        return Observation(vantage="standby", sight=sight, detail=f"{host} answered {status}")


class Containers:
    """SageMaker's endpoints: Creating until time passes, then answering from the artifact that the model names."""

    def create(self, backend: SageMakerModelBackend, record: FakeEndpoint) -> None:
        record.endpoint_status = "Creating"

    def delete(self, region: str, name: str) -> None:
        """Nothing runs, so nothing is stopped."""

    def pass_time(self, backends: list[SageMakerModelBackend]) -> None:
        """What was being created is in service."""
        for backend in backends:
            for record in backend.endpoints.values():
                record.endpoint_status = IN_SERVICE
                record.last_modified_time = unix_time()

    def invoke(self, region: str, name: str, body: bytes, kind: str, accept: str, variant: str | None) -> Predicted:
        from moto.sagemaker.models import sagemaker_backends

        backend = sagemaker_backends[ACCOUNT][region]
        record = backend.endpoints.get(name)
        if record is None:
            raise NoEndpoint(name)
        if record.endpoint_status != IN_SERVICE:
            raise NotReady(name)
        config = backend.endpoint_configs[record.endpoint_config_name]
        model = backend._models[config.production_variants[0]["ModelName"]]
        weights = json.loads(artifact(model.primary_container["ModelDataUrl"]))
        return Predicted(Answer(200, "application/json", json.dumps(score(weights, json.loads(body))).encode()), "all")


def artifact(uri: str) -> bytes:
    """The bytes that a container loads."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bytes(s3_backends[ACCOUNT]["aws"].get_object(bucket, key).value)


def score(weights: Any, request: Any) -> dict[str, Any]:
    """The whole model."""
    return {"score": weights["slope"] * request["x"] + weights["offset"]}
