"""Door: state machine *failover* -> flip the takeover switch."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.failover import ClaimedTask
from mldr.steps.switch_traffic import emit_switch, flip_switch
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    task, region = ClaimedTask.parse(event), world.env.aws_region
    takeover = flip_switch(task, region=region, catalog=world.catalog, clock=world.clock)
    note = emit_switch(task.model, takeover, region=region, signal=world.switch_signal, routing=world.routing_controls)
    logger.info("takeover switch flipped", epoch=takeover.epoch, note=note)
    return {"epoch": takeover.epoch, "at": takeover.flipped_at.isoformat(), "note": note}
