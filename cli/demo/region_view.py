"""What the demo reads in a region while mldr works there: the catalog, the state machine, the evidence."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import boto3

from cli.demo.scene import ENVIRONMENT, TOKEN
from cli.executions import PHASES, entered, newest_execution
from cli.failover import find_evidence
from cli.regions import Place
from cli.standing import manifest_of, standing_for
from mldr.domain.endpoint_status import IN_SERVICE
from mldr.domain.evidence import Evidence
from mldr.domain.health import HealthState
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.recovery_point import Record, newest_restorable
from mldr.events.detail_types import TIERS_DUE


class Asked(Frozen):
    """When the region saw the first failure, if it saw one, and when the failover or failback was requested."""

    first_failure_at: dt.datetime | None = None
    requested_at: dt.datetime


class RegionView:
    """Reads, and asks for a look where the next one is minutes away; all in this region."""

    def __init__(self, region: str) -> None:
        self.place = Place(region, ENVIRONMENT)
        self._states = self.place.client("stepfunctions")

    def token(self) -> str:
        """Return the gateway's token, as a client would be given it."""
        secrets = boto3.client("secretsmanager", region_name=self.place.region)
        return secrets.get_secret_value(SecretId=TOKEN)["SecretString"]

    def record(self, model: ModelKey) -> Record | None:
        """Return the newest recovery point."""
        records = self.place.catalog.records(model)
        return max(records, key=lambda record: record.started_at, default=None)

    def name(self, model: ModelKey) -> str | None:
        """Return the name that clients resolve, once it is there."""
        route = self.place.catalog.route(model)
        return route.name if route else None

    def stands(self, model: ModelKey) -> str | None:
        """Return the endpoint that is in service for the newest point, of the shape that was captured."""
        manifest = manifest_of(self.place, newest_restorable(self.place.catalog.records(model)))
        if manifest is None or self.place.captures.newest(model) is None:
            return None
        name = standing_for(self.place, manifest)
        in_service = [one.name for one in self.place.standing.held() if one.status == IN_SERVICE]
        return name if name in in_service else None

    def shared(self, model: ModelKey) -> str | None:
        """Return the endpoint that answers beside the home, once clients are sent to both regions."""
        route, beside = self.place.catalog.route(model), self.place.catalog.leadership(model).beside
        return beside.endpoint if beside and route and route.spread else None

    def look_now(self, model: ModelKey) -> None:
        """Ask for the look at what a model's tier wants, which mldr takes every five minutes by itself."""
        self.place.bus.put(TIERS_DUE, {"model": str(model)})

    def health(self, model: ModelKey) -> HealthState | None:
        """Return what the watch saw last; None before its first look."""
        state = self.place.catalog.health(model)
        return state if state.reason else None

    def told(self, model: ModelKey) -> int:
        """Return the highest epoch that this region was told of by the other one."""
        standing = self.place.catalog.standing(model)
        return standing.epoch if standing else 0

    def failover_id(self, model: ModelKey) -> str | None:
        """Return which failover holds the epoch."""
        epoch = self.place.catalog.epoch(model)
        return epoch.failover_id if epoch else None

    def phase(self, failover_id: str) -> str:
        """Return what the failover does now, as a person says it."""
        found = self._execution(failover_id)
        names = entered(self._states, found["executionArn"]) if found else []
        return PHASES[names[-1]] if names else "starting"

    def failure(self, failover_id: str) -> str | None:
        """Return why the failover has failed; None while it has not."""
        found = self._execution(failover_id)
        return f"{found.get('error')}: {found.get('cause')}" if found.get("status") in _FAILED else None

    def asked(self, failover_id: str) -> Asked:
        """Return what the failover was started with."""
        task = json.loads(self._execution(failover_id)["input"])
        return Asked(first_failure_at=task.get("first_failure_at"), requested_at=task["requested_at"])

    def evidence(self, model: ModelKey, failover_id: str) -> Evidence | None:
        """Return the record of the failover, once it has been concluded."""
        return find_evidence(self.place, model, failover_id)

    def _execution(self, failover_id: str) -> dict[str, Any]:
        return newest_execution(self._states, self.place.execution("failover", failover_id))[1] or {}


_FAILED = ("FAILED", "TIMED_OUT", "ABORTED")
