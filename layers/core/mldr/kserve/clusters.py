"""The clusters that the policy names, each reached with a token of its own region."""

from __future__ import annotations

from collections.abc import Callable

from mldr.domain.kserve_rules import ClusterRule
from mldr.errors import BadPolicy
from mldr.kserve.rest import RestInferenceServices
from mldr.ports.serving import InferenceServices
from mldr.ports.stack import PolicyStore

Bearer = Callable[[str, ClusterRule], Callable[[], str]]  # (region, rule) -> what gives a token


class PolicyClusters:
    """Needs what its bearers need; the policy says the rest."""

    def __init__(self, policies: PolicyStore, bearer: Bearer) -> None:
        self._policies, self._bearer = policies, bearer
        self._reached: dict[tuple[str, ClusterRule], RestInferenceServices] = {}

    def services(self, cluster: str, region: str) -> InferenceServices:
        key = (region, self._rule(cluster, region))
        if key not in self._reached:
            self._reached[key] = RestInferenceServices(key[1].endpoint, key[1].ca, self._bearer(*key))
        return self._reached[key]

    def ingress(self, cluster: str, region: str) -> str:
        return self._rule(cluster, region).ingress

    def _rule(self, cluster: str, region: str) -> ClusterRule:
        policy, _ = self._policies.load()
        found = policy.clusters.get(cluster, {}).get(region)
        if found is None:
            raise BadPolicy([f"clusters.{cluster}.{region}: missing; say how the cluster is reached in that region"])
        return found
