"""The policy in force, in memory."""

from __future__ import annotations

from mldr.domain.policy import Policy
from mldr.errors import BadPolicy


class FakePolicies:
    """Holds the text of a policy; None is an object that nobody has uploaded."""

    def __init__(self, text: str | None) -> None:
        self.text, self.version = text, 1

    def put(self, text: str) -> None:
        """Upload another policy."""
        self.text, self.version = text, self.version + 1

    def load(self) -> tuple[Policy, str]:
        if self.text is None:
            raise BadPolicy(["the policy does not exist: copy one there"])
        return Policy.parse(self.text), str(self.version)
