"""What a policy may say about a model: every field, its default, and what it accepts."""

from __future__ import annotations

import datetime as dt
import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool, StrictInt

from mldr.domain.durations import Duration, LockPeriod
from mldr.domain.identity import Frozen
from mldr.domain.kserve_rules import ADDRESS, KServeRule
from mldr.domain.routing import Spread


class Criticality(StrEnum):
    """How much the business misses a model."""

    REVENUE_CRITICAL = "revenue-critical"
    IMPORTANT = "important"
    NON_CRITICAL = "non-critical"

    @property
    def rto(self) -> dt.timedelta:
        """The recovery time that goes with it, unless the policy names another."""
        return _RTO[self]


_RTO = {
    Criticality.REVENUE_CRITICAL: dt.timedelta(minutes=15),
    Criticality.IMPORTANT: dt.timedelta(hours=2),
    Criticality.NON_CRITICAL: dt.timedelta(hours=24),
}


class Tier(StrEnum):
    """What stands ready in the standby region before anything has failed."""

    ACTIVE_ACTIVE = "active-active"
    WARM_STANDBY = "warm-standby"
    COLD_STANDBY = "cold-standby"


class RetentionMode(StrEnum):
    """How strictly Object Lock holds: `governance` can be lifted by a named right, `compliance` by nobody."""

    GOVERNANCE = "governance"
    COMPLIANCE = "compliance"


class Digest(StrEnum):
    """Which checksum every object in the vault has: S3's own, or a cryptographic one besides."""

    CRC64NVME = "crc64nvme"
    SHA256 = "sha256"


class FailoverMode(StrEnum):
    """Who starts a failover: mldr, mldr once a person agrees, or a person alone."""

    AUTOMATIC = "automatic"
    APPROVE = "approve"
    MANUAL = "manual"


Name = Annotated[str, Field(min_length=1, max_length=256)]


class RetentionRule(Frozen):
    """For how long the vault refuses to delete a sealed point or snapshot."""

    period: LockPeriod = dt.timedelta(days=35)
    mode: RetentionMode = RetentionMode.GOVERNANCE


class GoldenRule(Frozen):
    """Where the recorded requests and answers lie."""

    uri: str = Field(
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+\.jsonl$", examples=["s3://bucket/golden.jsonl"]
    )


_REFERENCE = re.compile(
    r"(s3[an]?://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/|arn:aws[a-z-]*:|\d{12}\.dkr\.ecr\.).*"
    r"|[A-Za-z0-9-]+(\.[A-Za-z0-9_-]+)+"  # a host
    r"|([a-z0-9-]+-)?[a-z]{2}(-[a-z]+)+-\d([a-z]|[_-][A-Za-z0-9]+)?|[a-z]+\d-az\d+"  # a region, its zones
)


def _references(given: dict[str, str]) -> dict[str, str]:
    for source, target in given.items():
        for one in (source, target):
            if not _REFERENCE.fullmatch(one):
                raise ValueError(
                    f"{one!r} is not a reference; write an ARN, an image, s3://bucket/ and a prefix, a zone, "
                    "or a host without scheme, port and path"
                )
        if source.endswith("/") != target.endswith("/"):
            raise ValueError(f"{source!r} and {target!r} do not fit; end both with / to map a prefix, or neither")
    return given


class VpcRule(Frozen):
    """Where in the standby region a model runs that runs in a VPC."""

    subnets: tuple[Name, ...] = Field(min_length=1, max_length=16)
    security_groups: tuple[Name, ...] = Field(min_length=1, max_length=5)


