"""What checks of the vault found, in memory."""

from __future__ import annotations

from mldr.domain.scrub import Tally


class FakeScrubs:
    """The last tally of each owner."""

    def __init__(self) -> None:
        self._last: dict[str, Tally] = {}

    def note(self, tally: Tally) -> None:
        self._last[tally.owner] = tally

    def last(self, owner: str) -> Tally | None:
        return self._last.get(owner)
