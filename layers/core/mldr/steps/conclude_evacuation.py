"""Record what became of every model of a region, tell the bus, and page a person when one did not move."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from mldr.domain.evacuation import Planned, Refused, recovery_id, region_key
from mldr.domain.evidence import GENESIS, Evidence, ModelOutcome, phase_times
from mldr.domain.failover import Kind
from mldr.domain.leadership import role
from mldr.events import detail_types
from mldr.events.evacuation import NAMED, EvacuationConclusion, RegionCompletedDetail
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Bus, Clock, Pager
from mldr.ports.vault import EvidenceStore, Vault
from mldr.steps.know_leader import home_known
from mldr.steps.plan_evacuation import read_draft

THREADS = 32
LOOKED_AT = 6  # records of a chain: what was tried in between stands among them


@dataclass(frozen=True)
class Place:
    """The region that takes over, and its peer."""

    region: str
    peer: str


def conclude_evacuation(
    task: EvacuationConclusion,
    *,
    place: Place,
    catalog: Catalog,
    evidence: EvidenceStore,
    vault: Vault,
    bus: Bus,
    pager: Pager,
    clock: Clock,
) -> Evidence:
    """Return the evidence. Concluding twice is one record."""
    made = read_draft(vault, task.failover_id)

    def one(line: Planned | Refused) -> ModelOutcome:
        return _became(line, task, place, catalog, evidence, clock)

    with ThreadPoolExecutor(THREADS) as pool:
        lines: list[Planned | Refused] = [*made.plan.planned, *made.plan.refused] if made else []
        models = tuple(pool.map(one, lines))
    record = evidence.append(_evidence(task, models, place.region, clock))
    told = detail_types.FAILBACK_COMPLETED if task.kind is Kind.FAILBACK else detail_types.FAILOVER_COMPLETED
    bus.put(told, RegionCompletedDetail.of(record).model_dump(mode="json"))
    if record.outcome != "completed":
        pager.page(f"mldr: {task.kind} of {task.region} {record.outcome}", _named(record))
    return record


def _became(
    line: Planned | Refused,
    task: EvacuationConclusion,
    place: Place,
    catalog: Catalog,
    evidence: EvidenceStore,
    clock: Clock,
) -> ModelOutcome:
    """What its own failover recorded decides; else who serves, for another failover may have been faster."""
    record = _record(line, task, evidence)
    knowledge = catalog.leadership(line.model)
    home = home_known(place.region, line.model, knowledge, catalog)
    held = role(place.region, home or place.peer, knowledge, now=clock.now(), drain=dt.timedelta(0))
    if record and (record.outcome != "refused" or not held.serving):
        done = record.outcome == "completed"
        took = round(sum(phase.seconds for phase in record.phases), 3) if done else None
        return ModelOutcome(
            model=line.model, outcome="completed" if done else "failed", reason=record.reason, seconds=took
        )
    if held.serving:
        return ModelOutcome(model=line.model, outcome="completed", reason=held.reason)
    why = line.reason if isinstance(line, Refused) else f"its failover told nothing; `mldr status {line.model.name}`"
    return ModelOutcome(model=line.model, outcome="failed", reason=why)


def _record(line: Planned | Refused, task: EvacuationConclusion, evidence: EvidenceStore) -> Evidence | None:
    """Return what its own failover recorded; a refusal counts only where no other one of these hours ended."""
    mine = recovery_id(task.failover_id, line.model)
    chain = [
        one for one in evidence.newest(line.model, LOOKED_AT) if one.id == mine or one.recorded_at >= task.requested_at
    ]
    ended = [one for one in chain if one.outcome != "refused"]
    return next((one for one in ended if one.id == mine), None) or next(iter([*ended, *chain]), None)


def _evidence(task: EvacuationConclusion, models: tuple[ModelOutcome, ...], region: str, clock: Clock) -> Evidence:
    now = clock.now()
    bad = [one for one in models if one.outcome != "completed"]
    marks = [("begin", task.began_at), ("plan", task.plan.at if task.plan else None), ("recover", now)]
    return Evidence(
        sequence=0,
        previous=GENESIS,
        kind=task.kind.value,
        id=task.failover_id,
        model=region_key(task.region),
        outcome=_outcome(task, bad),
        reason=_reason(task, models, bad),
        region=region,
        epoch=None,
        recovery_point=None,
        phases=phase_times(marks),
        recorded_at=now,
        models=models,
    )


def _outcome(task: EvacuationConclusion, bad: list[ModelOutcome]) -> Literal["completed", "refused", "failed"]:
    if task.error:
        return "refused" if task.error.Error == "WrongDirection" else "failed"
    return "failed" if bad else "completed"


def _reason(task: EvacuationConclusion, models: tuple[ModelOutcome, ...], bad: list[ModelOutcome]) -> str:
    if task.error:
        return task.error.sentence
    if bad:
        return f"{len(bad)} of {len(models)} models did not move: {', '.join(str(one.model) for one in bad[:NAMED])}"
    return f"{len(models)} of {len(models)} models moved: {task.reason}"


def _named(record: Evidence) -> str:
    bad = [one for one in record.models if one.outcome != "completed"]
    lines = [f"{one.model}: {one.reason}" for one in bad[:NAMED]]
    more = [f"and {len(bad) - NAMED} more; the evidence names them"] if len(bad) > NAMED else []
    return "\n".join([record.reason, "", *lines, *more]) if bad else record.reason
