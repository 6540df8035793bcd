"""Door: schedule -> publish how far each model is behind its RPO."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.steps.measure_lag import measure_lag
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    figures = measure_lag(catalog=world.catalog, policies=world.policies, metrics=world.metrics, clock=world.clock)
    logger.info("lag measured", figures=len(figures), worst=figures[-1].value)
    return {"worst": figures[-1].value}
