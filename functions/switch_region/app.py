"""Door: ARC Region switch, custom action Lambda block -> take over all that the peer region serves."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.evacuation import RegionSwitchCall
from mldr.steps.switch_region import switch_region
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    done = switch_region(
        RegionSwitchCall.parse(event),
        region=world.env.aws_region,
        peer=world.env.peer_region,
        catalog=world.catalog,
        evidence=world.evidence,
        bus=world.bus,
        clock=world.clock,
    )
    logger.info("region activated", models=len(done.models))
    return done.model_dump(mode="json")
