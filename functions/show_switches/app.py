"""Door: schedule -> show Route 53's checkers by metrics who serves each model."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.steps.show_switches import show_switches
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    figures = show_switches(
        catalog=world.catalog,
        leaders=world.leaders,
        policies=world.policies,
        deep=world.deep_health,
        metrics=world.metrics,
    )
    logger.info("switches shown", models=figures[-1].value)
    return {"models": figures[-1].value}
