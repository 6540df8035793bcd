"""Faults planted in what recovers several models together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from mldr.domain import evacuation
from mldr.domain.evidence import ModelOutcome
from mldr.errors import EndpointFailed
from mldr.ports.stack import Status
from mldr.steps import conclude_evacuation, plan_evacuation, recover_model
from tests.chaos.many import EVACUATE

Patch = pytest.MonkeyPatch
MANY_PLANTED: dict[str, Callable[[Patch], None]] = {}


def planted(what: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Name a fault; the function below plants it."""

    def keep(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MANY_PLANTED[what] = plant
        return plant

    return keep


@planted("an evacuation that is started again makes another plan")
def _(patch: Patch) -> None:
    numbers, real = count(), evacuation.id_of

    def id_of(name: str, line: Any) -> str:
        return real(name, line) if line.failover_id else f"{name[:24]}-{line.model.name}-{next(numbers)}"

    patch.setattr(plan_evacuation, "read_draft", lambda *_: None)
    patch.setattr(plan_evacuation, "id_of", id_of)


@planted("a recovery that has ended is started again")
def _(patch: Patch) -> None:
    patch.setattr(recover_model, "CONCLUDED", ())


@planted("a list of models becomes the whole region")
def _(patch: Patch) -> None:
    patch.setattr(plan_evacuation, "_asked", lambda *_: None)
    patch.setattr(recover_model, "stands", lambda *_: True)


@planted("a recovery that hangs keeps its slot")
def _(patch: Patch) -> None:
    patch.setattr(plan_evacuation, "patience", lambda _: dt.timedelta(hours=9))


@planted("one model that is not recovered ends the evacuation of all")
def _(patch: Patch) -> None:
    real = recover_model._ended

    def ended(task: Any, region: str, peer: str, catalog: Any, workflows: Any, clock: Any) -> bool:
        if recover_model.newest_status(workflows, task.failover_id) is Status.FAILED:
            raise EndpointFailed("planted")
        return real(task, region, peer, catalog, workflows, clock)

    patch.setattr(recover_model, "_ended", ended)
    for state in ("Recover", "TryRest"):
        patch.setitem(EVACUATE["States"][state], "ToleratedFailurePercentage", 0)


@planted("what did not move is left out of what is told")
def _(patch: Patch) -> None:
    real = conclude_evacuation._became

    def became(*given: Any) -> ModelOutcome | None:
        found = real(*given)
        return found if found and found.outcome == "completed" else None

    patch.setattr(conclude_evacuation, "_became", became)


@planted("what did not move is told to have moved")
def _(patch: Patch) -> None:
    real = conclude_evacuation._became

    def became(*given: Any) -> ModelOutcome | None:
        found = real(*given)
        return found and found.model_copy(update={"outcome": "completed"})

    patch.setattr(conclude_evacuation, "_became", became)


@planted("nothing is kept of an evacuation")
def _(patch: Patch) -> None:
    from functions.conclude_evacuation import app

    def conclude(task: Any, *, evidence: Any, **named: Any) -> Any:
        deaf = SimpleNamespace(append=lambda record: record, newest=evidence.newest)
        return real(task, evidence=deaf, **named)

    real = conclude_evacuation.conclude_evacuation
    patch.setattr(app, "conclude_evacuation", conclude)


@planted("nobody asks the quotas")
def _(patch: Patch) -> None:
    patch.setattr(evacuation, "lack", lambda *_: "")


@planted("each model is planned as if it had the quotas for itself")
def _(patch: Patch) -> None:
    real = evacuation.lack
    plans: list[tuple[dict[str, int], dict[str, int]]] = []  # what is left, and what there was

    def lack(wanted: Any, left: dict[str, int]) -> str:
        if not plans or plans[-1][0] is not left:
            plans.append((left, dict(left)))
        return real(wanted, plans[-1][1])

    patch.setattr(evacuation, "lack", lack)


@planted("what there is no room for is recovered first")
def _(patch: Patch) -> None:
    states = EVACUATE["States"]
    for state, field, after in (
        ("Plan", "Next", "AnyRest?"), ("AnyRest?", "Default", "AnyPlanned?"), ("TryRest", "Next", "AnyPlanned?"),
        ("AnyPlanned?", "Default", "Conclude"), ("Recover", "Next", "Conclude"),
    ):  # fmt: skip
        patch.setitem(states[state], field, after)
