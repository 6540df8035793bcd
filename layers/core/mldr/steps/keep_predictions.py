"""Keep answers in the cache of this region, and tell the other region of those that were given here.

An answer is kept only once a look at the endpoint, after it was given, has shown which version gave it.
"""

from __future__ import annotations

from collections.abc import Sequence

from mldr.domain import prediction_cache as caching
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Leadership, Role, role
from mldr.domain.prediction_cache import Cached, Sighting
from mldr.errors import MldrError
from mldr.events.detail_types import PREDICTIONS_KEPT
from mldr.events.serving import PredictionsKept
from mldr.ports.stack import Bus
from mldr.steps.cache_predictions import Predictions, Served, sight
from mldr.steps.know_leader import home_known


class Outcome(Frozen):
    """What became of a batch: the messages to deliver again, by number, and why answers were left out."""

    failed: tuple[int, ...]
    kept: int
    told: int
    refused: tuple[str, ...]
    errors: tuple[str, ...]


class _Batch:
    """What is read once for all answers of a batch."""

    def __init__(self, ports: Predictions) -> None:
        self.ports = ports
        self._known: dict[ModelKey, tuple[Leadership, Role, bool]] = {}
        self._components: dict[ModelKey, str] = {}  # as the policy names them
        self._seen: dict[tuple[ModelKey, str], Sighting] = {}

    def why_not(self, entry: Cached, *, own: bool) -> str:
        """Return why an answer is not kept, '' if it is."""
        knowledge, held, answering = self._leadership(entry.model)
        now = self.ports.clock.now()
        why = caching.refusal(entry, own=own, knowledge=knowledge, role=held, answering=answering, now=now)
        if why or not own:
            return why
        return caching.still_serves(entry, self._sighting(entry, knowledge, held))

    def _leadership(self, model: ModelKey) -> tuple[Leadership, Role, bool]:
        if model not in self._known:
            ports = self.ports
            policy, _ = ports.policies.load()
            rules = policy.for_model(model.registry, model.name, {})
            knowledge = ports.catalog.leadership(model)
            home = home_known(ports.region, model, knowledge, ports.catalog)
            held = role(ports.region, home, knowledge, now=ports.clock.now(), drain=rules.failover.drain)
            self._components[model] = rules.serving.component
            self._known[model] = (knowledge, held, rules.cache is not None and (held.writer or held.beside))
        return self._known[model]

    def told_of(self, entry: Cached) -> bool:
        """Return whether the other region is told: what holds the epoch takes no answer from beside it."""
        return self._leadership(entry.model)[1].writer

    def _sighting(self, entry: Cached, knowledge: Leadership, held: Role) -> Sighting:
        place = (entry.model, entry.endpoint)
        if place not in self._seen:
            component = knowledge.component(entry.endpoint, held, self._components[entry.model])
            served = Served(entry.model, entry.endpoint, knowledge, held, component)
            self._seen[place] = sight(self.ports, served, self.ports.cache.sighting(entry.model), anew=True)
        return self._seen[place]


def keep_predictions(messages: Sequence[str], *, ports: Predictions, bus: Bus) -> Outcome:
    """Return what became of a batch of messages; keeping and telling twice is harmless."""
    batch = _Batch(ports)
    failed: dict[int, str] = {}
    refused: list[str] = []
    kept, told = 0, 0
    to_tell: list[tuple[int, Cached]] = []
    for number, message in enumerate(messages):
        try:
            notice = PredictionsKept.parse(message)
            own = notice.region == ports.region
            for entry in notice.entries:
                if why := batch.why_not(entry, own=own):
                    refused.append(why)
                elif ports.cache.keep(entry):
                    kept += 1
                    to_tell += [(number, entry)] if own and batch.told_of(entry) else []
        except MldrError as error:
            failed[number] = f"{type(error).__name__}: {error}"
    try:
        told = _tell([entry for _, entry in to_tell], bus)
    except MldrError as error:
        failed.update({number: f"{type(error).__name__}: {error}" for number, _ in to_tell})
    return Outcome(
        failed=tuple(sorted(failed)),
        kept=kept,
        told=told,
        refused=tuple(refused),
        errors=tuple(failed[number] for number in sorted(failed)),
    )


def _tell(entries: list[Cached], bus: Bus) -> int:
    """Put what crosses to the other region on this region's bus, many in one event."""
    for bundle in caching.bundles(entries):
        bus.put(PREDICTIONS_KEPT, {"entries": [entry.model_dump(mode="json") for entry in bundle]})
    return len(entries)
