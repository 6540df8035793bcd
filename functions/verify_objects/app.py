"""Door: state machine *protect* -> verify and lock one batch."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events import BatchTask
from mldr.steps.verify_objects import verify_objects
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    verified = verify_objects(BatchTask.parse(event), catalog=world.catalog, vault=world.vault)
    logger.info("batch verified", objects=verified)
    return {"objects": verified}
