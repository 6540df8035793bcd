"""Door: schedule -> ask for the snapshots that the policy wants by now."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.steps.request_snapshots import request_snapshots
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    asked = request_snapshots(
        peer_region=world.env.peer_region,
        datasets=world.datasets,
        policies=world.policies,
        bus=world.bus,
        clock=world.clock,
    )
    logger.info("snapshots requested", datasets=asked)
    return {"asked": asked}
