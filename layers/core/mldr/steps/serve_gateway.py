"""Answer a client of the regional gateway: predictions, deep health, the takeover switch, and who serves a model."""

from __future__ import annotations

import json

from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Leadership, Role, announce, overruled
from mldr.domain.prediction_cache import Cached, Grade
from mldr.errors import BadPolicy, MldrError, RegionUnreachable
from mldr.ports.catalog import Catalog
from mldr.ports.outside import Tokens
from mldr.ports.serving import Offers, Serving
from mldr.ports.stack import PolicyStore
from mldr.steps.cache_predictions import Asked, Predictions, Question, Served
from mldr.steps.deep_health import DeepHealth
from mldr.steps.know_leader import Leaders, known_route


class Answer(Frozen):
    """An HTTP answer. `note` is for the log, not for the client."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    note: str = ""


def predict(
    model: ModelKey,
    question: Question,
    *,
    token: str,
    tokens: Tokens,
    leaders: Leaders,
    policies: PolicyStore,
    serving: Serving,
    predictions: Predictions,
    offers: Offers,
) -> Answer:
    """Return the endpoint's answer, 401 without the right token, 503 while this region does not serve the model.

    The peer is never asked here. After a planned move away the old endpoint still answers, until DNS is forgotten.
    A cached answer says so, by `x-mldr-cache` and `age`; a stale one only stands in for an endpoint that is down.
    A warm request is answered 200 whoever serves the model, and without what the endpoint said.
    """
    if not tokens.valid(token):
        return _error(401, "send the gateway token of Secrets Manager as `Authorization: Bearer …`")
    if question.warm:
        return _warmed(model, question, leaders, policies, serving, predictions)
    headers = {"x-mldr-region": leaders.region}
    asked: Asked | None = None
    try:
        knowledge = leaders.known(model)
        role = leaders.role(model, knowledge, policies)
        if role.stood_down and not role.draining:
            return _stood_down(model, role, headers)
        headers["x-mldr-endpoint"] = endpoint = _likely_endpoint(model, knowledge, role, policies)
        asked = predictions.ask(Served(model, endpoint, knowledge, role), question)
        if found := asked.fresh():
            return _cached("hit", found, asked, headers)
        answer, answered_type = serving.invoke(endpoint, question.body, question.content_type, question.accept)
    except MldrError as error:
        return _bridged(asked, headers) or _error(
            503, f"{model} is not served in {leaders.region}: {error}", headers, note=asked.note if asked else ""
        )
    asked.offer(answer, answered_type, offers)
    marked = {**headers, "x-mldr-cache": "miss"} if asked.used else headers
    return Answer(status=200, body=answer, content_type=answered_type, headers=marked, note=asked.note)


def _warmed(
    model: ModelKey,
    question: Question,
    leaders: Leaders,
    policies: PolicyStore,
    serving: Serving,
    predictions: Predictions,
) -> Answer:
    """Do what a prediction does, so that the first client does not wait for what is made on first use."""
    said = ""
    try:
        knowledge = leaders.known(model)
        role = leaders.role(model, knowledge, policies)
        endpoint = _likely_endpoint(model, knowledge, role, policies)
        predictions.ask(Served(model, endpoint, knowledge, role), question)
        if question.body:
            serving.invoke(endpoint, question.body, question.content_type, question.accept)
    except MldrError as error:
        # Before a takeover there is nothing of the name that is asked, and the connection is open all the same.
        said = f"{type(error).__name__}: {error}"
    return Answer(status=200, body=json.dumps({"region": leaders.region, "warm": True, "said": said}).encode())


def health(model: ModelKey, *, leaders: Leaders, policies: PolicyStore, deep: DeepHealth) -> Answer:
    """Return 200 while the model's endpoint in this region is in service and answers, 503 with the reason otherwise.

    503 also once a higher epoch of the peer is known. 424 when health cannot be told (a policy with mistakes, a lost
    permission): not down, so no reason to fail over.
    """
    try:
        knowledge = leaders.asked(model)
        role = leaders.role(model, knowledge, policies)
        if role.stood_down:
            return _stood_down(model, role, {})
        endpoint, restored = _endpoint(model, knowledge, role, policies), knowledge.restored(role)
        checked = deep.look(model, endpoint, restored.recovery_point if restored else "")
    except MldrError as error:
        return _error(503 if isinstance(error, RegionUnreachable) else 424, f"{type(error).__name__}: {error}")
    body = {"model": str(model), "region": leaders.region, **checked.body}
    return Answer(status=200 if checked.healthy else 503, body=json.dumps(body).encode())


def takeover(model: ModelKey, *, leaders: Leaders) -> Answer:
    """Return 200 while this region has taken the model over, else 404: what the inverted health check watches."""
    try:
        knowledge = leaders.asked(model)
    except MldrError as error:
        return _error(503, f"{type(error).__name__}: {error}")
    switch = knowledge.takeover
    if switch is None or overruled(knowledge, leaders.region):
        return _error(404, f"{model} is not taken over by this region")
    return Answer(status=200, body=switch.model_dump_json().encode())


def epoch(model: ModelKey, *, leaders: Leaders, catalog: Catalog) -> Answer:
    """Return what this region knows of who serves the model: the peer learns from it. It holds no secret."""
    try:
        knowledge = leaders.known(model)
        route = known_route(model, knowledge, catalog)
        version = _version(model, knowledge, catalog)
    except MldrError as error:
        return _error(503, f"{type(error).__name__}: {error}")
    told = announce(model, leaders.region, knowledge, route=route, version=version)
    return Answer(status=200, body=told.model_dump_json().encode())


def refused(message: str) -> Answer:
    """Return the answer to a request that cannot be understood."""
    return _error(400, message)


def _cached(how: str, entry: Cached, asked: Asked, headers: dict[str, str]) -> Answer:
    marked = {**headers, "x-mldr-cache": how, "age": str(asked.age)}
    return Answer(status=200, body=entry.content, content_type=entry.content_type, headers=marked, note=asked.note)


def _bridged(asked: Asked | None, headers: dict[str, str]) -> Answer | None:
    """Return what the cache has in place of an endpoint that did not answer."""
    found = asked.bridge() if asked else None
    if asked is None or found is None:
        return None
    entry, grade = found
    return _cached("hit" if grade is Grade.FRESH else "stale", entry, asked, headers)


def _version(model: ModelKey, knowledge: Leadership, catalog: Catalog) -> str | None:
    """Return the version, in this region's registry, that a takeover of this region serves."""
    switch = knowledge.takeover
    record = catalog.record(model, switch.recovery_point) if switch else None
    return record.target_arn if record else None


def _stood_down(model: ModelKey, role: Role, headers: dict[str, str]) -> Answer:
    said = {**headers, "x-mldr-holder": role.holder}
    return _error(503, f"{model} {role.reason}; resolve its name again", said)


def _endpoint(model: ModelKey, knowledge: Leadership, role: Role, policies: PolicyStore) -> str:
    """A restored endpoint answers, after a takeover or beside the home; else the one that the policy names.

    What this region stood down from answers until the drain is over.
    """
    switch = knowledge.restored(role) or knowledge.former
    if switch:
        return switch.endpoint
    policy, _ = policies.load()
    return policy.for_model(model.registry, model.name, {}).serving.endpoint or model.name


def _likely_endpoint(model: ModelKey, knowledge: Leadership, role: Role, policies: PolicyStore) -> str:
    """A mistake in the policy must not stop predictions: an endpoint has its model's name unless a policy says more."""
    try:
        return _endpoint(model, knowledge, role, policies)
    except BadPolicy:
        return model.name


def _error(status: int, message: str, headers: dict[str, str] | None = None, *, note: str = "") -> Answer:
    return Answer(status=status, body=json.dumps({"message": message}).encode(), headers=headers or {}, note=note)
