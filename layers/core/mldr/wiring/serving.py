"""What serves models, on SageMaker or KServe: described in the peer region, created and scaled in this one."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from mldr.sdk import RUNTIME
from mldr.wiring.records import Records
from mldr.wiring.vault import Vaults

if TYPE_CHECKING:
    from collections.abc import Callable

    from mldr.domain.kserve_rules import ClusterRule
    from mldr.ports.catalog import RegionFacts
    from mldr.ports.serving import (
        Clusters,
        LateAnswers,
        OwnEndpoints,
        Quotas,
        Serving,
        ServingCaptures,
        ServingSource,
        StandingEndpoints,
    )


class Targets(Vaults, Records):
    """Adapters of what serves models."""

    @cached_property
    def serving(self) -> Serving:
        from mldr.aws.serving import SageMakerServing

        sagemaker = SageMakerServing(
            lambda: self._client("sagemaker"),
            self._own_client("sagemaker-runtime", RUNTIME),
            lambda: self._client("application-autoscaling"),
            lambda: self._client("cloudwatch"),
        )
        return self._targets(sagemaker)

    def _targets(self, sagemaker: Serving, **more: float) -> Serving:
        """KServe beside SageMaker, loaded when a model first needs it."""
        from mldr.kserve.targets import ServingTargets

        def kserve() -> Serving:
            from mldr.kserve.serving import KServeServing

            return KServeServing(self.clusters, region=self.env.aws_region, **more)

        return ServingTargets(sagemaker, kserve)

    @cached_property
    def late_answers(self) -> LateAnswers:
        from mldr.aws.late_answers import SageMakerLateAnswers

        return SageMakerLateAnswers(
            lambda: self._client("sagemaker"),
            lambda: self._client("sagemaker-runtime"),
            lambda: self._client("s3"),
            self.clock,
            bucket=self.env.vault_bucket,
        )

    @cached_property
    def clusters(self) -> Clusters:
        from mldr.kserve.clusters import PolicyClusters

        return PolicyClusters(self.policies, self._bearer)

    def _bearer(self, region: str, rule: ClusterRule) -> Callable[[], str]:
        from mldr.aws.cluster_tokens import EksTokens, SecretBearer

        if rule.eks:
            return EksTokens(self._session.get_credentials, region=region, cluster=rule.eks)
        return SecretBearer(lambda: self._client("secretsmanager"), name=rule.token_secret)

    @cached_property
    def serving_source(self) -> ServingSource:
        from mldr.aws.serving_source import SageMakerServingSource
        from mldr.kserve.targets import ServingSources

        peer = self.env.peer_region
        sagemaker = SageMakerServingSource(
            lambda: self._client("sagemaker", peer),
            lambda: self._client("application-autoscaling", peer),
            lambda: self._client("cloudwatch", peer),
        )

        def kserve() -> ServingSource:
            from mldr.kserve.source import KServeSource

            return KServeSource(self.clusters, region=peer)

        return ServingSources(sagemaker, kserve)

    @cached_property
    def serving_captures(self) -> ServingCaptures:
        from mldr.aws.serving_capture import VaultServingCaptures

        return VaultServingCaptures(self.vault, self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def own_endpoints(self) -> OwnEndpoints:
        from mldr.aws.own_endpoints import SageMakerOwnEndpoints

        return SageMakerOwnEndpoints(lambda: self._client("sagemaker"))

    @cached_property
    def standing_endpoints(self) -> StandingEndpoints:
        from mldr.aws.standing_endpoints import SageMakerStandingEndpoints

        return SageMakerStandingEndpoints(
            lambda: self._client("sagemaker"),
            lambda: self._client("application-autoscaling"),
            lambda: self._client("cloudwatch"),
        )

    @cached_property
    def quotas(self) -> Quotas:
        from mldr.aws.quotas import ServiceQuotas

        return ServiceQuotas(lambda: self._client("service-quotas"), lambda: self._client("sagemaker"))

    @cached_property
    def region_facts(self) -> RegionFacts:
        from mldr.aws.region_facts import CatalogFacts

        return CatalogFacts(self.catalog, self.vault, self.evidence, self.serving_captures)
