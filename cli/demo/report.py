"""The figures of a demo, computed from what was recorded and from nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from cli.demo.scene import ACTIVE, PARAMETERS, STANDBY
from cli.demo.standby import Asked
from cli.demo.traffic import Request
from mldr.domain.evidence import Evidence
from mldr.domain.identity import Frozen
from mldr.domain.recovery_point import Record


class Observed(NamedTuple):
    """Everything that was seen. Times are seconds since 1970, of one machine's clock."""

    record: Record
    evidence: Evidence
    asked: Asked
    requests: list[Request]
    calls: list[dict[str, Any]]
    approved_at: float
    failed_at: float
    healed_at: float
    versions: dict[str, str]


class RecoveryPoint(Frozen):
    """What stood in the standby region before anything failed."""

    id: str
    phase: str
    objects: int
    bytes: int


class Phase(Frozen):
    """One phase of the recovery."""

    name: str
    seconds: float


class ClientView(Frozen):
    """What the client saw."""

    requests: int
    failed: int
    good_before: int
    good_after: int
    answers_equal: bool
    region_before: str | None
    region_after: str | None


class Report(Frozen):
    """What is written to report.json."""

    recovery_point: RecoveryPoint
    rpo_seconds: float
    rto_seconds: float | None
    phases: tuple[Phase, ...]
    client: ClientView
    calls_to_failed_region: int
    control_plane_calls: int
    versions: dict[str, str]
    parameters: dict[str, str]

    @property
    def has_moved(self) -> bool:
        """Whether all good answers came from the active region before, and from the standby after, also once healed."""
        return (self.client.region_before, self.client.region_after) == (ACTIVE, STANDBY)

    @property
    def shortcomings(self) -> list[str]:
        """Why this was no recovery; empty when it was one."""
        client = self.client
        checks = {
            "the recovery point was not sealed": self.recovery_point.phase != "SEALED",
            "no request failed, so nothing was recovered": self.rto_seconds is None and not client.failed,
            "good answers did not come back for good": self.rto_seconds is None or client.good_after == 0,
            "answers differ from those before": not client.answers_equal,
            "the traffic did not move to the standby for good": not self.has_moved,
            f"calls to the failed region: {self.calls_to_failed_region}": self.calls_to_failed_region > 0,
            f"calls to control planes elsewhere: {self.control_plane_calls}": self.control_plane_calls > 0,
        }
        return [sentence for sentence, wrong in checks.items() if wrong]


def compute(seen: Observed) -> Report:
    """Return the report."""
    record, recovered = seen.record, seen.evidence.recorded_at.timestamp()
    during = [call for call in seen.calls if seen.failed_at <= call["at"] <= recovered]
    return Report(
        recovery_point=RecoveryPoint(
            id=record.recovery_point, phase=record.phase.value, objects=record.objects, bytes=record.bytes
        ),
        rpo_seconds=_rpo(seen),
        rto_seconds=rto(seen.requests, seen.failed_at),
        phases=_phases(seen),
        client=_client(seen.requests, seen.failed_at),
        calls_to_failed_region=sum(call["region"] == ACTIVE for call in during),
        control_plane_calls=sum(bool(call["control_plane"]) for call in during),
        versions=seen.versions,
        parameters=PARAMETERS,
    )


def _rpo(seen: Observed) -> float:
    sealed = seen.record.sealed_at
    return round(sealed.timestamp() - seen.approved_at, 3) if sealed else float("nan")


def first_failed(requests: list[Request], failed_at: float) -> Request | None:
    """Return the first request that the outage cost the client; one under way when it began counts."""
    return next((request for request in requests if not request.good and request.ended >= failed_at), None)


def first_lasting(requests: list[Request], failed_at: float) -> Request | None:
    """Return the first good answer after which none failed until the client was stopped."""
    bad = [index for index, request in enumerate(requests) if not request.good and request.ended >= failed_at]
    after = requests[bad[-1] + 1 :] if bad else []
    return after[0] if after else None


def rto(requests: list[Request], failed_at: float) -> float | None:
    """Return the seconds from the first failed request to the first of the good answers that continue."""
    failed, lasting = first_failed(requests, failed_at), first_lasting(requests, failed_at)
    return round(lasting.ended - failed.at, 3) if failed and lasting else None


def _phases(seen: Observed) -> tuple[Phase, ...]:
    """Return the evidence's phases; detection runs from the first request that the client lost, if that was earlier."""
    found = [Phase(name=phase.name, seconds=phase.seconds) for phase in seen.evidence.phases]
    failed = first_failed(seen.requests, seen.failed_at)
    if failed is None:
        return tuple(found)
    requested, first = seen.asked.requested_at, seen.asked.first_failure_at
    began = min([dt.datetime.fromtimestamp(failed.at, dt.UTC), *([first] if first else [])])
    detect = Phase(name="detect", seconds=round((requested - began).total_seconds(), 3))
    return (detect, *(phase for phase in found if phase.name != "detect"))


def _client(requests: list[Request], failed_at: float) -> ClientView:
    lasting = first_lasting(requests, failed_at)
    before = [request for request in requests if request.good and request.ended < failed_at]
    after = [request for request in requests if lasting and request.good and request.at >= lasting.at]
    answered = [request for request in requests if request.ok]
    return ClientView(
        requests=len(requests),
        failed=sum(not request.good for request in requests),
        good_before=len(before),
        good_after=len(after),
        answers_equal=bool(before and after) and all(request.equal for request in answered),
        region_before=_only_region(before),
        region_after=_only_region(after),
    )


def _only_region(requests: list[Request]) -> str | None:
    """Return the region that gave all these answers; several are named together."""
    return " and ".join(sorted({request.region or "unknown" for request in requests})) or None
