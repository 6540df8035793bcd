"""Know who serves a model: from the catalog, from what this process knew last, and from what the peer announces."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import Future, ThreadPoolExecutor, wait

from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Announcement, Leadership, Role, Standing, home_of, learned, overruled, role
from mldr.domain.model_rules import FailoverRule
from mldr.domain.routing import Front, Route
from mldr.errors import BadPolicy, MldrError, Retryable
from mldr.ports.catalog import Catalog
from mldr.ports.outside import Fronts, Outside
from mldr.ports.stack import Clock, PolicyStore

STALE = dt.timedelta(seconds=10)  # how old the peer's word may be before a health check asks it again
NO_FRONT = dt.timedelta(seconds=60)  # for how long a peer that could not be found is not looked for
PATIENCE = 0.5  # seconds for which a health check waits for the peer: its checker gives it two
NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)
MODELS = 10_000  # anybody may ask for a name: what is remembered has a bound


class Leaders:
    """What this process knows. A catalog that does not answer, or a silent peer, changes nothing of it."""

    def __init__(
        self, *, region: str, peer_region: str, catalog: Catalog, outside: Outside, fronts: Fronts, clock: Clock
    ) -> None:
        self.region, self._peer = region, peer_region
        self._catalog, self._outside, self._fronts, self._clock = catalog, outside, fronts, clock
        self._memory: dict[ModelKey, Leadership] = {}
        self._asked: dict[ModelKey, dt.datetime] = {}
        self._front: tuple[str, dt.datetime] | None = None
        self._ears = ThreadPoolExecutor(4, thread_name_prefix="peer")
        self._heard: dict[ModelKey, Future[Announcement | None]] = {}

    def known(self, model: ModelKey) -> Leadership:
        """Return what is known without asking the peer. Raises what the catalog raises when nothing is remembered."""
        return self._read(model)[0]

    def asked(self, model: ModelKey) -> Leadership:
        """Return what is known, having asked the peer when its last word is older than ten seconds.

        A higher epoch of the peer is remembered, and ends a takeover of this region. An answer that takes longer than
        half a second is used by whoever asks next.
        """
        knowledge, stored = self._read(model)
        now = self._clock.now()
        said = self._listen(model, knowledge, now)
        standing = (learned(knowledge.standing, said, now) if said else None) or knowledge.standing
        knowledge = knowledge.model_copy(update={"standing": standing})
        self._memory[model] = knowledge
        self._persist(model, knowledge, stored)
        return knowledge

    def role(self, model: ModelKey, knowledge: Leadership, policies: PolicyStore) -> Role:
        """Return what this region is to a model. Only who is to answer asks, so the home need not be known."""
        now, home = self._clock.now(), knowledge.beside.home if knowledge.beside else self.region
        at_once = role(self.region, home, knowledge, now=now, drain=dt.timedelta(0))
        if not at_once.stood_down:
            return at_once
        return role(self.region, home, knowledge, now=now, drain=_drain(model, policies))

    def _read(self, model: ModelKey) -> tuple[Leadership, Standing | None]:
        """Return what is known, and what of the peer's word is stored, or is believed to be."""
        before = self._memory.get(model)
        try:
            found = self._catalog.leadership(model)
        except Retryable:
            if before is None:
                raise
            return before, before.standing
        stored = found.standing
        if before and before.standing and (stored is None or before.standing.epoch > stored.epoch):
            found = found.model_copy(update={"standing": before.standing})
        self._memory[model] = found
        return found, stored

    def _listen(self, model: ModelKey, knowledge: Leadership, now: dt.datetime) -> Announcement | None:
        """Return what the peer says, if it was due to be asked and has answered."""
        heard = self._heard.get(model)
        if heard is None:
            if now - self._asked.get(model, NEVER) < STALE:
                return None
            self._forget_some()
            self._asked[model] = now
            heard = self._heard[model] = self._ears.submit(self._ask, model, knowledge)
        wait([heard], PATIENCE)
        if not heard.done():
            return None
        del self._heard[model]
        said = heard.result()
        return said if said and said.model == str(model) else None

    def _ask(self, model: ModelKey, knowledge: Leadership) -> Announcement | None:
        host = self._host(model, knowledge)
        return self._outside.announcement(host, model) if host else None

    def _forget_some(self) -> None:
        if len(self._asked) >= MODELS:
            self._asked.clear()
            self._memory.clear()

    def _host(self, model: ModelKey, knowledge: Leadership) -> str:
        """Return where the peer's gateway is: the model's route says, else a parameter of the peer region."""
        route = known_route(model, knowledge, self._catalog)
        if route:
            return front_of(route, self._peer).host
        if self._front and (self._front[0] or self._clock.now() - self._front[1] < NO_FRONT):
            return self._front[0]
        try:
            host = self._fronts.front(self._peer).host
        except MldrError:
            host = ""
        self._front = (host, self._clock.now())
        return host

    def _persist(self, model: ModelKey, knowledge: Leadership, stored: Standing | None) -> None:
        standing = knowledge.standing
        if standing is None:
            return
        try:
            if standing != stored:
                self._catalog.learn(model, standing)
            if overruled(knowledge, self.region):
                self._catalog.stand_down(model, standing)
        except Retryable:
            return  # this process knows, and writes it when it next asks


def known_route(model: ModelKey, knowledge: Leadership, catalog: Catalog) -> Route | None:
    """Return a model's graph: the standby onboarded it, the home learned it from the standby."""
    try:
        found = catalog.route(model)
    except Retryable:
        found = None
    return found or (knowledge.standing.route if knowledge.standing else None)


def front_of(route: Route, region: str) -> Front:
    """Return a region's gateway in a model's graph."""
    return route.active if route.active.region == region else route.standby


def home_known(region: str, model: ModelKey, knowledge: Leadership, catalog: Catalog) -> str:
    """Return the home of a model, '' while nobody told."""
    return home_of(region, knowledge, known_route(model, knowledge, catalog))


def _drain(model: ModelKey, policies: PolicyStore) -> dt.timedelta:
    try:
        policy, _ = policies.load()
    except (BadPolicy, Retryable):
        return FailoverRule().drain
    return policy.for_model(model.registry, model.name, {}).failover.drain
