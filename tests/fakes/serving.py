"""SageMaker endpoints in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mldr.domain.components import NAME, base_of, copies_key, copies_of, sole
from mldr.domain.late_answers import Sent
from mldr.domain.serving import MODEL_TAG, POINT_TAG, ServingPlan
from mldr.domain.tiers import Held
from mldr.domain.warming import Count
from mldr.errors import EndpointFailed, NotAllowed, RequestRefused
from mldr.ports.serving import Finished
from mldr.ports.stack import Clock

IN_SERVICE = "InService"


@dataclass
class Endpoint:
    """One endpoint: what it says of itself, in turn, and how it answers."""

    statuses: list[tuple[str, str]] = field(default_factory=lambda: [(IN_SERVICE, "")])
    plan: ServingPlan | None = None
    counts: dict[str, int] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)


class FakeServing:
    """`coming` are the statuses that a new endpoint goes through; the last one stays."""

    def __init__(self) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        self.coming: list[tuple[str, str]] = [(IN_SERVICE, "")]
        self.answer: Callable[[bytes], bytes] = lambda body: body
        self.asked: list[tuple[str, bytes, str, str]] = []
        self.components: dict[str, str] = {}
        self.component_coming = IN_SERVICE
        self.scaling: dict[str, ServingPlan] = {}
        self.scaling_refused = ""

    def restore(self, plan: ServingPlan) -> None:
        if plan.name not in self.endpoints:
            variants = plan.config["ProductionVariants"]
            self.endpoints[plan.name] = Endpoint(
                statuses=list(self.coming),
                plan=plan,
                counts=dict(plan.capacity),
                weights={one["VariantName"]: one.get("InitialVariantWeight", 1.0) for one in variants},
            )

    def finish(self, plan: ServingPlan) -> Finished:
        for component in plan.components:
            self._component(plan.name, component)
        coming = [self.components[one[NAME]] for one in plan.components if self.components[one[NAME]] != IN_SERVICE]
        if coming:
            return Finished(status=coming[0])
        if self.scaling_refused and plan.targets:
            return Finished(status=IN_SERVICE, warnings=(self.scaling_refused,))
        self.scaling[plan.name] = plan
        return Finished(status=IN_SERVICE)

    def _component(self, endpoint: str, component: dict[str, Any]) -> None:
        """A new one is what `component_coming` says; made once, an adapter once its base is in service."""
        name, base = component[NAME], base_of(component)
        if self.components.get(base, IN_SERVICE) == IN_SERVICE or not base:
            self.components.setdefault(name, self.component_coming)
            copies = copies_of(component)
            if copies is not None:
                self.endpoints[endpoint].counts.setdefault(copies_key(name), copies)
        else:
            self.components[name] = "Creating"

    def scale(self, endpoint: str, counts: dict[str, int], weights: dict[str, float] | None = None) -> None:
        held = self._held(endpoint, {**counts, **(weights or {})})
        held.counts.update(counts)
        held.weights.update(weights or {})

    def capacity(self, endpoint: str) -> dict[str, Count]:
        found = self.endpoints.get(endpoint)
        if found is None:
            return {}
        weights = found.weights
        return {name: Count(current=n, desired=n, weight=weights.get(name, 1.0)) for name, n in found.counts.items()}

    def _held(self, endpoint: str, asked: dict[str, int]) -> Endpoint:
        found = self.endpoints.get(endpoint)
        if found is None or not set(asked) <= {*found.weights, *found.counts}:
            raise EndpointFailed(f"endpoint {endpoint} cannot be changed: it has no {', '.join(asked)}")
        return found

    def status(self, endpoint: str) -> tuple[str, str]:
        found = self.endpoints.get(endpoint)
        if found is None:
            return "Missing", f"there is no endpoint {endpoint} in this region"
        return found.statuses.pop(0) if len(found.statuses) > 1 else found.statuses[0]

    def _asked(self, endpoint: str, component: str) -> None:
        """An endpoint of components answers only the request that names one; alone it need not be named."""
        plan = self.endpoints[endpoint].plan
        if plan is None or all(one.get("ModelName") for one in plan.config["ProductionVariants"]):
            if component:
                raise RequestRefused(f"endpoint {endpoint} did not answer: it has no inference component {component}")
            return
        held = [name for name in self.components if name.startswith(f"{endpoint}-c")]
        if self.components.get(component or sole(held)) != IN_SERVICE:
            raise RequestRefused(f"endpoint {endpoint} did not answer: it has no component {component} in service")

    def invoke(
        self, endpoint: str, body: bytes, content_type: str, accept: str = "", component: str = ""
    ) -> tuple[bytes, str]:
        if endpoint not in self.endpoints:
            raise RequestRefused(f"endpoint {endpoint} did not answer: there is none")
        self._asked(endpoint, component)
        self.asked.append((endpoint, body, content_type, accept))
        return self.answer(body), accept or "application/json"


class FakeLateAnswers:
    """Asynchronous endpoints of a FakeServing: each answer is there after so many looks, or a failure is."""

    def __init__(self, serving: FakeServing, clock: Clock) -> None:
        self._serving, self._clock = serving, clock
        self.everything = False
        self.looks, self.failure = 1, ""
        self._held: dict[str, tuple[bytes, int]] = {}

    def asynchronous(self, endpoint: str) -> bool:
        found = self._serving.endpoints.get(endpoint)
        planned = bool(found and found.plan and found.plan.config.get("AsyncInferenceConfig"))
        return found is not None and (planned or self.everything)

    def ask(self, endpoint: str, body: bytes, content_type: str) -> Sent:
        if not self.asynchronous(endpoint):
            raise RequestRefused(f"endpoint {endpoint} took no request: it is not asynchronous")
        answer, _ = self._serving.invoke(endpoint, body, content_type)
        output = f"s3://answers/{len(self._held)}.out"
        self._held[output] = (answer, self.looks)
        return Sent(endpoint=endpoint, output=output, at=self._clock.now())

    def answer(self, sent: Sent) -> bytes | None:
        answer, looks = self._held[sent.output]
        if self.failure:
            raise EndpointFailed(f"endpoint {sent.endpoint} did not answer: {self.failure}")
        self._held[sent.output] = (answer, looks - 1)
        if looks <= 0:
            return answer
        if sent.over(self._clock.now()):
            raise EndpointFailed(f"endpoint {sent.endpoint} wrote no answer to {sent.output}")
        return None


class FakeStandingEndpoints:
    """The endpoints of a FakeServing that carry mldr's marks."""

    def __init__(self, serving: FakeServing) -> None:
        self._serving = serving
        self.deleted: list[str] = []

    def held(self) -> list[Held]:
        return [
            Held(
                name=name,
                model=tags[MODEL_TAG],
                recovery_point=tags[POINT_TAG],
                status=one.statuses[0][0],
                counts=self._serving.capacity(name),
                components=len([made for made in self._serving.components if made.startswith(f"{name}-c")]),
            )
            for name, one in self._serving.endpoints.items()
            if one.plan and (tags := {tag["Key"]: tag["Value"] for tag in one.plan.marks})
        ]

    def resize(self, endpoint: str, counts: dict[str, int]) -> None:
        self._serving.scaling.pop(endpoint, None)
        self._serving.scale(endpoint, counts)

    def settle(self, endpoint: str, names: Sequence[str]) -> None:
        self._serving.scaling.pop(endpoint, None)

    def delete(self, endpoint: str) -> bool:
        found = self._serving.endpoints.get(endpoint)
        if found is None:
            return True
        if found.plan is None:
            raise NotAllowed(f"endpoint {endpoint} is not mldr's: it has no tag mldr:owner=mldr, so it stays")
        del self._serving.endpoints[endpoint]
        self.deleted.append(endpoint)
        kept = {name: one for name, one in self._serving.components.items() if not name.startswith(f"{endpoint}-c")}
        self._serving.components = kept
        return True
