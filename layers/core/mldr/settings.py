"""The environment, read once and validated whole."""

import os

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mldr.domain.digest_jobs import PATIENCE
from mldr.domain.execution_roles import ExecutionRoles
from mldr.domain.routing import SwitchKind
from mldr.domain.verification import READABLE
from mldr.errors import BadSettings


class Settings(BaseModel):
    """One field per variable in template.yaml. What only some functions need has a default that means: not given."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=str.upper, populate_by_name=True)

    aws_region: str
    environment_name: str
    peer_region: str
    vault_bucket: str
    vault_key_arn: str
    catalog_table: str
    bus_name: str
    policy_location: str = Field(pattern=r"^s3://[^/]+/.+$")
    serving_role_arn: str = ""
    serving_role_arns: str = ""  # of others that the stack may pass, separated by commas
    answer_places: str = ""  # bucket or bucket/prefix, separated by commas: where asynchronous endpoints write
    state_machine_arn: str = ""
    evacuate_machine_arn: str = ""
    failovers_side_by_side: int = Field(default=10, ge=1, le=1000)
    pages_topic_arn: str = ""
    gateway_secret: str = ""
    gateway_environments: int = Field(default=4, ge=0, le=500)  # made ready at once, before traffic moves
    prediction_table: str = ""
    prediction_queue_url: str = ""
    tiers_queue_url: str = ""
    witness_host: str = ""
    witness_secret: str = ""
    zone_name: str = ""
    health_check_interval: int = Field(default=10, ge=10, le=30)
    failure_threshold: int = Field(default=3, ge=1, le=10)
    record_ttl: int = Field(default=30, ge=1, le=86400)  # seconds
    takeover_switch: SwitchKind = SwitchKind.HTTPS
    arc_routing_controls: str = ""  # model@region=ARN, separated by commas
    arc_endpoints: str = ""  # region=URL, separated by commas
    event_settle_seconds: int = Field(default=60, ge=1, le=900)
    restore_buckets: str = ""  # names, separated by commas
    endpoint_poll_seconds: int = Field(default=15, ge=1, le=300)
    digest_role_arn: str = ""  # S3 Batch Operations' own
    digest_poll_seconds: int = Field(default=60, ge=1, le=900)
    digest_job_bytes: int = Field(default=READABLE, ge=1)  # a larger object is not read for its SHA-256
    scrub_patience_hours: float = Field(default=PATIENCE, ge=0)
    dns_resolver: str = ""  # ip:port; empty: the system's resolver
    gateway_transport: str = Field(default="https:443", pattern=r"^https?:\d+$")  # the local cloud has no certificates

    @property
    def prefix(self) -> str:
        """Return what every resource name of this stack begins with."""
        return f"mldr-{self.environment_name}"

    @property
    def execution_roles(self) -> ExecutionRoles:
        """Return the roles that a restored model may run as."""
        named = (one.strip() for one in self.serving_role_arns.split(","))
        return ExecutionRoles(own=self.serving_role_arn, named=tuple(one for one in named if one))


def load() -> Settings:
    """Read os.environ; raises BadSettings naming every bad variable at once."""
    try:
        return Settings.model_validate(dict(os.environ))
    except ValidationError as error:
        names = "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
        raise BadSettings(f"check the function's environment variables in template.yaml: {names}") from error
