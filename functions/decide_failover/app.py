"""Door: state machine *watch* -> look at every model once, decide, and act."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events import WatchTask
from mldr.steps.watch_models import watch_models
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world, task = wiring.world(), WatchTask.parse(event)
    watched = watch_models(
        catalog=world.catalog,
        vault=world.vault,
        policies=world.policies,
        outside=world.outside,
        bus=world.bus,
        pager=world.pager,
        clock=world.clock,
    )
    for one in watched:
        logger.info(one.reason, model=one.model, action=one.action)
    return task.model_copy(update={"round": task.round + 1}).model_dump()
