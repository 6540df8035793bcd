"""Answer a client of the regional gateway: predictions, deep health, and the takeover switch."""

from __future__ import annotations

import json

from mldr.domain.identity import Frozen, ModelKey
from mldr.errors import BadPolicy, MldrError, RegionUnreachable
from mldr.ports import Catalog, PolicyStore, Serving, Tokens
from mldr.steps.restore_serving import IN_SERVICE


class Answer(Frozen):
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = {}


def predict(
    model: ModelKey,
    body: bytes,
    *,
    content_type: str,
    accept: str,
    token: str,
    region: str,
    tokens: Tokens,
    catalog: Catalog,
    policies: PolicyStore,
    serving: Serving,
) -> Answer:
    """Return the endpoint's answer, 401 without the right token, 503 while this region does not serve the model."""
    if not tokens.valid(token):
        return _error(401, "send the gateway token of Secrets Manager as `Authorization: Bearer …`")
    headers = {"x-mldr-region": region}
    try:
        headers["x-mldr-endpoint"] = endpoint = _likely_endpoint(model, catalog, policies)
        answer, answered_type = serving.invoke(endpoint, body, content_type, accept)
    except MldrError as error:
        return _error(503, f"{model} is not served in {region}: {error}", headers)
    return Answer(status=200, body=answer, content_type=answered_type, headers=headers)


def health(model: ModelKey, *, region: str, catalog: Catalog, policies: PolicyStore, serving: Serving) -> Answer:
    """Return 200 while the model's endpoint in this region is in service, 503 with the reason while it is not.

    424 when that cannot be told (a policy with mistakes, a lost permission): not down, so no reason to fail over.
    """
    try:
        endpoint = _endpoint(model, catalog, policies)
        status, reason = serving.status(endpoint)
    except MldrError as error:
        return _error(503 if isinstance(error, RegionUnreachable) else 424, f"{type(error).__name__}: {error}")
    body = {"model": str(model), "region": region, "endpoint": endpoint, "status": status, "reason": reason}
    return Answer(status=200 if status == IN_SERVICE else 503, body=json.dumps(body).encode())


def takeover(model: ModelKey, *, catalog: Catalog) -> Answer:
    """Return 200 once this region has taken the model over, 404 before: what the inverted health check watches."""
    switch = catalog.takeover(model)
    if switch is None:
        return _error(404, f"{model} is not taken over by this region")
    return Answer(status=200, body=switch.model_dump_json().encode())


def refused(message: str) -> Answer:
    """Return the answer to a request that cannot be understood."""
    return _error(400, message)


def _endpoint(model: ModelKey, catalog: Catalog, policies: PolicyStore) -> str:
    """A model taken over is served by the restored endpoint, any other by the one that the policy names."""
    switch = catalog.takeover(model)
    if switch:
        return switch.endpoint
    policy, _ = policies.load()
    return policy.for_model(model.registry, model.name, {}).serving.endpoint or model.name


def _likely_endpoint(model: ModelKey, catalog: Catalog, policies: PolicyStore) -> str:
    """A mistake in the policy must not stop predictions: an endpoint has its model's name unless a policy says more."""
    try:
        return _endpoint(model, catalog, policies)
    except BadPolicy:
        return model.name


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status=status, body=json.dumps({"message": message}).encode(), headers=headers or {})
