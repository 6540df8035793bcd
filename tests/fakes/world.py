"""A whole world in memory, with the attributes of wiring.World."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from mldr.aws.region_facts import CatalogFacts
from mldr.settings import Settings
from mldr.steps.cache_predictions import Predictions
from mldr.steps.deep_health import DeepHealth
from mldr.steps.know_leader import Leaders
from tests.fakes.bus import FakeBus
from tests.fakes.catalog import FakeCatalog
from tests.fakes.clock import FakeClock
from tests.fakes.clusters import FakeClusters
from tests.fakes.copier import FakeCopier
from tests.fakes.datasets import FakeDatasets
from tests.fakes.decisions import FakeDecisions
from tests.fakes.digest_jobs import FakeDigestJobs
from tests.fakes.dns import FakeDns
from tests.fakes.evidence import FakeEvidence
from tests.fakes.fronts import FakeFronts
from tests.fakes.images import FakeImages
from tests.fakes.metrics import FakeMetrics
from tests.fakes.objects import Buckets, FakeSources, FakeVault
from tests.fakes.outside import FakeOutside
from tests.fakes.own_endpoints import FakeOwnEndpoints
from tests.fakes.pager import FakePager
from tests.fakes.policies import FakePolicies
from tests.fakes.prediction_cache import FakeOffers, FakePredictionCache
from tests.fakes.proofs import FakeGoldens, FakeProofs
from tests.fakes.quotas import FakeQuotas
from tests.fakes.registry import FakeRegistry
from tests.fakes.restorer import FakeRestorer
from tests.fakes.scrubs import FakeScrubs
from tests.fakes.serving import FakeLateAnswers, FakeServing, FakeStandingEndpoints
from tests.fakes.serving_captures import FakeServingCaptures, FakeServingSource
from tests.fakes.setbacks import FakeReminders, FakeSetbacks
from tests.fakes.survivors import FakeScalingLimits, FakeSurvivors
from tests.fakes.switches import FakeRoutingControls, FakeSwitchSignal
from tests.fakes.tokens import FakeTokens
from tests.fakes.vault_bytes import FakeVaultBytes
from tests.fakes.workflows import FakeWorkflows

ACTIVE, STANDBY = "ap-southeast-1", "ap-southeast-3"
START = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
POLICY = f"""\
version: 1
regions: [{ACTIVE}, {STANDBY}]
models:
  - match: sagemaker/churn
    golden: {{uri: "s3://lake/churn/golden.jsonl"}}
  - match: sagemaker/plain
"""


TEAM_ROLE = "arn:aws:iam::123456789012:role/team"


def settings() -> Settings:
    """The standby region's settings, with everything that any function needs."""
    return Settings(
        aws_region=STANDBY,
        environment_name="test",
        peer_region=ACTIVE,
        vault_bucket="vault",
        vault_key_arn=f"arn:aws:kms:{STANDBY}:123456789012:key/vault",
        catalog_table="catalog",
        bus_name="mldr",
        policy_location="s3://config/policy.yaml",
        serving_role_arn="arn:aws:iam::123456789012:role/serve",
        serving_role_arns=TEAM_ROLE,
        zone_name="models.example",
        restore_buckets="back,other",
        answer_places="answers-there/churn",
    )


