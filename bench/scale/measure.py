"""Measure the planner in processes of its own, and simulate what those plans would take on AWS."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import results as kept
from bench.processes import run as process
from bench.results import Results
from bench.scale.limits import ASSUMED, DOCUMENTED, engine
from bench.scale.simulation import Case, simulate
from mldr.steps.plan_snapshot import AHEAD

ROOT = Path(__file__).parents[2]
KIB, GB, TB = 1024, 1000**3, 1000**4
SMALL = 10 * KIB
SIZES, QUICK_SIZES = (10_000, 1_000_000), (10_000, 50_000)
VERBS = ("first", "seal", "again")
REQUEST_CPU = 0.0005  # seconds, until a copy of 10,000 objects has been measured


def run(results: Results, *, quick: bool) -> None:
    """Measure memory and time of the planner, then simulate."""
    for count in QUICK_SIZES if quick else SIZES:
        if not results.done(f"{count} objects"):
            results.add(f"{count} objects", _planned(count, SMALL, VERBS))
    for name, count, size in (("1 TB in one object", 1, TB), ("1 TB in 150 objects", 150, TB // 150)):
        if not results.done(name):
            results.add(name, _planned(count, size, ("first",)))
    results.document["simulated"] = [simulate(case, engine()) for case in _cases(results.samples, quick)]
    results.document["engine"] = engine()._asdict()
    results.document["limits"] = {name: list(limit) for name, limit in (DOCUMENTED | ASSUMED).items()}


def _planned(count: int, size: int, verbs: tuple[str, ...]) -> list[dict[str, Any]]:
    folder = tempfile.mkdtemp(prefix="mldr-bench-", dir="/var/tmp")
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core'}"}
    try:
        return [_sample(verb, count, size, folder, environment) for verb in verbs]
    finally:
        shutil.rmtree(folder)


def _sample(verb: str, count: int, size: int, folder: str, environment: dict[str, str]) -> dict[str, Any]:
    words = [sys.executable, "-m", "bench.scale.planner_job", verb, str(count), str(size), folder]
    usage = process(words, env=environment, cwd=ROOT)
    figures = json.loads(usage.output)
    return {
        "verb": verb,
        "count": count,
        "size": size,
        "seconds": round(usage.seconds, 2),
        "cpu": round(figures.pop("work_cpu"), 2),
        "peak_mib": round(usage.peak_mib, 1),
    } | figures


def _cases(samples: list[dict[str, Any]], quick: bool) -> list[Case]:
    most = max(sample["count"] for sample in samples)
    many = {sample["verb"]: sample for sample in samples if sample["count"] == most}
    request = _request_cpu(quick)
    first, again = many["first"], many["again"]
    # The plan of ten million is that of the largest measured one, so many times over: it grows in a straight line.
    times = 10_000_000 // most
    cases = [
        _case(f"{count:,} objects of 10 KiB, first", first, count / most, request) for count in (100_000, 10_000_000)
    ]
    cases.append(_case("10,000,000 objects of 10 KiB, 1 % changed", again, times, request))
    large = [sample for sample in samples if sample["size"] > GB]
    cases += [_case(f"1 TB in {sample['count']} object(s), first", sample, 1, request) for sample in large]
    return cases


def _case(name: str, sample: dict[str, Any], times: float, request_cpu: float) -> Case:
    objects = round(sample["objects"] * times)
    return Case(
        name=name,
        objects=round(objects * sample["moving"] / sample["bytes"]),
        bytes=round(sample["moving"] * times),
        pages=-(-objects // 1000),
        listed_at_once=1 if sample["verb"] == "first" else AHEAD,
        shards=round(sample["shards"] * times),
        parts_items=round(sample["parts_items"] * times),
        parts=round(sample["parts"] * times),
        planner_cpu=sample["cpu"] * times,
        request_cpu=request_cpu,
    )


def _request_cpu(quick: bool) -> float:
    """Return what one copy of a small object took mldr's process, as the race has measured it, in seconds."""
    race = kept.load("copy", quick=quick) or {"samples": []}
    found = [
        sample["cpu"] / sample["requests"]
        for sample in race["samples"]
        if sample["contestant"] == "mldr, warm" and sample["phase"] == "first copy" and sample["objects"] >= 1000
    ]
    return sorted(found)[len(found) // 2] if found else REQUEST_CPU
