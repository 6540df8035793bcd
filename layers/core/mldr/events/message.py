"""What all messages have in common: how they are read, what EventBridge and Step Functions put around them."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mldr.domain.identity import ModelKey
from mldr.errors import BadEvent


def _model_key(value: object) -> object:
    return ModelKey.parse(value) if isinstance(value, str) else value


Model = Annotated[ModelKey, BeforeValidator(_model_key)]


class Message(BaseModel):
    """Base of everything that crosses a door."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @classmethod
    def parse(cls, raw: str | dict[str, Any]) -> Self:
        """Validate a message. Raises BadEvent naming every bad field and what would be right."""
        try:
            return cls.model_validate(json.loads(raw) if isinstance(raw, str) else raw)
        except json.JSONDecodeError as error:
            raise BadEvent(
                f"{cls.__name__}: the message is not JSON ({error}); see events/ for working ones"
            ) from error
        except ValidationError as error:
            found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            raise BadEvent(f"{cls.__name__}: {found}; see events/ for working ones") from error


class Envelope(Message):
    """What EventBridge puts around every event."""

    id: str
    source: str
    detail_type: str = Field(alias="detail-type")
    region: str
    time: dt.datetime
    detail: dict[str, Any]


class TaskError(Message):
    """What a Catch of Step Functions hands over."""

    Error: str
    Cause: str = ""

    @property
    def sentence(self) -> str:
        """Return the error as a person reads it: the function's message without its stack trace."""
        try:
            message = json.loads(self.Cause)["errorMessage"]
        except (ValueError, KeyError, TypeError):
            message = self.Cause
        return f"{self.Error}: {message}" if message else self.Error


def detail(message: Message) -> dict[str, Any]:
    """Return a detail as it travels: a model is written `registry/name`."""
    written = message.model_dump(mode="json")
    return {**written, "model": f"{written['model']['registry']}/{written['model']['name']}"}
