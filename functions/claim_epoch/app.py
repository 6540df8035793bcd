"""Door: state machine *failover* -> claim the epoch and choose the recovery point."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.failover import MoveTask
from mldr.steps.claim_epoch import claim_epoch
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    claim = claim_epoch(
        MoveTask.parse(event),
        region=world.env.aws_region,
        catalog=world.catalog,
        vault=world.vault,
        workflows=world.workflows,
        clock=world.clock,
    )
    logger.info("epoch claimed", epoch=claim.epoch, recovery_point=claim.recovery_point)
    return claim.model_dump(mode="json")
