"""Door: schedule -> find what events missed."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.steps.reconcile_registry import reconcile_registry
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    told = reconcile_registry(registry=world.registry, catalog=world.catalog, bus=world.bus)
    for arn in told:
        logger.warning("no event told of this version", arn=arn)
    return {"told": told}
