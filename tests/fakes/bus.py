"""An event bus that only remembers."""

from __future__ import annotations

from typing import Any


class FakeBus:
    """`events` has (detail-type, detail) in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def put(self, detail_type: str, detail: dict[str, Any]) -> None:
        self.events.append((detail_type, detail))

    def tell(self, detail_type: str, detail: dict[str, Any]) -> str:
        """Publish an event and return its id."""
        self.put(detail_type, detail)
        return f"event-{len(self.events)}"

    def named(self, detail_type: str) -> list[dict[str, Any]]:
        """The details of one type, in order."""
        return [detail for name, detail in self.events if name == detail_type]
