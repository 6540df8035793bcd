"""Door: state machine *failover* -> look from outside whether clients reach this region."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.failover import ClaimedTask
from mldr.steps.switch_traffic import confirm_takeover
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    target = confirm_takeover(
        ClaimedTask.parse(event), region=world.env.aws_region, catalog=world.catalog, outside=world.outside
    )
    return {"target": target, "at": world.clock.now().isoformat()}
