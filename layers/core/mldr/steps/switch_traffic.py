"""Flip the takeover switch, and look from outside whether clients see it."""

from __future__ import annotations

from mldr.domain.failover import Takeover
from mldr.domain.health import Sight
from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import promoted_since
from mldr.domain.routing import HEALTHY, OFF, ON, Route, SwitchKind
from mldr.errors import MldrError, NotConfirmed, NotRestorable, PromotedMeanwhile
from mldr.events.failover import ClaimedTask
from mldr.ports.catalog import Catalog
from mldr.ports.outside import Outside, RoutingControls, SwitchSignal
from mldr.ports.stack import Clock
from mldr.steps.know_leader import front_of, home_known, known_route
from mldr.steps.restore_serving import held_epoch


def flip_switch(task: ClaimedTask, *, region: str, catalog: Catalog, clock: Clock) -> Takeover:
    """Return the takeover. Flipping twice is one flip; a failover whose epoch is over flips nothing.

    Raises PromotedMeanwhile: a planned move must not take clients back to an older version than they have.
    """
    knowledge = catalog.leadership(task.model)
    existing = knowledge.takeover
    if existing and existing.epoch == task.claim.epoch:
        return existing
    epoch = held_epoch(task, catalog)
    newer = promoted_since(catalog.records(task.model), task.claim.recovery_point) if task.kind.planned else None
    if newer:
        raise PromotedMeanwhile(
            f"{newer.origin.arn} was promoted while {task.claim.recovery_point} was made ready in {region}; "
            f"clients stay where they are, ask for the {task.kind} again: it takes the newer version"
        )
    takeover = Takeover(
        epoch=epoch.number,
        endpoint=task.claim.endpoint,
        recovery_point=task.claim.recovery_point,
        flipped_at=clock.now(),
        home=home_known(region, task.model, knowledge, catalog),
        kind=task.kind,
        component=task.claim.component,
    )
    catalog.flip(task.model, takeover, epoch)
    return takeover


def emit_switch(
    model: ModelKey, takeover: Takeover, *, region: str, signal: SwitchSignal, routing: RoutingControls
) -> str:
    """Show a flipped switch to the checkers and to ARC; return what could not be told, '' when all was.

    The switch is flipped whatever comes of it: confirm_takeover says whether clients arrive. Of the two controls of a
    planned move the old region's is turned off in the same call, so nothing is left to emit when that stands down.
    """
    missed = []
    try:
        signal.show(model, on=True, at_home=takeover.home == region)
    except MldrError as error:
        missed.append(f"the metric that the health checks follow was not published: {error}")
    try:
        routing.point(model, region)
    except MldrError as error:
        missed.append(f"ARC was not told: {error}")
    return "; ".join(missed)


def confirm_takeover(task: ClaimedTask, *, region: str, catalog: Catalog, outside: Outside) -> str:
    """Return the host that clients are sent to. Raises NotConfirmed until that is this region's, and it answers."""
    route = known_route(task.model, catalog.leadership(task.model), catalog)
    if route is None:
        raise NotRestorable(f"{task.model} was never onboarded; `mldr protect {task.model.name}` finishes that")
    front = front_of(route, region)
    target = outside.target(route.name)
    if not _moved(route, region, target, outside):
        raise NotConfirmed(_not_moved(task.model, route, region, target, outside.text(route.switch_name)))
    seen = outside.probe(front.host, f"/models/{task.model.name}/health")
    if seen.sight is not Sight.HEALTHY:
        why = f"which is {seen.sight}: {seen.detail}; it is asked again"
        raise NotConfirmed(f"{route.name} points to {front.target}, {why}")
    return front.target


def _moved(route: Route, region: str, target: str | None, outside: Outside) -> bool:
    """Return whether clients are sent to this region.

    A name that both regions answer says nothing by one answer. Its canaries do: while the switch is on the home's
    record is out, and nobody but the standby is answered; while it is off and the home is well, its record is in.
    """
    front = front_of(route, region)
    if route.spread is None:
        return target == front.target
    switch = outside.text(route.switch_name)
    if region == route.active.region:
        return switch == OFF and outside.text(route.verdict_name) == HEALTHY and target is not None
    return switch == ON and target == front.target


def _not_moved(model: ModelKey, route: Route, region: str, target: str | None, said: str | None) -> str:
    """Return the sentence of the page: the switch is flipped, the old state stays, and what to look at."""
    front = front_of(route, region)
    looked = (
        f"that the alarms mldr-…-switch-…-{model.name}-… have data, and that show_switches runs in both regions"
        if route.kind is SwitchKind.METRIC
        else f"that https://{front.host}/models/{model.name}/takeover (at home: /health) answers Route 53's checkers"
    )
    answered = (
        f"is answered with {target or 'nothing'}, and not surely with {front.target}"
        if route.spread
        else f"still points to {target or 'nothing'}, not to {front.target}"
    )
    return (
        f"{route.name} {answered}; it is asked again. "
        f"The switch is flipped, but Route 53 says {said or 'nothing'} of it ({route.switch_name} TXT): the old state "
        f"stays, and clients are sent where they were. Look {looked}; once they see it DNS moves by itself, "
        f"and nothing has to be repeated. To give it up: `mldr epoch {model.name}`"
    )
