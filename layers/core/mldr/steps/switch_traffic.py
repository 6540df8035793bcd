"""Flip the takeover switch, and look from outside whether clients see it."""

from __future__ import annotations

from mldr.domain.failover import Takeover
from mldr.domain.health import Sight
from mldr.errors import NotConfirmed, NotRestorable
from mldr.events import ClaimedTask
from mldr.ports import Catalog, Clock, Outside
from mldr.steps.restore_serving import held_epoch


def flip_switch(task: ClaimedTask, *, catalog: Catalog, clock: Clock) -> Takeover:
    """Return the takeover. Flipping twice is one flip; a failover whose epoch is over flips nothing."""
    existing = catalog.takeover(task.model)
    if existing and existing.epoch == task.claim.epoch:
        return existing
    epoch = held_epoch(task, catalog)
    takeover = Takeover(
        epoch=epoch.number,
        endpoint=task.claim.endpoint,
        recovery_point=task.claim.recovery_point,
        flipped_at=clock.now(),
    )
    catalog.flip(task.model, takeover, epoch)
    return takeover


def confirm_takeover(task: ClaimedTask, *, catalog: Catalog, outside: Outside) -> str:
    """Return the host that clients are sent to. Raises NotConfirmed until that is the standby, and it answers."""
    route = catalog.route(task.model)
    if route is None:
        raise NotRestorable(f"{task.model} was never onboarded; `mldr protect {task.model.name}` finishes that")
    target = outside.target(route.name)
    if target != route.standby.target:
        raise NotConfirmed(
            f"{route.name} still points to {target or 'nothing'}, not to {route.standby.target}; it is asked again"
        )
    seen = outside.probe(route.standby.host, f"/models/{task.model.name}/health")
    if seen.sight is not Sight.HEALTHY:
        raise NotConfirmed(f"{route.name} points to {target}, which is {seen.sight}: {seen.detail}; it is asked again")
    return target
