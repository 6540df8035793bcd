"""SageMaker endpoints in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mldr.domain.serving import ServingPlan
from mldr.errors import EndpointFailed


@dataclass
class Endpoint:
    """One endpoint: what it says of itself, in turn, and how it answers."""

    statuses: list[tuple[str, str]] = field(default_factory=lambda: [("InService", "")])
    plan: ServingPlan | None = None


class FakeServing:
    """`coming` are the statuses that a new endpoint goes through; the last one stays."""

    def __init__(self) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        self.coming: list[tuple[str, str]] = [("InService", "")]
        self.answer: Callable[[bytes], bytes] = lambda body: body
        self.asked: list[tuple[str, bytes, str, str]] = []

    def restore(self, plan: ServingPlan) -> None:
        if plan.name not in self.endpoints:
            self.endpoints[plan.name] = Endpoint(statuses=list(self.coming), plan=plan)

    def status(self, endpoint: str) -> tuple[str, str]:
        found = self.endpoints.get(endpoint)
        if found is None:
            return "Missing", f"there is no endpoint {endpoint} in this region"
        return found.statuses.pop(0) if len(found.statuses) > 1 else found.statuses[0]

    def invoke(self, endpoint: str, body: bytes, content_type: str, accept: str = "") -> tuple[bytes, str]:
        if endpoint not in self.endpoints:
            raise EndpointFailed(f"endpoint {endpoint} did not answer: there is none")
        self.asked.append((endpoint, body, content_type, accept))
        return self.answer(body), accept or "application/json"
