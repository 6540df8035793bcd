"""Door: state machine *watch* -> look at every model once, decide, and act."""

import datetime as dt
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.health import WatchTask
from mldr.steps.silent_hosts import SilentHosts
from mldr.steps.watch_models import watch_models
from mldr.steps.watching import Ports, Watch
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world, task = wiring.world(), WatchTask.parse(event)
    ports = Ports(
        catalog=world.catalog,
        decisions=world.decisions,
        vault=world.vault,
        policies=world.policies,
        outside=world.outside,
        serving=world.serving,
        captures=world.serving_captures,
        survivors=world.survivors,
        limits=world.scaling_limits,
        workflows=world.workflows,
        evacuations=world.evacuations,
        witness_token=lambda: world.witness_token,
        bus=world.bus,
        pager=world.pager,
        clock=world.clock,
        silent=SilentHosts(world.clock),
    )
    watch = Watch(
        region=world.env.aws_region,
        peer=world.env.peer_region,
        witness=world.env.witness_host,
        pause=dt.timedelta(seconds=task.pause),
    )
    watched = watch_models(watch, ports)
    for one in watched:
        logger.info(one.reason, model=one.model, action=one.action)
    return task.model_copy(update={"round": task.round + 1}).model_dump()
