"""Door: state machine *failover* -> flip the takeover switch."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events import ClaimedTask
from mldr.steps.switch_traffic import flip_switch
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    takeover = flip_switch(ClaimedTask.parse(event), catalog=world.catalog, clock=world.clock)
    logger.info("takeover switch flipped", epoch=takeover.epoch)
    return {"epoch": takeover.epoch, "at": takeover.flipped_at.isoformat()}
