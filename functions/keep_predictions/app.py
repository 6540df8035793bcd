"""Door: SQS -> keep answers of models in this region's cache, and tell the other region of its own."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.steps.keep_predictions import keep_predictions
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    records = event["Records"]
    outcome = keep_predictions([record["body"] for record in records], ports=world.keeping, bus=world.bus)
    logger.info("predictions", **outcome.model_dump())
    return {"batchItemFailures": [{"itemIdentifier": records[number]["messageId"]} for number in outcome.failed]}
