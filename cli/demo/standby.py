"""What the demo reads in the standby region while mldr works: the catalog, the state machine, the evidence."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import boto3

from cli.demo.scene import ENVIRONMENT, MODEL, STANDBY, TOKEN
from cli.failover import PHASES, describe_execution, entered, find_evidence
from cli.regions import Place
from mldr.domain.evidence import Evidence
from mldr.domain.health import HealthState
from mldr.domain.identity import Frozen
from mldr.domain.recovery_point import Record


class Asked(Frozen):
    """When the standby saw the first failure, and when it asked itself to fail over."""

    first_failure_at: dt.datetime | None
    requested_at: dt.datetime


class StandbyRegion:
    """Reads only, and nothing in the active region."""

    def __init__(self) -> None:
        self._place = Place(STANDBY, ENVIRONMENT)
        self._states = self._place.client("stepfunctions")

    def token(self) -> str:
        """Return the gateway's token, as a client would be given it."""
        secrets = boto3.client("secretsmanager", region_name=STANDBY)
        return secrets.get_secret_value(SecretId=TOKEN)["SecretString"]

    def record(self) -> Record | None:
        """Return the newest recovery point."""
        records = self._place.catalog.records(MODEL)
        return max(records, key=lambda record: record.started_at, default=None)

    def name(self) -> str | None:
        """Return the name that clients resolve, once it is there."""
        route = self._place.catalog.route(MODEL)
        return route.name if route else None

    def health(self) -> HealthState | None:
        """Return what the watch saw last; None before its first look."""
        state = self._place.catalog.health(MODEL)
        return state if state.reason else None

    def failover_id(self) -> str | None:
        """Return which failover holds the epoch."""
        epoch = self._place.catalog.epoch(MODEL)
        return epoch.failover_id if epoch else None

    def phase(self, failover_id: str) -> str:
        """Return what the failover does now, as a person says it."""
        names = entered(self._states, self._place.execution("failover", failover_id))
        return PHASES[names[-1]] if names else "starting"

    def failure(self, failover_id: str) -> str | None:
        """Return why the failover has failed; None while it has not."""
        found = self._execution(failover_id)
        return f"{found.get('error')}: {found.get('cause')}" if found.get("status") in _FAILED else None

    def asked(self, failover_id: str) -> Asked:
        """Return what the failover was started with."""
        task = json.loads(self._execution(failover_id)["input"])
        return Asked(first_failure_at=task.get("first_failure_at"), requested_at=task["requested_at"])

    def evidence(self, failover_id: str) -> Evidence | None:
        """Return the record of the failover, once it has been concluded."""
        return find_evidence(self._place, MODEL, failover_id)

    def _execution(self, failover_id: str) -> dict[str, Any]:
        return describe_execution(self._states, self._place.execution("failover", failover_id)) or {}


_FAILED = ("FAILED", "TIMED_OUT", "ABORTED")
