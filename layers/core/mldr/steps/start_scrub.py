"""Turn a request into one execution of the state machine *scrub*."""

from __future__ import annotations

from mldr.events.scrub import VerificationRequested
from mldr.ports.stack import Status, Workflows
from mldr.steps.executions import start_unless


def start_scrub(requested: VerificationRequested, *, workflows: Workflows) -> str:
    """Return the run's id. The same request again starts nothing, unless its execution was lost: then it goes on."""
    detail = requested.detail
    payload = {"run": requested.run, "owner": detail.owner, "sample": detail.sample}
    start_unless(workflows, requested.run, payload, final=(Status.SUCCEEDED, Status.FAILED))
    return requested.run
