"""The gateway token."""

from __future__ import annotations


class FakeTokens:
    """Holds the one right token."""

    def __init__(self, token: str = "right-token") -> None:
        self.token = token

    def valid(self, presented: str) -> bool:
        return presented == self.token

    def present(self) -> str:
        return self.token
