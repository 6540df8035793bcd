"""What a region's stack gives every step: the time, the policy, state machines, the bus, figures and pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

from mldr.domain.lag import Measured
from mldr.domain.policy import Policy


class Clock(Protocol):
    """Time."""

    def now(self) -> dt.datetime:
        """Return the time in UTC."""


class Metrics(Protocol):
    """Figures that alarms look at."""

    def publish(self, figures: Sequence[Measured]) -> None:
        """Publish figures, as of now, for this environment."""


class PolicyStore(Protocol):
    """The policy in force."""

    def load(self) -> tuple[Policy, str]:
        """Return the policy and its version. Raises BadPolicy."""


class Status(StrEnum):
    """How an execution stands."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"  # and concluded: its failure was recorded and told
    LOST = "LOST"  # aborted, out of time, or dead before it concluded


class Workflows(Protocol):
    """State machines."""

    def start(self, name: str, payload: dict[str, Any]) -> None:
        """Start an execution. The same name again is harmless."""

    def status(self, name: str) -> Status | None:
        """Return how an execution stands, or None when there is none of this name."""

    def given(self, name: str) -> dict[str, Any] | None:
        """Return what an execution was started with, or None when there is none of this name."""


class Bus(Protocol):
    """The `mldr` event bus of this region."""

    def put(self, detail_type: str, detail: dict[str, Any]) -> None:
        """Publish an event with source `mldr`."""


class Pager(Protocol):
    """The way to a person."""

    def page(self, subject: str, message: str) -> None:
        """Tell the person on call."""
