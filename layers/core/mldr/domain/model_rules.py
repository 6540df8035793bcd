"""What a policy may say about a model: every field, its default, and what it accepts."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StrictInt

from mldr.domain.durations import Duration, LockPeriod
from mldr.domain.identity import Frozen


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


class ServingRule(Frozen):
    """What answers for the model. An empty endpoint is the model's own name; without a role the stack's is used."""

    endpoint: str = Field(default="", pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,62}$", examples=["churn-prod"])
    instance_type: str = Field(default="ml.m5.large", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$", examples=["ml.m5.large"])
    instance_count: StrictInt = Field(default=1, ge=1, le=1000)
    role: str | None = Field(
        default=None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$", examples=["arn:aws:iam::123456789012:role/serve"]
    )


class FailoverRule(Frozen):
    """Who decides."""

    mode: FailoverMode = FailoverMode.AUTOMATIC


class HealthRule(Frozen):
    """How sure mldr must be that the active region is down."""

    consecutive_failures: StrictInt = Field(default=3, ge=1, le=60)


def _rto(given: dict[str, Any]) -> dt.timedelta:
    return Criticality(given.get("criticality", Criticality.IMPORTANT)).rto


class ModelRules(Frozen):
    """What a policy may say about a model."""

    criticality: Criticality = Criticality.IMPORTANT
    tier: Tier = Tier.COLD_STANDBY
    rto: Duration = Field(default_factory=_rto)
    rpo: Duration = dt.timedelta(minutes=15)
    retention: RetentionRule = RetentionRule()
    digest: Digest = Digest.CRC64NVME
    golden: GoldenRule | None = None
    serving: ServingRule = ServingRule()
    failover: FailoverRule = FailoverRule()
    health: HealthRule = HealthRule()
    datasets: tuple[Name, ...] = ()
    features: tuple[Name, ...] = ()

    def given(self) -> dict[str, Any]:
        """Return only what the file said, without the defaults that follow from it."""
        return self.model_dump(mode="json", exclude_unset=True)
