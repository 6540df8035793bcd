"""Look whether an endpoint of this region answers: it serves, its artifact is loaded, a golden request is answered.

The many checkers of a gateway are answered from one look. A golden request is sent at most once in half a minute,
whichever of the gateway's environments is asked, and is given up long before a checker would be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mldr.domain import deep_health as deep
from mldr.domain.deep_health import Proof
from mldr.domain.endpoint_status import answers
from mldr.domain.golden import GoldenInference, judge
from mldr.domain.identity import Frozen, ModelKey
from mldr.errors import EndpointFailed, LostRace, MldrError, RegionUnreachable, RequestRefused, Throttled
from mldr.ports.catalog import Catalog
from mldr.ports.health import Goldens, Proofs
from mldr.ports.serving import Serving
from mldr.ports.stack import Clock, PolicyStore
from mldr.ports.vault import Vault
from mldr.steps.seal_recovery_point import read_manifest


class Checked(Frozen):
    """What `/health` is answered with."""

    healthy: bool
    body: dict[str, Any]


class Source(Frozen):
    """Where the golden inferences of what is served lie."""

    uri: str
    version_id: str | None = None


@dataclass(frozen=True)
class DeepHealth:
    """What is looked through. `prompt` gives up on an invocation before a checker would."""

    catalog: Catalog
    vault: Vault
    policies: PolicyStore
    serving: Serving
    prompt: Serving
    proofs: Proofs
    goldens: Goldens
    clock: Clock

    def look(self, model: ModelKey, endpoint: str, point: str = "", component: str = "") -> Checked:
        """Return whether an endpoint answers; `point` is the recovery point that it was restored from, if it was.

        Raises what `Serving.status` raises; what hinders a golden request is told and makes nothing look down.
        """
        status, reason = self.serving.status(endpoint)
        body: dict[str, Any] = {"endpoint": endpoint, "status": status, "reason": reason}
        if not answers(status):
            return Checked(healthy=False, body=body)
        try:
            proof = self._prove(model, endpoint, component, point)
        except MldrError as error:
            hindered = f"cannot be asked: {type(error).__name__}: {error}"
            return Checked(healthy=True, body={**body, "golden": {"outcome": hindered}})
        now = self.clock.now()
        why, golden = deep.down(proof, endpoint, now), deep.told(proof, endpoint, now)
        return Checked(healthy=not why, body={**body, "reason": why or reason, "golden": golden})

    def _prove(self, model: ModelKey, endpoint: str, component: str, point: str) -> Proof | None:
        """Return the newest proof, having asked the endpoint when that was due and nobody else does."""
        held = self.proofs.newest(model)
        if not deep.due(held, endpoint, self.clock.now()):
            return held
        source = self._source(model, point)
        if source is None:
            return None
        golden = self.goldens.first(source.uri, source.version_id)
        turn = deep.asking(held, endpoint, self.clock.now())
        try:
            self.proofs.put(model, turn, held)
            proof = self._ask(turn, golden, component)
            self.proofs.put(model, proof, turn)
        except LostRace:
            return self.proofs.newest(model)
        return proof

    def _source(self, model: ModelKey, point: str) -> Source | None:
        """Return where the golden inferences of the recovery point lie, else of the policy; None without any."""
        record = self.catalog.record(model, point) if point else None
        if record and record.manifest_version:
            golden = read_manifest(self.vault, record).golden
            return Source(uri=self.vault.uri(golden.key), version_id=golden.version_id) if golden else None
        policy, _ = self.policies.load()
        named = policy.for_model(model.registry, model.name, {}).golden
        return Source(uri=named.uri) if named else None

    def _ask(self, turn: Proof, golden: GoldenInference, component: str) -> Proof:
        began = self.clock.now()
        try:
            answer, _ = self.prompt.invoke(turn.endpoint, golden.body(), golden.content_type, component=component)
        except EndpointFailed as error:
            return deep.failed(turn, str(error), self.clock.now())
        except (RequestRefused, Throttled) as error:
            return deep.refused(turn, str(error))
        except RegionUnreachable as error:
            return deep.silent(turn, str(error), self.clock.now())
        verdict = judge((golden,), [answer])
        now = self.clock.now()
        took = (now - began).total_seconds()
        return deep.answered(turn, equal=verdict.passed, reason=verdict.reason, seconds=took, now=now)
