"""Record what became of every model of a region, tell the bus, and page a person when one did not move.

A failover that hangs gave its slot to the next model and is waited for here.
"""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from mldr.domain.evacuation import Planned, Refused, id_of, region_key
from mldr.domain.evidence import GENESIS, Evidence, ModelOutcome, phase_times
from mldr.domain.failover import Kind
from mldr.domain.golden import UNPROVEN
from mldr.domain.health import stands
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Role, role
from mldr.events import detail_types
from mldr.events.evacuation import NAMED, EvacuationConclusion, RegionCompletedDetail
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Bus, Clock, Pager, Status, Workflows
from mldr.ports.vault import EvidenceStore, Vault
from mldr.steps.executions import newest_status
from mldr.steps.know_leader import home_known
from mldr.steps.page_completion import Completion, page_completion
from mldr.steps.plan_evacuation import read_draft
from mldr.steps.recover_model import under_way

THREADS = 32
LOOKED_AT = 6  # records of a chain: what was tried in between stands among them


@dataclass(frozen=True)
class Place:
    """The region that takes over, and its peer."""

    region: str
    peer: str


class Concluded(Frozen):
    """How an evacuation ended, or that it has not."""

    ended: bool
    reason: str
    outcome: str = ""
    sequence: int = 0


def conclude_evacuation(
    task: EvacuationConclusion,
    *,
    place: Place,
    catalog: Catalog,
    evidence: EvidenceStore,
    vault: Vault,
    workflows: Workflows,
    bus: Bus,
    pager: Pager,
    clock: Clock,
) -> Concluded:
    """Return how it ended, or that a failover of the plan still runs. Concluding twice is one record."""
    made = read_draft(vault, task.failover_id)
    lines: list[Planned | Refused] = [*made.plan.planned, *made.plan.refused] if made else []

    def runs(line: Planned | Refused) -> bool:
        return _runs(line, task, place, catalog, workflows, clock)

    def one(line: Planned | Refused) -> ModelOutcome | None:
        return _became(line, task, place, catalog, evidence, clock)

    with ThreadPoolExecutor(THREADS) as pool:
        if task.error is None and any(pool.map(runs, lines)):
            return Concluded(ended=False, reason="a failover of the plan still runs")
        models = tuple(found for found in pool.map(one, lines) if found)
    record = evidence.append(_evidence(task, models, place.region, clock))
    told = detail_types.FAILBACK_COMPLETED if task.kind is Kind.FAILBACK else detail_types.FAILOVER_COMPLETED
    bus.put(told, RegionCompletedDetail.of(record).model_dump(mode="json"))
    if record.outcome != "completed":
        pager.page(f"mldr: {task.kind} of {task.region} {record.outcome}", _named(record))
    else:
        page_completion(_completion(task, record), pager)
    return Concluded(ended=True, reason=record.reason, outcome=record.outcome, sequence=record.sequence)


def _completion(task: EvacuationConclusion, record: Evidence) -> Completion:
    return Completion(
        of=f"{task.kind} of {task.region}",
        said=_named(record),
        clients=f"Their clients are in {record.region}",
        home=f"When {task.region} is well again: `mldr failback --region {task.region} --plan`",
        warned=any(one.warnings for one in record.models),
        by_itself=task.first_failure_at is not None,
    )


def _held(model: ModelKey, place: Place, catalog: Catalog, clock: Clock) -> Role:
    knowledge = catalog.leadership(model)
    home = home_known(place.region, model, knowledge, catalog)
    return role(place.region, home or place.peer, knowledge, now=clock.now(), drain=dt.timedelta(0))


def _runs(
    line: Planned | Refused,
    task: EvacuationConclusion,
    place: Place,
    catalog: Catalog,
    workflows: Workflows,
    clock: Clock,
) -> bool:
    """Return whether the line's failover still runs. One that has switched is over for its clients, and counts so."""
    if _held(line.model, place, catalog, clock).serving:
        return False
    own = newest_status(workflows, id_of(task.failover_id, line))
    return own is Status.RUNNING or under_way(line.model, catalog, workflows)


def _became(
    line: Planned | Refused,
    task: EvacuationConclusion,
    place: Place,
    catalog: Catalog,
    evidence: EvidenceStore,
    clock: Clock,
) -> ModelOutcome | None:
    """What its own failover recorded decides; else who serves, for another failover may have been faster.

    None for a model whose turn did not come: it answers again, or a later evacuation has it in its order.
    """
    record, held = _record(line, task, evidence), _held(line.model, place, catalog, clock)
    if record and (record.outcome != "refused" or not held.serving):
        done = record.outcome == "completed"
        took = round(sum(phase.seconds for phase in record.phases), 3) if done else None
        return ModelOutcome(
            model=line.model,
            outcome="completed" if done else "failed",
            reason=record.reason,
            seconds=took,
            warnings=record.told,
        )
    if held.serving:
        return ModelOutcome(model=line.model, outcome="completed", reason=held.reason)
    wanted = not task.listed or stands(catalog.health(line.model), line.failover_id, task.failover_id)
    if record is None and not wanted:
        return None
    why = line.reason if isinstance(line, Refused) else f"its failover told nothing; `mldr status {line.model.name}`"
    return ModelOutcome(model=line.model, outcome="failed", reason=why)


def _record(line: Planned | Refused, task: EvacuationConclusion, evidence: EvidenceStore) -> Evidence | None:
    """Return what its own failover recorded; a refusal counts only where no other one of these hours ended.

    None where nothing was recorded, or what was is damaged: then who serves decides, and the others are told.
    """
    mine = id_of(task.failover_id, line)
    try:
        newest = evidence.newest(line.model, LOOKED_AT)
    except ValueError:
        return None
    chain = [one for one in newest if one.id == mine or one.recorded_at >= task.requested_at]
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
        requested_at=task.requested_at,
        models=models,
    )


def _outcome(task: EvacuationConclusion, bad: list[ModelOutcome]) -> Literal["completed", "refused", "failed"]:
    if task.error:
        return "refused" if task.error.Error in ("WrongDirection", "RequestTooLate") else "failed"
    return "failed" if bad else "completed"


def _reason(task: EvacuationConclusion, models: tuple[ModelOutcome, ...], bad: list[ModelOutcome]) -> str:
    if task.error:
        return task.error.sentence
    if bad:
        return f"{len(bad)} of {len(models)} models did not move: {', '.join(str(one.model) for one in bad[:NAMED])}"
    return f"{len(models)} of {len(models)} models moved: {task.reason}"


def _named(record: Evidence) -> str:
    """Name what did not move, and what moved with a warning, as far as a page goes. What is unproven is counted: a
    policy without golden inferences must not crowd out what came up.
    """
    bad = [f"{one.model}: {one.reason}" for one in record.models if one.outcome != "completed"]
    moved = [one for one in record.models if one.outcome == "completed"]
    said = [(one.model, [text for text in one.warnings if text != UNPROVEN.reason]) for one in moved]
    lines = [*bad, *(f"{model} moved, with a warning: {'; '.join(texts)}" for model, texts in said if texts)]
    more = [f"and {len(lines) - NAMED} more; the evidence names them"] if len(lines) > NAMED else []
    unproven = sum(UNPROVEN.reason in one.warnings for one in moved)
    count = [f"{unproven} of {len(moved)} moved unproven: {UNPROVEN.reason}"] if unproven else []
    told = [*lines[:NAMED], *more, *count]
    return "\n".join([record.reason, "", *told]) if told else record.reason
