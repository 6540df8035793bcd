"""Answer a prediction from the cache of this region, offer new answers to it, and bridge while an endpoint is down.

Whatever is wrong with the cache, the prediction goes on without it; `note` says what it was.
"""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass, field

from mldr.domain import prediction_cache as caching
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Leadership, Role
from mldr.domain.model_rules import CacheRule
from mldr.domain.prediction_cache import Cached, Directives, Grade, Look, Restored, Sighting
from mldr.domain.recovery_point import Record, newest_restorable
from mldr.errors import MldrError
from mldr.ports.catalog import Catalog
from mldr.ports.serving import Offers, OwnEndpoints, PredictionCache
from mldr.ports.stack import Clock, PolicyStore
from mldr.steps.know_leader import NEVER, home_known


class Question(Frozen):
    """What a client asks, and what it says of caches. `warm` comes from mldr itself, which wants no answer."""

    body: bytes
    content_type: str
    accept: str
    cache_control: str = ""
    warm: bool = False


@dataclass(frozen=True)
class Served:
    """Who is asked for an answer: the model, its endpoint in this region, and what is known of who serves."""

    model: ModelKey
    endpoint: str
    knowledge: Leadership
    role: Role
    component: str = ""  # of the endpoint, where one has to be named


@dataclass(frozen=True)
class Predictions:
    """What is looked through."""

    region: str
    cache: PredictionCache
    endpoints: OwnEndpoints
    catalog: Catalog
    policies: PolicyStore
    clock: Clock

    def ask(self, served: Served, question: Question) -> Asked:
        """Return how the cache stands to a question. A region that stood down does not use its cache."""
        asked = Asked(self, served, question)
        if not served.role.stood_down:
            asked.look_up()
        return asked


@dataclass
class Asked:
    """One question, and what the cache knows of it."""

    ports: Predictions
    served: Served
    question: Question
    rule: CacheRule | None = None
    asks: Directives = field(default_factory=Directives)
    request: str = ""
    entry: Cached | None = None
    before: Sighting | None = None
    sighting: Sighting | None = None  # none while the endpoint cannot be looked at: an older look proves nothing
    at: dt.datetime = NEVER
    note: str = ""

    def look_up(self) -> None:
        """Read the slot of the request, and what serves the model."""
        model = self.served.model
        try:
            policy, _ = self.ports.policies.load()
            self.asks = Directives.parse(self.question.cache_control)
            rule = policy.for_model(model.registry, model.name, {}).cache
            if rule is None or self.asks.no_store:
                return
            asked = self.question
            self.request = caching.fingerprint(asked.body, asked.content_type, asked.accept)
            self.at = self.ports.clock.now()
            self.entry, before = self.ports.cache.read(model, caching.slot_of(self.request, rule.entries))
            self.rule, self.before = rule, before
            self.sighting = sight(self.ports, self.served, before)
        except MldrError as error:
            self.note = f"the prediction cache cannot be asked: {type(error).__name__}: {error}"

    @property
    def used(self) -> bool:
        """Whether the cache may be used for this question."""
        return self.rule is not None

    @property
    def age(self) -> int:
        """Return the age of the entry in whole seconds."""
        return caching.age_of(self.entry, self.at) if self.entry else 0

    def fresh(self) -> Cached | None:
        """Return the answer of the version in service, if it is young enough."""
        return self._answer(self.sighting.serving if self.sighting else "", (Grade.FRESH,))

    def bridge(self) -> tuple[Cached, Grade] | None:
        """Return the answer that stands in for an endpoint that is down, of the version that served or comes up."""
        try:
            found = self._answer(self._awaited(), (Grade.FRESH, Grade.STALE))
        except MldrError as error:
            self.note = f"the prediction cache cannot bridge: {type(error).__name__}: {error}"
            return None
        return (found, caching.grade(found, self.rule, self.at)) if found and self.rule else None

    def offer(self, answer: bytes, content_type: str, offers: Offers) -> None:
        """Hand an answer over, if it may be kept and the version that gave it seems known: that is made sure later."""
        version = self.sighting.serving if self.sighting else ""
        if self.rule is None or not version or len(answer) > caching.LARGEST:
            return
        now, served = self.ports.clock.now(), self.served
        entry = Cached(
            model=served.model,
            version=version,
            key=caching.key_of(served.model, version, self.request),
            slot=caching.slot_of(self.request, self.rule.entries),
            endpoint=served.endpoint,
            epoch=served.role.epoch,
            asked_at=self.at,
            answered_at=now,
            expires=now + self.rule.ttl + self.rule.serve_stale,
            content_type=content_type,
            body=base64.b64encode(answer).decode(),
        )
        try:
            offers.offer(entry)
        except MldrError as error:
            self.note = f"the answer is not kept: {type(error).__name__}: {error}"

    def _answer(self, version: str, grades: tuple[Grade, ...]) -> Cached | None:
        entry, rule = self.entry, self.rule
        if entry is None or rule is None or self.asks.no_cache:
            return None
        if not caching.answers(entry, self.served.model, version, self.request):
            return None
        return entry if caching.grade(entry, rule, self.at) in grades else None

    def _awaited(self) -> str:
        """Return the version that served here until the endpoint broke; in a region that waits, what it would restore.

        What mldr restored to answer here is the version of its point, whatever became of the endpoint.
        """
        if self.rule is None:
            return ""
        if self.sighting and self.sighting.serving:
            return self.sighting.serving
        model, knowledge, catalog = self.served.model, self.served.knowledge, self.ports.catalog
        home = home_known(self.ports.region, model, knowledge, catalog)
        if knowledge.restored(self.served.role) or home in ("", self.ports.region):
            return caching.last_known(self.sighting or self.before, self.served.endpoint, self.rule, self.at)
        records = catalog.records(model)
        claimed = catalog.epoch(model)
        wanted = newest_restorable(records)
        if claimed and not claimed.concluded:
            wanted = next((one for one in records if one.recovery_point == claimed.recovery_point), None)
        return caching.at_home(wanted.origin.arn, [wanted], home) if wanted else ""


def sight(ports: Predictions, served: Served, before: Sighting | None, *, anew: bool = False) -> Sighting:
    """Return what serves a model, having looked when nobody did within some seconds, or `anew`."""
    now = ports.clock.now()
    if before and not anew and before.current(served.endpoint, now):
        return before
    look = ports.endpoints.look(served.endpoint, served.component)
    home = home_known(ports.region, served.model, served.knowledge, ports.catalog)
    restored = caching.restored_of(served.knowledge, served.role)
    records = _records(ports.catalog, served.model, look, restored, home)
    version = caching.version_of(look, served.endpoint, restored, records, home)
    sighting = caching.seen(look, served.endpoint, version, now, before)
    ports.cache.see(served.model, sighting)
    return sighting


def _records(catalog: Catalog, model: ModelKey, look: Look, restored: Restored | None, home: str) -> list[Record]:
    """Return the records that a version can be told from: none when the endpoint has a package of the home."""
    packages = [one for one in look.contents if ":model-package/" in one]
    if packages:
        return [] if packages[0].split(":")[3] == home or not home else catalog.records(model)
    found = catalog.record(model, restored.recovery_point) if restored else None
    return [found] if found else []
