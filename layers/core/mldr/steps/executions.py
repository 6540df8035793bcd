"""Start an execution once, and again when it was lost: a name can be used only once in Step Functions."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import Any

from mldr.domain.executions import attempt
from mldr.ports.stack import Status, Workflows

TRIES = 3  # executions that may be lost before what they were to do is given up


def start_unless(workflows: Workflows, name: str, payload: dict[str, Any], final: Collection[Status]) -> str | None:
    """Return the name of the execution started, or None when one runs or has ended in a `final` way.

    Any other end starts again as `name-2`, `name-3`, …
    """
    for number in count(1):
        tried = attempt(name, number)
        status = workflows.status(tried)
        if status is None:
            workflows.start(tried, payload)
            return tried
        if status is Status.RUNNING or status in final:
            break
    return None


def newest_status(workflows: Workflows, name: str) -> Status | None:
    """Return how the newest execution that `start_unless` started for a name stands, or None when there is none."""
    status = workflows.status(name)
    for number in count(2):
        if status is not Status.LOST:
            break
        again = workflows.status(attempt(name, number))
        if again is None:
            break
        status = again
    return status


def given_up(workflows: Workflows, name: str) -> bool:
    """Return whether as many executions were started for a name as may be lost."""
    return workflows.status(attempt(name, TRIES)) is not None
