"""The HTTP APIs that the deployer has made: which function answers which route of which API in which region."""

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from moto.apigatewayv2.models import apigatewayv2_backends

from localcloud.edge.addresses import ACCOUNT, API_HOST


@dataclass(frozen=True)
class Route:
    """One route: `ANY` matches every method, `{name}` one segment, `{name+}` the rest; `$default` every request."""

    method: str
    path: str
    function: str

    @property
    def key(self) -> str:
        """The route key as the function sees it."""
        return "$default" if self.path == "$default" else f"{self.method.upper()} {self.path}"

    @property
    def rank(self) -> tuple[int, int, int]:
        """Small is more specific: full matches, then `{name}`, then `{name+}`, then `$default`; methods before ANY."""
        greedy = 2 if self.path == "$default" else int("+}" in self.path)
        return greedy, self.path.count("{"), int(self.method.upper() == "ANY")

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The path parameters when this route answers the request, else None."""
        if self.path == "$default":
            return {}
        if self.method.upper() not in ("ANY", method.upper()):
            return None
        found = re.fullmatch(_pattern(self.path), path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


@dataclass(frozen=True)
class Api:
    """One HTTP API of one region; its only stage is `$default`."""

    region: str
    api_id: str
    routes: tuple[Route, ...]

    def route(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The most specific route for the request, with its path parameters."""
        for route in sorted(self.routes, key=lambda route: route.rank):
            parameters = route.match(method, path)
            if parameters is not None:
                return route, parameters
        return None


class HttpApis:
    """Every HTTP API by region and id; custom domain names are those of the API mappings in that region."""

    def __init__(self) -> None:
        self._apis: dict[tuple[str, str], Api] = {}
        self._lock = threading.Lock()

    def register(self, region: str, api_id: str, routes: Iterable[Route]) -> None:
        """Make the API answer, or replace its routes."""
        with self._lock:
            self._apis[region, api_id] = Api(region, api_id, tuple(routes))

    def remove(self, region: str, api_id: str) -> None:
        """Forget a deleted API."""
        with self._lock:
            self._apis.pop((region, api_id), None)

    def at(self, region: str, host: str) -> Api | None:
        """The API that this region serves under this host name (without a port)."""
        name = host.lower().rstrip(".")
        own = API_HOST.match(name)
        api_id = own["api"] if own and own["region"] == region else _mapped(region, name)
        with self._lock:
            return self._apis.get((region, api_id)) if api_id else None


def _pattern(path: str) -> str:
    parts = re.split(r"\{(\w+)(\+?)\}", path)
    pattern = re.escape(parts[0])
    for name, greedy, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        pattern += f"(?P<{name}>{'.+' if greedy else '[^/]+'}){re.escape(text)}"
    return pattern


def _mapped(region: str, host: str) -> str | None:
    _, _, parent = host.partition(".")
    mappings = list(apigatewayv2_backends[ACCOUNT][region].api_mappings.values())
    for domain in (host, f"*.{parent}"):
        for mapping in mappings:
            if mapping.domain_name.lower() == domain and not mapping.api_mapping_key:
                return mapping.api_id
    return None
