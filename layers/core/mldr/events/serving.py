"""What may have changed a serving state or what stands in a standby, and the answers that a region kept."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field

from mldr.domain.identity import ModelKey
from mldr.domain.prediction_cache import Cached
from mldr.errors import BadEvent
from mldr.events.message import Message, Model
from mldr.events.protection import SealedNotice


class EndpointDetail(Message):
    """The part of a SageMaker endpoint event that we trust; all else is described anew."""

    name: str = Field(alias="EndpointName", pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9]){0,62}$")
    status: str = Field(alias="EndpointStatus", min_length=1)


class ServingCaptureRequest(Message):
    """Somebody asks for a model's serving state to be looked at."""

    model: Model
    reason: str = Field(min_length=1)


class ServingNotice(Message):
    """The envelope of what may have changed a serving state. SageMaker's own documentation writes the time as a number
    in a text, so it is not read.
    """

    id: str
    source: str
    detail_type: str = Field(alias="detail-type")
    region: str
    detail: dict[str, Any]


class ServingWish(Message):
    """A serving state that may have changed, of an endpoint or of a model, from whichever event said so."""

    id: str
    region: str
    reason: str
    endpoint: str = ""
    model: ModelKey | None = None

    @classmethod
    def parse(cls, raw: str | dict[str, Any]) -> Self:
        """Read an endpoint event of SageMaker, a `Recovery Point Sealed` or a request of ours. Raises BadEvent."""
        told = ServingNotice.parse(raw)
        given: dict[str, Any] = {"id": told.id, "region": told.region}
        match told.source, told.detail_type:
            case "aws.sagemaker", "SageMaker Endpoint State Change" | "SageMaker Endpoint Deployment State Change":
                endpoint = EndpointDetail.parse(told.detail)
                return cls(**given, endpoint=endpoint.name, reason=f"{told.detail_type}: {endpoint.status}")
            case "mldr", "Recovery Point Sealed":
                sealed = SealedNotice.parse(told.detail)
                return cls(**given, model=sealed.model, reason=f"{sealed.recovery_point} was sealed")
            case "mldr", "Serving Capture Requested":
                asked = ServingCaptureRequest.parse(told.detail)
                return cls(**given, model=asked.model, reason=asked.reason)
        raise BadEvent(
            f"detail-type: {told.source!r} {told.detail_type!r} says nothing of an endpoint; "
            "send 'SageMaker Endpoint State Change' or mldr's 'Serving Capture Requested'"
        )


class TiersDue(Message):
    """The detail of `Tiers Due`, and what is read of any event after which other endpoints may be wanted."""

    model: Model | None = None
    tries: int = Field(default=0, ge=0)  # how often in a row converging asked itself for another look


class TiersWish(Message):
    """Endpoints that stand are to be looked at: of one model, of the model of one endpoint, or of all."""

    id: str
    model: ModelKey | None = None
    endpoint: str = ""
    tries: int = 0
    reason: str

    @classmethod
    def parse(cls, raw: str | dict[str, Any]) -> Self:
        """Read `Tiers Due`, an event of ours that changes what a tier wants, or one of an endpoint. Raises BadEvent."""
        told = TiersEnvelope.parse(raw)
        if told.source == "aws.sagemaker":
            endpoint = EndpointDetail.parse(told.detail)
            return cls(id=told.id, endpoint=endpoint.name, reason=f"{told.detail_type}: {endpoint.status}")
        due = TiersDue.parse(told.detail)
        return cls(id=told.id, model=due.model, tries=due.tries, reason=told.detail_type)


class TiersEnvelope(Message):
    """The envelope of such an event."""

    id: str
    source: Literal["mldr", "aws.sagemaker"]
    detail_type: Literal[
        "Tiers Due",
        "Recovery Point Sealed",
        "Failover Completed",
        "Failback Completed",
        "SageMaker Endpoint State Change",
    ] = Field(alias="detail-type")
    detail: dict[str, Any] = {}


class KeptDetail(Message):
    """The detail of `Predictions Kept`."""

    entries: tuple[Cached, ...] = Field(max_length=1000)


class PredictionsKept(Message):
    """Answers that a region gave: as its gateway offers them, or as EventBridge delivers them to the other one."""

    region: str
    detail: KeptDetail

    @property
    def entries(self) -> tuple[Cached, ...]:
        """Return the answers."""
        return self.detail.entries