class ServingRule(Frozen):
    """What answers for the model. An empty endpoint is the model's own name; without a role the stack's is used."""

    endpoint: str = Field(
        default="", pattern=rf"^([A-Za-z0-9](-*[A-Za-z0-9]){{0,62}}|{ADDRESS})$", examples=["churn-prod"]
    )
    component: str = Field(  # of the endpoint's inference components the one that is this model
        default="", pattern=r"^([A-Za-z0-9](-*[A-Za-z0-9]){0,62})?$", examples=["churn-component"]
    )
    instance_type: str = Field(default="ml.m5.large", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$", examples=["ml.m5.large"])
    instance_count: StrictInt = Field(default=1, ge=1, le=1000)
    floor: StrictInt = Field(default=1, ge=0, le=1000)  # instances of each variant of a warm standby
    role: str | None = Field(
        default=None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$", examples=["arn:aws:iam::123456789012:role/serve"]
    )
    vpc: VpcRule | None = None
    kms_key: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/.+$",
        examples=["arn:aws:kms:ap-southeast-3:123456789012:key/abc"],
    )
    references: Annotated[dict[str, str], AfterValidator(_references)] = {}
    kserve: KServeRule | None = None  # an InferenceService answers, no SageMaker endpoint
    not_secret: tuple[Name, ...] = ()  # environment variables that look like secrets and are none


class FailoverRule(Frozen):
    """Who decides, and what a planned move allows: how far behind it may begin, and how long the old side answers."""

    mode: FailoverMode = FailoverMode.AUTOMATIC
    drain: Duration = dt.timedelta(minutes=5)
    max_lag: Duration = dt.timedelta(minutes=15)
    approve_within: Duration = dt.timedelta(minutes=15)


class HealthRule(Frozen):
    """How sure mldr must be that the region that serves is down, and how restless it may be."""

    consecutive_failures: StrictInt = Field(default=3, ge=1, le=60)
    quorum: StrictInt = Field(default=2, ge=2, le=3)  # Route 53, the standby, and a witness if there is one
    cool_down: Duration = dt.timedelta(minutes=15)
    flaps: StrictInt = Field(default=3, ge=1, le=40)
    flap_window: Duration = dt.timedelta(hours=1)


class WarmRule(Frozen):
    """When a restored model is warm: as fast as recorded, within a factor. `required`: else nothing switches."""

    factor: float = Field(default=1.5, ge=1, le=100)
    requests: StrictInt = Field(default=20, ge=1, le=1000)
    within: Duration = dt.timedelta(minutes=5)
    required: StrictBool = False


class CacheRule(Frozen):
    """How long, and how many, answers of a model are remembered, and for how much longer while its endpoint is down."""

    ttl: Duration = dt.timedelta(minutes=10)
    entries: StrictInt = Field(default=10_000, ge=1, le=10_000_000)
    serve_stale: Duration = dt.timedelta(minutes=5)


def _rto(given: dict[str, Any]) -> dt.timedelta:
    return Criticality(given.get("criticality", Criticality.IMPORTANT)).rto


class ModelRules(Frozen):
    """What a policy may say about a model."""

    criticality: Criticality = Criticality.IMPORTANT
    tier: Tier = Tier.COLD_STANDBY
    active_active: Spread | None = None  # only for that tier, which shares by latency without it
    rto: Duration = Field(default_factory=_rto)
    rpo: Duration = dt.timedelta(minutes=15)
    retention: RetentionRule = RetentionRule()
    digest: Digest = Digest.CRC64NVME
    golden: GoldenRule | None = None
    serving: ServingRule = ServingRule()
    failover: FailoverRule = FailoverRule()
    health: HealthRule = HealthRule()
    warm: WarmRule = WarmRule()
    cache: CacheRule | None = None  # nothing is remembered without it
    datasets: tuple[Name, ...] = ()
    features: tuple[Name, ...] = ()

    @property
    def spread(self) -> Spread | None:
        """Return how clients are shared while both regions answer, None for a tier or a target of which one does."""
        if self.tier is not Tier.ACTIVE_ACTIVE or self.serving.kserve:
            return None
        return self.active_active or Spread()

    def given(self) -> dict[str, Any]:
        """Return only what the file said, without the defaults that follow from it."""
        return self.model_dump(mode="json", exclude_unset=True)
