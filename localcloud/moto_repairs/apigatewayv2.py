"""API Gateway's custom domain names with a wildcard: a path names them percent-encoded, which moto does not decode."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from moto.apigatewayv2.models import ApiGatewayV2Backend

from localcloud.patches import Patches

NAMED_BY_DOMAIN = (
    "get_domain_name",
    "delete_domain_name",
    "create_api_mapping",
    "get_api_mapping",
    "get_api_mappings",
    "delete_api_mapping",
)


class DomainNameRepairs:
    """Decodes the domain name that a request's path gives."""

    def __init__(self) -> None:
        self._patches = Patches()

    def start(self) -> None:
        """Put the repair in place."""
        for name in NAMED_BY_DOMAIN:
            original = vars(ApiGatewayV2Backend)[name]
            self._patches.replace(ApiGatewayV2Backend, name, _decoding(original))

    def stop(self) -> None:
        """Restore moto."""
        self._patches.undo()


def _decoding(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(backend: Any, *args: Any, **kwargs: Any) -> Any:
        if "domain_name" in kwargs:
            kwargs["domain_name"] = unquote(kwargs["domain_name"])
        return original(backend, *args, **kwargs)

    return call
