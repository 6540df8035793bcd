"""Door: schedule -> go on with failovers whose execution died."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.steps.resume_failovers import resume_failovers
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    resumed = resume_failovers(catalog=world.catalog, workflows=world.workflows, pager=world.pager, clock=world.clock)
    for one in resumed:
        logger.warning(one.reason, model=str(one.model), epoch=one.epoch, execution=one.execution)
    return {"resumed": [one.execution for one in resumed]}
