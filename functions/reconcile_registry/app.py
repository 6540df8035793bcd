"""Door: schedule -> find what events missed."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.steps.reconcile_registry import reconcile_registry
from mldr.steps.refresh_quotas import refresh_quotas
from mldr.steps.request_captures import request_captures
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    told = reconcile_registry(
        region=world.env.aws_region, registry=world.registry, catalog=world.catalog, bus=world.bus
    )
    for arn in told:
        logger.warning("no event told of this version", arn=arn)
    asked = request_captures(catalog=world.catalog, bus=world.bus)
    refresh_quotas(
        quotas=world.quotas, catalog=world.catalog, clock=world.clock, side_by_side=world.env.failovers_side_by_side
    )
    return {"told": told, "asked": asked}
