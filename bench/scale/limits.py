"""What bounds a copy on AWS: documented limits, the product's own settings, and what has to be assumed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from mldr.aws.copier import PACE

ROOT = Path(__file__).parents[2]


class Limit(NamedTuple):
    """A number and where it comes from."""

    value: float
    unit: str
    source: str


GUIDE = "docs.aws.amazon.com"
DOCUMENTED = {
    "children started": Limit(100, "per s", f"{GUIDE}/step-functions/latest/dg/service-quotas (Standard children)"),
    "state transitions": Limit(800, "per s", f"{GUIDE}/step-functions/latest/dg/service-quotas (smaller regions)"),
    "S3 writes": Limit(
        3500, "per s and prefix", f"{GUIDE}/AmazonS3/latest/userguide/optimizing-performance (copies count as writes)"
    ),
    "function timeout": Limit(900, "s", f"{GUIDE}/lambda/latest/dg/gettingstarted-limits"),
    "function network": Limit(625, "Mbps", f"{GUIDE}/lambda/latest/dg/gettingstarted-limits"),
    "memory of one CPU": Limit(1769, "MB", f"{GUIDE}/lambda/latest/dg/configuration-memory"),
}
ASSUMED = {
    "a page of a listing in another region": Limit(0.3, "s", "assumed"),
    "a copy of a small object from another region": Limit(0.15, "s", "assumed"),
    "a copy of a part of 512 MiB from another region": Limit(20, "s", "assumed; 27 MB/s for each part"),
    "start of a function": Limit(1.0, "s", "assumed"),
}


class Engine(NamedTuple):
    """The product's settings that bound a copy, read from the product."""

    functions: int  # at the same time
    in_flight: int  # requests of one function
    memory_mb: int
    states_of_child: int


def engine() -> Engine:
    """Return the settings in force."""
    machine = json.loads((ROOT / "statemachines" / "protect.asl.json").read_text())
    copy = _map(machine, "Copy")
    template = (ROOT / "template.yaml").read_text()
    function = re.search(r"\n  CopyObjectsFunction:\n((?:    .*\n|\n)+)", template)
    memory = re.search(r"MemorySize: (\d+)", function.group(1) if function else "") or re.search(
        r"MemorySize: (\d+)", template
    )
    return Engine(
        functions=int(copy["MaxConcurrency"]),
        in_flight=PACE.ceiling,
        memory_mb=int(memory.group(1)) if memory else 512,
        states_of_child=len(copy["ItemProcessor"]["States"]),
    )


def _map(machine: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = machine["States"][name]
    return found
