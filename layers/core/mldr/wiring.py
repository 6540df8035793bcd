"""The one place where ports meet adapters, each made when first used: a function pays for its own clients only."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

import boto3

from mldr import settings
from mldr.ports import (
    Bus,
    Catalog,
    Clock,
    Copier,
    Datasets,
    Dns,
    EvidenceStore,
    Fronts,
    Images,
    Metrics,
    Outside,
    Pager,
    PolicyStore,
    Registry,
    Restorer,
    Scrubs,
    Serving,
    Sources,
    Tokens,
    Vault,
    VaultBytes,
    Workflows,
)
from mldr.sdk import CONFIG


class World:
    """Everything that a step may touch."""

    def __init__(self, env: settings.Settings) -> None:
        self.env = env
        self._clients: dict[tuple[str, str], Any] = {}

    def _client(self, service: str, region: str = "") -> Any:
        place = (service, region or self.env.aws_region)
        if place not in self._clients:
            self._clients[place] = boto3.client(service, region_name=place[1], config=CONFIG)  # type: ignore[call-overload]
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

        return SageMakerServing(lambda: self._client("sagemaker"), lambda: self._client("sagemaker-runtime"))

    @cached_property
    def front_serving(self) -> Serving:
        """What the gateway asks: Route 53's checkers are many, SageMaker's control plane answers few."""
        from mldr.aws.serving import GLANCE, SageMakerServing

        clients = (lambda: self._client("sagemaker"), lambda: self._client("sagemaker-runtime"))
        return SageMakerServing(*clients, glance=GLANCE)

    @cached_property
    def dns(self) -> Dns:
        from mldr.aws.dns import Route53Dns

        return Route53Dns(
            self._client("route53"),
            zone=self.env.zone_name,
            transport=self.env.gateway_transport,
            owner=f"{self.env.prefix}-{self.env.aws_region}",
        )

    @cached_property
    def fronts(self) -> Fronts:
        from mldr.aws.fronts import ParameterFronts

        return ParameterFronts(lambda region: self._client("ssm", region), environment=self.env.environment_name)

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


@cache
def world() -> World:
    """Build the real world once per execution environment. Raises BadSettings."""
    return World(settings.load())
