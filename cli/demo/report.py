"""The figures of a demo, computed from what was recorded and from nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from cli.demo.floor import Floor, Times, floor_of
from cli.demo.latency import FIRST, Latency, latency
from cli.demo.region_view import Asked
from cli.demo.scene import ACTIVE, PARAMETERS, STANDBY
from cli.demo.traffic import Request, of_model
from mldr.domain.evidence import Evidence
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.model_rules import Tier
from mldr.domain.recovery_point import Record


class Course(NamedTuple):
    """What was seen of one model: protected, recovered, brought home again."""

    model: ModelKey
    tier: Tier
    rounds: int  # in a row, in which it must look down
    record: Record
    failover: Evidence
    asked: Asked
    failback: Evidence


class Observed(NamedTuple):
    """Everything that was seen. Times are seconds since 1970, of one machine's clock."""

    courses: list[Course]
    requests: list[Request]
    calls: list[dict[str, Any]]
    approved_at: float
    failed_at: float
    healed_at: float
    home_asked_at: float
    versions: dict[str, str]


class RecoveryPoint(Frozen):
    """What stood in the standby region before anything failed."""

    id: str
    phase: str
    objects: int
    bytes: int


BOTH = f"{ACTIVE} and {STANDBY}"


class Phase(Frozen):
    """One phase of a recovery."""

    name: str
    seconds: float


class ClientView(Frozen):
    """What the client saw of a model until it was asked to come home."""

    requests: int
    failed: int
    good_before: int
    good_after: int
    answers_equal: bool
    region_before: str | None
    region_after: str | None


class Failback(Frozen):
    """The way home. `seconds` run from the request to the first of the answers that all come from home.

    Where both regions answer, to the first of the answers that come from both again.
    """

    seconds: float | None
    requests: int
    failed: int
    answers_equal: bool
    region_after: str | None
    phases: tuple[Phase, ...]


class ModelReport(Frozen):
    """What became of one model."""

    model: str
    tier: str
    recovery_point: RecoveryPoint
    rpo_seconds: float
    rto_seconds: float | None
    floor: Floor
    phases: tuple[Phase, ...]
    client: ClientView
    latency_ms: dict[str, Latency]
    failback: Failback

    @property
    def both(self) -> bool:
        """Whether both regions answer while all is well."""
        return self.tier == Tier.ACTIVE_ACTIVE

    @property
    def usual(self) -> str:
        """Who answers while all is well."""
        return BOTH if self.both else ACTIVE

    @property
    def has_moved(self) -> bool:
        """Whether the good answers came from the usual place before, and from the standby after, also once healed."""
        return (self.client.region_before, self.client.region_after) == (self.usual, STANDBY)

    @property
    def is_home(self) -> bool:
        """Whether it came home without a failed request, and with the same answers."""
        home = self.failback
        return home.seconds is not None and home.failed == 0 and home.answers_equal and home.region_after == self.usual

    @property
    def shortcomings(self) -> list[str]:
        """Why this was no recovery; empty when it was one."""
        client, home = self.client, self.failback
        checks = {
            "its recovery point was not sealed": self.recovery_point.phase != "SEALED",
            "no request failed, so nothing was recovered": self.rto_seconds is None and not client.failed,
            "good answers did not come back for good": self.rto_seconds is None or client.good_after == 0,
            "answers differ from those before": not (client.answers_equal and home.answers_equal),
            "its traffic did not move to the standby for good": not self.has_moved,
            f"requests that failed while it went home: {home.failed}": home.failed > 0,
            "its traffic did not come home": home.seconds is None or home.region_after != self.usual,
        }
        return [sentence for sentence, wrong in checks.items() if wrong]


class Report(Frozen):
    """What is written to report.json."""

    models: tuple[ModelReport, ...]
    calls_to_failed_region: int
    control_plane_calls: int
    failback_control_plane_calls: int
    versions: dict[str, str]
    parameters: dict[str, str]

    @property
    def shortcomings(self) -> list[str]:
        """What did not hold, by model first; empty when all did."""
        calls = {
            f"calls to the failed region: {self.calls_to_failed_region}": self.calls_to_failed_region,
            f"calls to control planes elsewhere: {self.control_plane_calls}": self.control_plane_calls,
            f"calls to control planes elsewhere during the failback: {self.failback_control_plane_calls}":
                self.failback_control_plane_calls,
        }  # fmt: skip
        found = [f"{one.model}: {sentence}" for one in self.models for sentence in one.shortcomings]
        return found + [sentence for sentence, count in calls.items() if count]


def compute(seen: Observed) -> Report:
    """Return the report."""
    recovered = max(course.failover.recorded_at.timestamp() for course in seen.courses)
    home = max(course.failback.recorded_at.timestamp() for course in seen.courses)
    during = [call for call in seen.calls if seen.failed_at <= call["at"] <= recovered]
    back = [call for call in seen.calls if seen.home_asked_at <= call["at"] <= home]
    return Report(
        models=tuple(_model(course, seen) for course in seen.courses),
        calls_to_failed_region=sum(call["region"] == ACTIVE for call in during),
        control_plane_calls=sum(bool(call["control_plane"]) for call in during),
        failback_control_plane_calls=sum(bool(call["control_plane"]) for call in back),
        versions=seen.versions,
        parameters=PARAMETERS,
    )


