"""A region with several models that fails as a whole: protected, asked for, killed and asked for again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mldr.domain.evidence import Evidence
from mldr.domain.failover import Takeover
from mldr.domain.identity import ModelKey
from mldr.ports.stack import Status
from tests.asl_walker import Ended
from tests.fakes.world import ACTIVE, STANDBY, FakeWorld
from tests.functional.state_machine import Machine
from tests.functional.story import GATEWAY, deliver, document, protect, run, stock

POLICY = f"""\
version: 1
regions: [{ACTIVE}, {STANDBY}]
defaults:
  golden: {{uri: "s3://lake/churn/golden.jsonl"}}
models:
  - {{match: sagemaker/urgent*, criticality: revenue-critical}}
  - {{match: sagemaker/slow*, criticality: non-critical}}
"""


class Killed(BaseException):
    """The state machine dies here, and records nothing."""


@dataclass
class Region(Machine):
    """*evacuate*; while it waits, the failovers that it started run. `largest` is the most that a state was given."""

    after: Callable[[str, int], None] = lambda door, times: None
    largest: int = 0
    seen: dict[str, int] = field(default_factory=dict)

    def _invoke(self, arn: str, payload: Any) -> Any:
        self.largest = max(self.largest, len(json.dumps(payload)))
        answer = super()._invoke(arn, payload)
        door = self.calls[-1]
        self.seen[door] = self.seen.get(door, 0) + 1
        self.after(door, self.seen[door])
        return answer

    def _pass_time(self, seconds: float) -> None:
        super()._pass_time(seconds)
        run_failovers(self.world, self.context)


def run_failovers(world: FakeWorld, context: Any) -> None:
    """Run every failover that was started and has not ended."""
    for name in sorted(world.workflows.active):
        ended = run(world, context, name, "failover")
        world.workflows.ended[name] = Status(ended.status)


def key(name: str) -> ModelKey:
    """A model of the region."""
    return ModelKey(registry="sagemaker", name=name)


def protect_all(world: FakeWorld, context: Any, names: Iterable[str], policy: str = POLICY) -> None:
    """Promote and protect models whose clients would follow a switch."""
    world.policies.put(policy)
    stock(world)
    for name in names:
        world.outside.targets[f"{name}.models.example"] = GATEWAY
        protect(world, context, world.registry.promote(name, document()))
    world.clock.move(hours=1)


def region_event(world: FakeWorld, event_id: str = "region-1", **detail: Any) -> dict[str, Any]:
    """`Failover Requested` for the whole active region."""
    return {
        "id": event_id,
        "source": "mldr",
        "detail-type": "Failover Requested",
        "time": world.clock.now().isoformat(),
        "detail": {"region": ACTIVE, "reason": "the region is gone", "requested_by": "operator", **detail},
    }


def machine(world: FakeWorld, context: Any, **more: Any) -> Region:
    """The state machine, to be run."""
    return Region("evacuate", world, context, **more)


def evacuate(world: FakeWorld, context: Any, event_id: str = "region-1", **detail: Any) -> Ended:
    """Ask for the whole region and run what this started."""
    assert deliver("start_failover", context, region_event(world, event_id, **detail)) == []
    return follow(world, context, event_id)


def follow(world: FakeWorld, context: Any, execution: str, **more: Any) -> Ended:
    """Run a started evacuation to its end."""
    try:
        return machine(world, context, **more).run(world.evacuations.started[execution])
    finally:
        world.evacuations.active.discard(execution)


def of_region(world: FakeWorld, region: str = ACTIVE) -> Evidence:
    """The newest evidence of the whole region."""
    return world.evidence.newest(ModelKey(registry="region", name=region), 1)[0]


def switch(world: FakeWorld, name: str) -> Takeover | None:
    """The takeover switch of a model."""
    return world.catalog.takeover(key(name))
