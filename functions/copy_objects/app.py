"""Door: state machine *protect* -> copy one batch into the vault."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events import BatchTask
from mldr.steps.copy_objects import copy_objects
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    copied = copy_objects(BatchTask.parse(event), catalog=world.catalog, vault=world.vault)
    logger.info("batch copied", objects=copied)
    return {"objects": copied}