def _model(course: Course, seen: Observed) -> ModelReport:
    record, requests = course.record, of_model(seen.requests, course.model)
    out = [request for request in requests if request.at < seen.home_asked_at]
    home = [request for request in requests if request.at >= seen.home_asked_at]
    took, both = rto(out, seen.failed_at), course.tier is Tier.ACTIVE_ACTIVE
    phases = _phases(course, out, seen.failed_at)
    started = next((phase.seconds for phase in phases if phase.name == "restore"), 0.0)
    return ModelReport(
        model=course.model.name,
        tier=course.tier.value,
        recovery_point=RecoveryPoint(
            id=record.recovery_point, phase=record.phase.value, objects=record.objects, bytes=record.bytes
        ),
        rpo_seconds=_rpo(record, seen.approved_at),
        rto_seconds=took,
        floor=floor_of(_times(course.rounds), started, took, both=both),
        phases=phases,
        client=_client(out, seen.failed_at),
        latency_ms=_latencies(out, home, seen.failed_at, both=both),
        failback=_failback(course.failback, home, seen.home_asked_at, both=both),
    )


def _rpo(record: Record, approved_at: float) -> float:
    return round(record.sealed_at.timestamp() - approved_at, 3) if record.sealed_at else float("nan")


def _times(rounds: int) -> Times:
    return Times(
        check_interval=int(PARAMETERS["HealthCheckInterval"]),
        check_threshold=int(PARAMETERS["FailureThreshold"]),
        round_interval=int(PARAMETERS["ProbeInterval"]),
        rounds=rounds,
        ttl=int(PARAMETERS["RecordTtl"]),
    )


def first_failed(requests: list[Request], failed_at: float) -> Request | None:
    """Return the first request that the outage cost the client; one under way when it began counts."""
    return next((request for request in requests if not request.good and request.ended >= failed_at), None)


def first_lasting(requests: list[Request], failed_at: float) -> Request | None:
    """Return the first good answer after which none of these failed."""
    bad = [index for index, request in enumerate(requests) if not request.good and request.ended >= failed_at]
    after = requests[bad[-1] + 1 :] if bad else []
    return after[0] if after else None


def rto(requests: list[Request], failed_at: float) -> float | None:
    """Return the seconds from the first failed request to the first of the good answers that continue."""
    failed, lasting = first_failed(requests, failed_at), first_lasting(requests, failed_at)
    return round(lasting.ended - failed.at, 3) if failed and lasting else None


def _phases(course: Course, requests: list[Request], failed_at: float) -> tuple[Phase, ...]:
    """Return the evidence's phases; detection runs from the first request that the client lost, if that was earlier."""
    found = _recorded(course.failover)
    failed = first_failed(requests, failed_at)
    if failed is None:
        return found
    requested, first = course.asked.requested_at, course.asked.first_failure_at
    began = min([dt.datetime.fromtimestamp(failed.at, dt.UTC), *([first] if first else [])])
    detect = Phase(name="detect", seconds=round((requested - began).total_seconds(), 3))
    return (detect, *(phase for phase in found if phase.name != "detect"))


def _recorded(evidence: Evidence) -> tuple[Phase, ...]:
    return tuple(Phase(name=phase.name, seconds=phase.seconds) for phase in evidence.phases)


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


def arrived_home(requests: list[Request], *, both: bool = False) -> Request | None:
    """Return the first answer after which all came from home; where both regions answer, the first from home."""
    if both:
        return next((request for request in requests if request.region == ACTIVE), None)
    away = [index for index, request in enumerate(requests) if request.region != ACTIVE]
    after = requests[away[-1] + 1 :] if away else requests
    return after[0] if after else None


def _failback(evidence: Evidence, requests: list[Request], asked_at: float, *, both: bool) -> Failback:
    arrived = arrived_home(requests, both=both)
    after = [request for request in requests if arrived and request.good and request.at >= arrived.at]
    return Failback(
        seconds=round(arrived.ended - asked_at, 3) if arrived else None,
        requests=len(requests),
        failed=sum(not request.good for request in requests),
        answers_equal=all(request.equal for request in requests if request.ok),
        region_after=_only_region(after),
        phases=_recorded(evidence),
    )


def _latencies(out: list[Request], home: list[Request], failed_at: float, *, both: bool) -> dict[str, Latency]:
    lasting, arrived = first_lasting(out, failed_at), arrived_home(home, both=both)
    recovered = [request for request in out if lasting and request.at >= lasting.at]
    returned = [request for request in home if arrived and request.at >= arrived.at]
    moving = home[: len(home) - len(returned)]
    stretches = {
        "before": [request for request in out if request.ended < failed_at],
        "first_after": recovered[:FIRST],
        "standby": recovered[FIRST:],
        "going_home": moving,
        "first_home": returned[:FIRST],
    }
    return {name: latency(requests) for name, requests in stretches.items()}


def _only_region(requests: list[Request]) -> str | None:
    """Return the region that gave all these answers; several are named together."""
    return " and ".join(sorted({request.region or "unknown" for request in requests})) or None