@dataclass
class FakeWorld:
    """Everything that a step may touch."""

    env: Settings = field(default_factory=settings)
    buckets: Buckets = field(default_factory=Buckets)
    clock: FakeClock = field(default_factory=lambda: FakeClock(START))
    catalog: FakeCatalog = field(default_factory=FakeCatalog)
    datasets: FakeDatasets = field(default_factory=FakeDatasets)
    registry: FakeRegistry = field(default_factory=lambda: FakeRegistry(ACTIVE, STANDBY))
    images: FakeImages = field(default_factory=FakeImages)
    policies: FakePolicies = field(default_factory=lambda: FakePolicies(POLICY))
    workflows: FakeWorkflows = field(default_factory=FakeWorkflows)
    evacuations: FakeWorkflows = field(default_factory=FakeWorkflows)
    quotas: FakeQuotas = field(default_factory=FakeQuotas)
    bus: FakeBus = field(default_factory=FakeBus)
    pager: FakePager = field(default_factory=FakePager)
    serving: FakeServing = field(default_factory=FakeServing)
    late_answers: FakeLateAnswers = field(init=False)
    serving_source: FakeServingSource = field(default_factory=FakeServingSource)
    serving_captures: FakeServingCaptures = field(default_factory=FakeServingCaptures)
    own_endpoints: FakeOwnEndpoints = field(default_factory=FakeOwnEndpoints)
    clusters: FakeClusters = field(default_factory=FakeClusters)
    dns: FakeDns = field(default_factory=FakeDns)
    fronts: FakeFronts = field(default_factory=FakeFronts)
    outside: FakeOutside = field(default_factory=FakeOutside)
    evidence: FakeEvidence = field(default_factory=FakeEvidence)
    tokens: FakeTokens = field(default_factory=FakeTokens)
    witness_token: FakeTokens = field(default_factory=FakeTokens)
    decisions: FakeDecisions = field(default_factory=FakeDecisions)
    survivors: FakeSurvivors = field(default_factory=FakeSurvivors)
    setbacks: FakeSetbacks = field(default_factory=FakeSetbacks)
    reminders: FakeReminders = field(default_factory=FakeReminders)
    scaling_limits: FakeScalingLimits = field(default_factory=FakeScalingLimits)
    proofs: FakeProofs = field(default_factory=FakeProofs)
    scrubs: FakeScrubs = field(default_factory=FakeScrubs)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    prediction_cache: FakePredictionCache = field(default_factory=FakePredictionCache)
    offers: FakeOffers = field(default_factory=FakeOffers)
    switch_signal: FakeSwitchSignal = field(default_factory=FakeSwitchSignal)
    routing_controls: FakeRoutingControls = field(default_factory=FakeRoutingControls)

    def __post_init__(self) -> None:
        self.buckets.now = self.clock.now
        self.sources = FakeSources(self.buckets)
        self.vault = FakeVault(self.buckets, self.env.vault_bucket)
        self.copier = FakeCopier(self.buckets, self.env.vault_bucket)
        self.restorer = FakeRestorer(self.buckets, self.env.vault_bucket)
        self.digest_jobs = FakeDigestJobs(self.buckets, self.env.vault_bucket)
        self.goldens = FakeGoldens(self.buckets)
        self.late_answers = FakeLateAnswers(self.serving, self.clock)
        self.standing_endpoints = FakeStandingEndpoints(self.serving)
        self.leaders = Leaders(
            region=self.env.aws_region,
            peer_region=self.env.peer_region,
            catalog=self.catalog,
            outside=self.outside,
            fronts=self.fronts,
            clock=self.clock,
        )
        self.vault_bytes = FakeVaultBytes(self.buckets, self.env.vault_bucket)

    @property
    def region_facts(self) -> CatalogFacts:
        """From the fakes of this world."""
        return CatalogFacts(self.catalog, self.vault, self.evidence, self.serving_captures)

    @property
    def deep_health(self) -> DeepHealth:
        """Through the fakes of this world."""
        return DeepHealth(
            catalog=self.catalog,
            vault=self.vault,
            policies=self.policies,
            serving=self.serving,
            prompt=self.serving,
            proofs=self.proofs,
            goldens=self.goldens,
            clock=self.clock,
        )

    @property
    def predictions(self) -> Predictions:
        """Through the fakes of this world."""
        return Predictions(
            region=self.env.aws_region,
            cache=self.prediction_cache,
            endpoints=self.own_endpoints,
            catalog=self.catalog,
            policies=self.policies,
            clock=self.clock,
        )

    @property
    def keeping(self) -> Predictions:
        """What the keeper uses: the same."""
        return self.predictions

    @property
    def prompt_serving(self) -> FakeServing:
        """What deep health asks: the same endpoints."""
        return self.serving

    @property
    def front_serving(self) -> FakeServing:
        """What the gateway asks: the same endpoints."""
        return self.serving
