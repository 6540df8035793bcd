"""Door: a state machine that copies -> copy a range of parts of one large object."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.transfers import PartsTask
from mldr.steps.copy_parts import copy_parts
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    task = PartsTask.parse(event)
    size = copy_parts(task, catalog=world.catalog, vault=world.vault, copier=world.copier, clock=world.clock)
    logger.info("parts copied", owner=task.transfer.owner, item=task.item, bytes=size)
    return {"item": task.item, "bytes": size}
