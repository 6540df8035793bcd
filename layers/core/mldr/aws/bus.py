"""The `mldr` event bus of this region."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mldr.errors import Throttled
from mldr.events.detail_types import SOURCE
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


class EventBus:
    """Needs events:PutEvents on the bus."""

    def __init__(self, events: EventBridgeClient, *, name: str) -> None:
        self._events, self._name = events, name

    def put(self, detail_type: str, detail: dict[str, Any]) -> None:
        self.tell(detail_type, detail)

    def tell(self, detail_type: str, detail: dict[str, Any]) -> str:
        """Publish an event and return its id."""
        with translated(f"publish {detail_type}"):
            answer = self._events.put_events(
                Entries=[
                    {
                        "EventBusName": self._name,
                        "Source": SOURCE,
                        "DetailType": detail_type,
                        "Detail": json.dumps(detail),
                    }
                ]
            )
        if answer["FailedEntryCount"]:
            raise Throttled(f"publish {detail_type}: {answer['Entries'][0].get('ErrorMessage')}; it is tried again")
        return answer["Entries"][0]["EventId"]
