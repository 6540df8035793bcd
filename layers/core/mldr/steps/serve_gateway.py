"""Answer a client of the regional gateway: predictions, deep health, the takeover switch, and who serves a model."""

from __future__ import annotations

import json
from dataclasses import dataclass

from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Leadership, Role, announce, overruled
from mldr.domain.prediction_cache import Cached, Grade
from mldr.errors import BadPolicy, MldrError, RegionUnreachable, RequestRefused, Throttled
from mldr.ports.catalog import Catalog
from mldr.ports.outside import Tokens
from mldr.ports.serving import Offers, Serving
from mldr.ports.stack import PolicyStore
from mldr.steps.cache_predictions import Asked, Predictions, Question, Served
from mldr.steps.deep_health import DeepHealth
from mldr.steps.know_leader import Leaders, known_route

LONGEST_REFUSAL = 2048  # characters of a model's own refusal; SageMaker hands on no more
LONGEST_HEADER = 1024  # InvokeEndpoint takes no longer ContentType or Accept
PAUSE = "1"  # seconds after which a client that was too many may ask again


class Answer(Frozen):
    """An HTTP answer. `note` is for the log, not for the client."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    note: str = ""


@dataclass(frozen=True)
class Front:
    """What a region's gateway answers predictions with."""

    tokens: Tokens
    leaders: Leaders
    policies: PolicyStore
    serving: Serving
    predictions: Predictions
    offers: Offers

    def predict(self, model: ModelKey, question: Question, *, token: str) -> Answer:
        """Return the endpoint's answer, 401 without the right token, 503 while this region does not serve the model.

        What the model itself refuses (4xx) is the client's to hear, in its words; a throttle is 429. The peer is never
        asked here. After a planned move away the old endpoint still answers, until DNS is forgotten.
        A cached answer says so, by `x-mldr-cache` and `age`; a stale one only stands in for an endpoint that is down.
        A warm request is answered 200 whoever serves the model, and without what the endpoint said.
        """
        try:
            known = self.tokens.valid(token)
        except MldrError as error:  # whoever asks is nobody yet, so it is told to the log alone
            return _error(503, "the gateway's token cannot be read; ask again", note=f"{type(error).__name__}: {error}")
        if not known:
            return _error(401, "send the gateway token of Secrets Manager as `Authorization: Bearer …`")
        if not all(one.isascii() and len(one) <= LONGEST_HEADER for one in (question.content_type, question.accept)):
            return refused(f"content-type and accept are ASCII, of at most {LONGEST_HEADER} characters")
        return self._warmed(model, question) if question.warm else self._predicted(model, question)

    def _predicted(self, model: ModelKey, question: Question) -> Answer:
        region = self.leaders.region
        headers = {"x-mldr-region": region}
        asked: Asked | None = None
        try:
            knowledge, role = self._who_serves(model)
            if role.stood_down and not role.draining:
                return _stood_down(model, role, headers)
            served = self._served(model, knowledge, role)
            headers["x-mldr-endpoint"] = served.endpoint
            asked = self.predictions.ask(served, question)
            if found := asked.fresh():
                return _cached("hit", found, asked, headers)
            answer, answered_type = self._invoked(served, question)
        except MldrError as error:
            return _hindered(f"{model} is not served in {region}", error, headers, asked)
        asked.offer(answer, answered_type, self.offers)
        marked = {**headers, "x-mldr-cache": "miss"} if asked.used else headers
        return Answer(status=200, body=answer, content_type=answered_type, headers=marked, note=asked.note)

    def _warmed(self, model: ModelKey, question: Question) -> Answer:
        """Do what a prediction does, so that the first client does not wait for what is made on first use."""
        said = ""
        try:
            served = self._served(model, *self._who_serves(model))
            self.predictions.ask(served, question)
            if question.body:
                self._invoked(served, question)
        except MldrError as error:
            # Before a takeover there is nothing of the name that is asked, and the connection is open all the same.
            said = f"{type(error).__name__}: {error}"
        body = json.dumps({"region": self.leaders.region, "warm": True, "said": said}).encode()
        return Answer(status=200, body=body)

    def _who_serves(self, model: ModelKey) -> tuple[Leadership, Role]:
        knowledge = self.leaders.known(model)
        return knowledge, self.leaders.role(model, knowledge, self.policies)

    def _served(self, model: ModelKey, knowledge: Leadership, role: Role) -> Served:
        target = _likely_target(model, knowledge, role, self.policies)
        return Served(model, target.endpoint, knowledge, role, target.component)

    def _invoked(self, served: Served, question: Question) -> tuple[bytes, str]:
        return self.serving.invoke(
            served.endpoint, question.body, question.content_type, question.accept, served.component
        )


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
        target, restored = _target(model, knowledge, role, policies), knowledge.restored(role)
        checked = deep.look(model, target.endpoint, restored.recovery_point if restored else "", target.component)
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


def _hindered(what: str, error: MldrError, headers: dict[str, str], asked: Asked | None) -> Answer:
    """Return what a client gets in place of an answer. Nothing stands in for what the model itself refused."""
    if isinstance(error, RequestRefused) and error.status:
        return _refusal(error, headers, asked.note if asked else "")
    if bridged := _bridged(asked, headers):
        return bridged
    note = asked.note if asked else ""
    if isinstance(error, Throttled):
        return _error(429, f"{what}: {error}", {**headers, "retry-after": PAUSE}, note=note)
    return _error(503, f"{what}: {error}", headers, note=note)


def _refusal(error: RequestRefused, headers: dict[str, str], note: str) -> Answer:
    """Return what the model said of a request that it does not take, and nothing of what else the error knows."""
    said = error.said[:LONGEST_REFUSAL]
    try:
        json.loads(said)
        content_type = "application/json"
    except (ValueError, RecursionError):
        content_type = "text/plain; charset=utf-8"
    body = said.encode(errors="replace")  # half of a pair of surrogates may stand in a model's JSON
    return Answer(status=error.status, body=body, content_type=content_type, headers=headers, note=note)


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


class _Target(Frozen):
    """What answers a model's requests; where no component is named its variants do, or its only component."""

    endpoint: str
    component: str


def _target(model: ModelKey, knowledge: Leadership, role: Role, policies: PolicyStore) -> _Target:
    """A restored endpoint answers, after a takeover or beside the home; else the one that the policy names.

    What this region stood down from answers until the drain is over.
    """
    switch = knowledge.restored(role) or knowledge.former
    if switch:
        return _Target(endpoint=switch.endpoint, component=switch.component)
    policy, _ = policies.load()
    serving = policy.for_model(model.registry, model.name, {}).serving
    return _Target(endpoint=serving.endpoint or model.name, component=serving.component)


def _likely_target(model: ModelKey, knowledge: Leadership, role: Role, policies: PolicyStore) -> _Target:
    """A mistake in the policy must not stop predictions: an endpoint has its model's name unless a policy says more."""
    try:
        return _target(model, knowledge, role, policies)
    except BadPolicy:
        return _Target(endpoint=model.name, component="")


def _error(status: int, message: str, headers: dict[str, str] | None = None, *, note: str = "") -> Answer:
    return Answer(status=status, body=json.dumps({"message": message}).encode(), headers=headers or {}, note=note)
