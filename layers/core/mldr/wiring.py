"""The one place where ports meet adapters, each made when first used: a function pays for its own clients only."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import botocore.session

from mldr import settings
from mldr.domain.routing import SwitchKind
from mldr.sdk import AT_ONCE, CACHE, CONFIG, ONE_OF_FIVE, PROMPT

if TYPE_CHECKING:
    from mldr.domain.arc import ClusterEndpoint
    from mldr.domain.kserve_rules import ClusterRule
    from mldr.ports.catalog import Catalog, RegionFacts
    from mldr.ports.datasets import Datasets, Restorer
    from mldr.ports.health import Decisions, Goldens, Proofs, Survivors
    from mldr.ports.outside import Dns, Fronts, Outside, RoutingControls, SwitchSignal, Tokens
    from mldr.ports.registry import Images, Registry
    from mldr.ports.serving import (
        Clusters,
        Offers,
        OwnEndpoints,
        PredictionCache,
        Quotas,
        ScalingLimits,
        Serving,
        ServingCaptures,
        ServingSource,
        StandingEndpoints,
    )
    from mldr.ports.sources import Sources
    from mldr.ports.stack import Bus, Clock, Metrics, Pager, PolicyStore, Workflows
    from mldr.ports.vault import Copier, DigestJobs, EvidenceStore, Scrubs, Vault, VaultBytes
    from mldr.steps.cache_predictions import Predictions
    from mldr.steps.deep_health import DeepHealth
    from mldr.steps.know_leader import Leaders


class World:
    """Everything that a step may touch."""

    def __init__(self, env: settings.Settings) -> None:
        self.env = env
        self._clients: dict[tuple[str, str], Any] = {}
        # botocore alone: boto3's resources and transfers, which nothing here uses, are a third of a client's start.
        self._session = botocore.session.get_session()

    def _client(self, service: str, region: str = "") -> Any:
        place = (service, region or self.env.aws_region)
        if place not in self._clients:
            self._clients[place] = self._session.create_client(service, region_name=place[1], config=CONFIG)
        return self._clients[place]

    @cached_property
    def clock(self) -> Clock:
        from mldr.aws.clock import SystemClock

        return SystemClock()

    @cached_property
    def sources(self) -> Sources:
        from mldr.aws.sources import S3Sources

        return S3Sources(self._client("s3", self.env.peer_region))

    @cached_property
    def vault(self) -> Vault:
        from mldr.aws.vault import S3Vault

        return S3Vault(self._client("s3"), bucket=self.env.vault_bucket, key_arn=self.env.vault_key_arn)

    @cached_property
    def copier(self) -> Copier:
        from mldr.aws.copier import S3Copier

        return S3Copier(
            self._client("s3"),
            self._client("s3", self.env.peer_region),
            bucket=self.env.vault_bucket,
            key_arn=self.env.vault_key_arn,
        )

    @cached_property
    def vault_bytes(self) -> VaultBytes:
        from mldr.aws.vault_bytes import S3VaultBytes

        return S3VaultBytes(self._client("s3"), bucket=self.env.vault_bucket)

    @cached_property
    def digest_jobs(self) -> DigestJobs:
        from mldr.aws.batch_operations import S3BatchOperations

        return S3BatchOperations(
            self._client("s3control"),
            self._client("s3"),
            bucket=self.env.vault_bucket,
            role_arn=self.env.digest_role_arn,
        )

    @cached_property
    def scrubs(self) -> Scrubs:
        from mldr.aws.scrubs import DynamoScrubs

        return DynamoScrubs(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def metrics(self) -> Metrics:
        from mldr.aws.metrics import CloudWatchMetrics

        return CloudWatchMetrics(self._client("cloudwatch"), environment=self.env.environment_name)

    @cached_property
    def catalog(self) -> Catalog:
        from mldr.aws.catalog import DynamoCatalog

        return DynamoCatalog(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def decisions(self) -> Decisions:
        from mldr.aws.decisions import DynamoDecisions

        return DynamoDecisions(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def survivors(self) -> Survivors:
        from mldr.aws.survivors import DynamoSurvivors

        return DynamoSurvivors(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def scaling_limits(self) -> ScalingLimits:
        from mldr.aws.scaling_limits import AutoScalingLimits

        return AutoScalingLimits(lambda: self._client("application-autoscaling"))

    @cached_property
    def proofs(self) -> Proofs:
        from mldr.aws.proofs import DynamoProofs

        return DynamoProofs(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def goldens(self) -> Goldens:
        from mldr.aws.goldens import S3Goldens

        return S3Goldens(self._client("s3"))

    @cached_property
    def datasets(self) -> Datasets:
        from mldr.aws.datasets import DynamoDatasets

        return DynamoDatasets(self._client("dynamodb"), table=self.env.catalog_table)

    @cached_property
    def restorer(self) -> Restorer:
        from mldr.aws.restorer import S3Restorer

        return S3Restorer(self._client("s3"), vault=self.env.vault_bucket)

    @cached_property
    def registry(self) -> Registry:
        from mldr.registries.sagemaker import SageMakerRegistry

        return SageMakerRegistry(self._client("sagemaker", self.env.peer_region), self._client("sagemaker"))

    @cached_property
    def images(self) -> Images:
        from mldr.aws.images import EcrImages

        return EcrImages(lambda region: self._client("ecr", region))

    @cached_property
    def policies(self) -> PolicyStore:
        from mldr.aws.policy_store import S3PolicyStore

        return S3PolicyStore(self._client("s3"), location=self.env.policy_location)

    @cached_property
    def workflows(self) -> Workflows:
        from mldr.aws.workflows import StepFunctions

        return StepFunctions(self._client("stepfunctions"), state_machine_arn=self.env.state_machine_arn)

    @cached_property
    def evacuations(self) -> Workflows:
        from mldr.aws.workflows import StepFunctions

        return StepFunctions(self._client("stepfunctions"), state_machine_arn=self.env.evacuate_machine_arn)

    @cached_property
    def region_facts(self) -> RegionFacts:
        from mldr.aws.region_facts import CatalogFacts

        return CatalogFacts(self.catalog, self.vault, self.evidence, self.serving_captures)

    @cached_property
    def quotas(self) -> Quotas:
        from mldr.aws.quotas import ServiceQuotas

        return ServiceQuotas(lambda: self._client("service-quotas"), lambda: self._client("sagemaker"))

    @cached_property
    def bus(self) -> Bus:
        from mldr.aws.bus import EventBus

        return EventBus(self._client("events"), name=self.env.bus_name)

    @cached_property
    def pager(self) -> Pager:
        from mldr.aws.pager import SnsPager

        return SnsPager(self._client("sns"), topic_arn=self.env.pages_topic_arn)

    @cached_property
    def serving(self) -> Serving:
        from mldr.aws.serving import SageMakerServing

        sagemaker = SageMakerServing(
            lambda: self._client("sagemaker"),
            lambda: self._client("sagemaker-runtime"),
            lambda: self._client("application-autoscaling"),
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
            lambda: self._client("sagemaker"), lambda: self._client("application-autoscaling")
        )

    @cached_property
    def offers(self) -> Offers:
        from mldr.aws.prediction_cache import QueuedOffers

        return QueuedOffers(self._prompt("sqs"), queue_url=self.env.prediction_queue_url, region=self.env.aws_region)

    def _prompt(self, service: str) -> Callable[[], Any]:
        """A client that gives up early, made when a model has a cache: most have none."""
        return cache(lambda: self._session.create_client(service, region_name=self.env.aws_region, config=CACHE))

    @cached_property
    def predictions(self) -> Predictions:
        """The prediction cache as the gateway uses it: it waits for no answer of the cache."""
        from mldr.aws.prediction_cache import DynamoPredictionCache

        return self._predictions(DynamoPredictionCache(self._prompt("dynamodb"), table=self.env.prediction_table))

    @cached_property
    def keeping(self) -> Predictions:
        """The prediction cache as its keeper uses it: patiently."""
        from mldr.aws.prediction_cache import DynamoPredictionCache

        return self._predictions(
            DynamoPredictionCache(lambda: self._client("dynamodb"), table=self.env.prediction_table)
        )

    def _predictions(self, held: PredictionCache) -> Predictions:
        from mldr.steps.cache_predictions import Predictions

        return Predictions(
            region=self.env.aws_region,
            cache=held,
            endpoints=self.own_endpoints,
            catalog=self.catalog,
            policies=self.policies,
            clock=self.clock,
        )

    @cached_property
    def front_serving(self) -> Serving:
        """What the gateway asks: Route 53's checkers are many, SageMaker's control plane answers few."""
        from mldr.aws.serving import GLANCE, SageMakerServing

        sagemaker = SageMakerServing(
            lambda: self._client("sagemaker"),
            lambda: self._client("sagemaker-runtime"),
            lambda: self._client("application-autoscaling"),
            glance=GLANCE,
        )
        return self._targets(sagemaker, glance=GLANCE)

    @cached_property
    def prompt_serving(self) -> Serving:
        """What deep health asks: it gives up before a health checker does."""
        from mldr.aws.serving import SageMakerServing

        runtime: Any = self._session.create_client("sagemaker-runtime", region_name=self.env.aws_region, config=PROMPT)
        sagemaker = SageMakerServing(
            lambda: self._client("sagemaker"), lambda: runtime, lambda: self._client("application-autoscaling")
        )
        return self._targets(sagemaker, timeout=1.0)

    @cached_property
    def deep_health(self) -> DeepHealth:
        from mldr.steps.deep_health import DeepHealth

        return DeepHealth(
            catalog=self.catalog,
            vault=self.vault,
            policies=self.policies,
            serving=self.front_serving,
            prompt=self.prompt_serving,
            proofs=self.proofs,
            goldens=self.goldens,
            clock=self.clock,
        )

    @cached_property
    def dns(self) -> Dns:
        from mldr.aws.dns import Route53Dns

        return Route53Dns(
            self._client("route53"),
            lambda region: self._client("cloudwatch", region),
            zone=self.env.zone_name,
            transport=self.env.gateway_transport,
            owner=f"{self.env.prefix}-{self.env.aws_region}",
            environment=self.env.environment_name,
        )

    @cached_property
    def switch_signal(self) -> SwitchSignal:
        """The gateway answers the checkers itself; only a metric has to be put."""
        from mldr.aws.switches import GatewaySwitch, MetricSwitch

        return MetricSwitch(self.metrics) if self.env.takeover_switch is SwitchKind.METRIC else GatewaySwitch()

    @cached_property
    def routing_controls(self) -> RoutingControls:
        from mldr.aws.arc import ArcRoutingControls

        def client(endpoint: ClusterEndpoint) -> Any:
            return self._session.create_client(
                "route53-recovery-cluster",
                region_name=endpoint.region,
                endpoint_url=endpoint.url,
                config=ONE_OF_FIVE,
            )

        return ArcRoutingControls(client, controls=self.env.arc_routing_controls, endpoints=self.env.arc_endpoints)

    @cached_property
    def fronts(self) -> Fronts:
        from mldr.aws.fronts import ParameterFronts

        return ParameterFronts(lambda region: self._client("ssm", region), environment=self.env.environment_name)

    @cached_property
    def leaders(self) -> Leaders:
        """What a gateway knows of who serves. A peer that does not answer at once is not waited for."""
        from mldr.aws.fronts import ParameterFronts
        from mldr.steps.know_leader import Leaders

        def ssm(region: str) -> Any:
            return self._session.create_client("ssm", region_name=region, config=AT_ONCE)

        return Leaders(
            region=self.env.aws_region,
            peer_region=self.env.peer_region,
            catalog=self.catalog,
            outside=self.outside,
            fronts=ParameterFronts(ssm, environment=self.env.environment_name),
            clock=self.clock,
        )

    @cached_property
    def outside(self) -> Outside:
        from mldr.aws.outside import PublicNetwork

        return PublicNetwork(resolver=self.env.dns_resolver, transport=self.env.gateway_transport)

    @cached_property
    def evidence(self) -> EvidenceStore:
        from mldr.aws.evidence import VaultEvidence

        return VaultEvidence(self.vault, self.clock.now)

    @cached_property
    def tokens(self) -> Tokens:
        from mldr.aws.tokens import SecretToken

        return SecretToken(self._client("secretsmanager"), name=self.env.gateway_secret)

    @cached_property
    def witness_token(self) -> Tokens:
        """What the witness asks for."""
        from mldr.aws.tokens import SecretToken

        return SecretToken(self._client("secretsmanager"), name=self.env.witness_secret)


@cache
def world() -> World:
    """Build the real world once per execution environment. Raises BadSettings."""
    return World(settings.load())


def at_start(*adapters: str, clients: Sequence[str] = ()) -> None:
    """Make adapters and clients of services while an execution environment of Lambda starts; does nothing elsewhere.

    Nothing is asked over the network: what hangs may cost a start no time. Raises BadSettings.
    """
    if "AWS_LAMBDA_RUNTIME_API" not in os.environ:
        return
    made = world()
    for name in adapters:
        getattr(made, name)
    for service in clients:
        made._client(service)
