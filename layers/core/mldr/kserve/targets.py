"""Everything that can serve in this region behind one port: an endpoint's name says which of them is meant."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from mldr.domain.kserve_rules import SCHEME
from mldr.domain.serving import ServingPlan
from mldr.domain.serving_state import Observed
from mldr.domain.warming import Count
from mldr.ports.serving import Finished, Serving, ServingSource


class ServingTargets:
    """`kserve://cluster/namespace/name` is KServe's, made when first asked for; every other name is SageMaker's."""

    def __init__(self, sagemaker: Serving, kserve: Callable[[], Serving]) -> None:
        self._sagemaker, self._kserve = sagemaker, cache(kserve)

    def restore(self, plan: ServingPlan) -> None:
        self._of(plan.name).restore(plan)

    def finish(self, plan: ServingPlan) -> Finished:
        return self._of(plan.name).finish(plan)

    def scale(self, endpoint: str, counts: dict[str, int], weights: dict[str, float] | None = None) -> None:
        self._of(endpoint).scale(endpoint, counts, weights)

    def capacity(self, endpoint: str) -> dict[str, Count]:
        return self._of(endpoint).capacity(endpoint)

    def status(self, endpoint: str) -> tuple[str, str]:
        return self._of(endpoint).status(endpoint)

    def invoke(
        self, endpoint: str, body: bytes, content_type: str, accept: str = "", component: str = ""
    ) -> tuple[bytes, str]:
        return self._of(endpoint).invoke(endpoint, body, content_type, accept, component)

    def _of(self, endpoint: str) -> Serving:
        return self._kserve() if endpoint.startswith(SCHEME) else self._sagemaker


class ServingSources:
    """The same for what serves in the active region."""

    def __init__(self, sagemaker: ServingSource, kserve: Callable[[], ServingSource]) -> None:
        self._sagemaker, self._kserve = sagemaker, cache(kserve)

    def observe(self, endpoint: str) -> Observed:
        source = self._kserve() if endpoint.startswith(SCHEME) else self._sagemaker
        return source.observe(endpoint)
