"""How long it takes to seal, and what that costs: arithmetic on limits, settings and a measured plan."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from bench.prices import GB, cost
from bench.scale.limits import ASSUMED, DOCUMENTED, Engine

PARTS_IN_FLIGHT = 16
WRITES_PER_ITEM = 3  # write units of the catalog: put in force, done, and the index
STATES_AROUND = 15  # of the machine itself, once
REFS_PER_PAGE = 2000  # items of the catalog in one page of 1 MB
PAGE_READ = 0.05  # seconds


class Case(NamedTuple):
    """What is copied, and what its plan looks like."""

    name: str
    objects: int  # that move
    bytes: int
    pages: int  # of the listing
    listed_at_once: int  # pages asked for at the same time
    shards: int
    parts_items: int
    parts: int
    planner_cpu: float  # seconds, of one CPU of this machine
    request_cpu: float  # seconds of CPU for one copy of a small object


def simulate(case: Case, engine: Engine) -> dict[str, Any]:
    """Return phases in seconds, what bounds the copying, counts and dollars. Labelled as simulated by its caller."""
    small = case.objects if case.parts == 0 else 0
    copying, bound = _copying(case, engine, small)
    phases = {"inventory": _inventory(case, engine), "copying": copying, "seal": _seal(case)}
    items = case.shards + case.parts_items
    transitions = STATES_AROUND + items * (engine.states_of_child + 2)
    requests = {
        "list": case.pages + case.shards,
        "copy": small + case.parts + 2 * min(case.objects, case.parts),
        "put": 2 * case.shards + 4,
        "get": case.shards + 6,
    }
    return {
        "name": case.name,
        "objects": case.objects,
        "seconds": {name: round(value, 1) for name, value in phases.items()},
        "total_seconds": round(sum(phases.values()), 1),
        "bound": bound,
        "items": items,
        "transitions": transitions,
        "requests": requests,
        "requests_per_object": round(sum(requests.values()) / case.objects, 4),
        "dollars": _dollars(case, engine, phases, requests, transitions, items),
    }


def _inventory(case: Case, engine: Engine) -> float:
    share = engine.memory_mb / DOCUMENTED["memory of one CPU"].value
    listing = case.pages * ASSUMED["a page of a listing in another region"].value / case.listed_at_once
    busy = listing + case.planner_cpu / min(1.0, share)
    calls = math.ceil(busy / DOCUMENTED["function timeout"].value)
    return busy + calls * ASSUMED["start of a function"].value


def _copying(case: Case, engine: Engine, small: int) -> tuple[float, str]:
    """Return seconds and what bounds them: the slowest of everything that has a limit."""
    share = engine.memory_mb / DOCUMENTED["memory of one CPU"].value
    functions = min(engine.functions, max(1, case.shards))
    each = ASSUMED["a copy of a small object from another region"].value
    items = case.shards + case.parts_items
    bounds = {
        "requests in flight": small * each / (functions * engine.in_flight),
        "CPU of the functions": small * case.request_cpu / (functions * share),
        "S3 writes": small / DOCUMENTED["S3 writes"].value,
        "children started": items / DOCUMENTED["children started"].value,
        "state transitions": items * (engine.states_of_child + 2) / DOCUMENTED["state transitions"].value,
        "parts in flight": _parts(case, engine),
    }
    name = max(bounds, key=lambda bound: bounds[bound])
    return bounds[name] + ASSUMED["start of a function"].value, name


def _parts(case: Case, engine: Engine) -> float:
    if not case.parts_items:
        return 0.0
    per_item = math.ceil(case.parts / case.parts_items / PARTS_IN_FLIGHT)
    waves = math.ceil(case.parts_items / engine.functions)
    return waves * per_item * ASSUMED["a copy of a part of 512 MiB from another region"].value


def _seal(case: Case) -> float:
    pages = math.ceil((case.shards + case.parts_items) / REFS_PER_PAGE)
    return pages * PAGE_READ + ASSUMED["start of a function"].value


def _dollars(
    case: Case, engine: Engine, phases: dict[str, float], requests: dict[str, int], transitions: int, items: int
) -> dict[str, float]:
    at_once = min(engine.functions, max(1, items))
    seconds = phases["inventory"] + phases["copying"] * at_once + phases["seal"]
    amounts = {
        "copy, put or list request": requests["list"] + requests["copy"] + requests["put"],
        "get or head request": requests["get"],
        "transfer between regions": case.bytes / GB,
        "state transition": transitions,
        "function call": items + 4,
        "function second": seconds * engine.memory_mb / 1024,
        "table write": items * WRITES_PER_ITEM,
    }
    return {name: round(value, 4) for name, value in cost(amounts).items()}
