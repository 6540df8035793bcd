"""Which IAM role a restored model runs as: the one that it has in the active region, or the stack's own.

IAM is global, so a role is the same in both regions; what differs is whether this region's stack may pass it on.
"""

from __future__ import annotations

from collections.abc import Sequence

from mldr.domain.identity import Frozen

PARAMETER = "ServingRoleArns"


class ExecutionRoles(Frozen):
    """What this region's stack may pass to SageMaker. Its own role reads the vault, pulls images and writes logs."""

    own: str
    named: tuple[str, ...] = ()  # the stack's parameter ServingRoleArns

    def may_pass(self, role: str) -> bool:
        """Return whether a model can be created here that runs as this role."""
        return role == self.own or role in self.named

    def instead_of(self, role: str) -> str:
        """Return the role, or the stack's own where it may not be passed."""
        return role if self.may_pass(role) else self.own

    def refused(self, role: str, standby: str) -> str:
        """Return the sentence that says what to do about a role that may not be passed."""
        return f"{role} may not be passed to SageMaker in {standby}: add it to {PARAMETER} of that region's stack"


def run_as(captured: str, roles: ExecutionRoles, beyond: Sequence[str]) -> str | None:
    """Return the role that a captured model runs as, None where neither will do.

    `beyond` are the paths of what only a role of the model's own reaches: then the stack's would fail at night.
    """
    if roles.may_pass(captured):
        return captured
    return None if beyond else roles.own
