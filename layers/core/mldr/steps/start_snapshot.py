"""Turn a wish for a snapshot into one execution of the state machine *snapshot*, or into none."""

from __future__ import annotations

import datetime as dt

from mldr.domain.datasets import DatasetRule, need_rule, read_by
from mldr.domain.identity import Frozen
from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import How, SnapshotRecord, how_to, is_wanted, needs_listing, snapshot_id
from mldr.errors import BadEvent
from mldr.events.snapshots import SnapshotRequest, SnapshotWish
from mldr.ports.datasets import Datasets
from mldr.ports.stack import Clock, PolicyStore, Status, Workflows

SETTLE = 2  # seconds after which no object can still be written within the second that a snapshot is of


class Outcome(Frozen):
    """What became of a wish, and the sentence that says why."""

    dataset: str
    snapshot: str | None
    action: str  # started | resumed | joined | skipped
    reason: str


def start_snapshot(
    wish: SnapshotWish,
    *,
    peer_region: str,
    settle_seconds: int,
    datasets: Datasets,
    policies: PolicyStore,
    workflows: Workflows,
    clock: Clock,
) -> list[Outcome]:
    """Return what was done for each dataset that is meant. Telling a wish again is harmless."""
    policy, _ = policies.load()
    requests = _requests(wish, peer_region, policy.datasets)
    return [
        _start(wish, request, policy.datasets[request.dataset], settle_seconds, datasets, workflows, clock.now())
        for request in requests
    ]


def _requests(wish: SnapshotWish, peer_region: str, rules: dict[str, DatasetRule]) -> list[SnapshotRequest]:
    if wish.request is None:
        names = read_by(wish.uris, wish.region, rules) if wish.region == peer_region else []
        return [SnapshotRequest(dataset=name, reason=wish.reason) for name in names]
    rule = need_rule(rules, wish.request.dataset)
    if rule.region != peer_region:
        raise BadEvent(
            f"dataset: {wish.request.dataset} is in {rule.region}, but this region stands by for {peer_region}; "
            "ask the other one"
        )
    return [wish.request]


def _start(
    wish: SnapshotWish,
    request: SnapshotRequest,
    rule: DatasetRule,
    settle: int,
    datasets: Datasets,
    workflows: Workflows,
    now: dt.datetime,
) -> Outcome:
    snapshot = snapshot_id(wish.told_at, f"{wish.id}\n{request.dataset}")
    running = datasets.running(request.dataset)
    if running:
        return _continue(running, snapshot, request, settle, datasets, workflows)
    known = datasets.record(request.dataset, snapshot)
    if known:
        return _outcome(known, "skipped", f"it is {known.phase} already")
    newest = datasets.newest(request.dataset)
    if request.if_due and not is_wanted(rule, newest, now):
        return Outcome(dataset=request.dataset, snapshot=None, action="skipped", reason="it is not due any more")
    record = _record(snapshot, request, rule, newest, now)
    datasets.begin(record)
    workflows.start(execution_name(record), task(record, settle))
    return _outcome(record, "started", request.reason)


def _record(
    snapshot: str, request: SnapshotRequest, rule: DatasetRule, newest: SnapshotRecord | None, now: dt.datetime
) -> SnapshotRecord:
    # S3 dates versions to the second.
    as_of = now.replace(microsecond=0)
    why = "it was asked for" if request.listing else needs_listing(rule, newest, now)
    how = how_to(rule, why)
    before = newest.snapshot if newest and newest.restorable(now) else ""
    return SnapshotRecord(
        dataset=request.dataset,
        snapshot=snapshot,
        phase=Phase.CAPTURING,
        attempt=1,
        as_of=as_of,
        rule=rule,
        how=how,
        why=why,
        listed_at=as_of if how is How.LISTING or newest is None else newest.listed_at,
        started_at=now,
        requested_by=request.reason,
        previous=before,
    )


def _continue(
    running: SnapshotRecord,
    snapshot: str,
    request: SnapshotRequest,
    settle: int,
    datasets: Datasets,
    workflows: Workflows,
) -> Outcome:
    """Two snapshots of a dataset never run at once: the second wish waits for the first, or mends it."""
    status = workflows.status(execution_name(running))
    if status is None:
        workflows.start(execution_name(running), task(running, settle))
        return _outcome(running, "resumed", "it was begun, but not started")
    if status is not Status.RUNNING:
        again = datasets.resume(running)
        workflows.start(execution_name(again), task(again, settle))
        return _outcome(again, "resumed", f"attempt {running.attempt} stopped without a word")
    if running.snapshot == snapshot or request.if_due:
        return _outcome(running, "skipped", f"attempt {running.attempt} is {running.phase}")
    datasets.ask_again(running.dataset, running.snapshot, request.reason)
    return _outcome(running, "joined", f"{running.snapshot} runs, and another one follows it")


def execution_name(record: SnapshotRecord) -> str:
    """Return the name of an attempt's execution: the same for every message that means this attempt."""
    return f"{record.dataset[:40]}-{record.snapshot}-{record.attempt}"


def task(record: SnapshotRecord, settle: int) -> dict[str, object]:
    """Return the input of an attempt's execution. Events of the last moments before the instant are waited for."""
    return {
        "dataset": record.dataset,
        "snapshot": record.snapshot,
        "attempt": record.attempt,
        "settle": max(settle, SETTLE) if record.how is not How.LISTING else SETTLE,
    }


def _outcome(record: SnapshotRecord, action: str, reason: str) -> Outcome:
    return Outcome(dataset=record.dataset, snapshot=record.snapshot, action=action, reason=reason)
