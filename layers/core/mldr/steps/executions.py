"""Start an execution once, and again when it was lost: a name can be used only once in Step Functions."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import Any

from mldr.ports import Workflows

RUNNING, SUCCEEDED, FAILED = "RUNNING", "SUCCEEDED", "FAILED"


def start_unless(workflows: Workflows, name: str, payload: dict[str, Any], final: Collection[str]) -> str | None:
    """Return the name of the execution started, or None when one runs or has ended in a `final` way.

    What was aborted or ran out of time starts again as `name-2`, `name-3`, …
    """
    for number in count(1):
        tried = name if number == 1 else f"{name}-{number}"
        status = workflows.status(tried)
        if status is None:
            workflows.start(tried, payload)
            return tried
        if status == RUNNING or status in final:
            return None
    return None
