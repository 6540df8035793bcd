"""Door: Step Functions -> start the failover of one model of an evacuation, and say whether its slot is free again."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.evacuation import RecoverTask
from mldr.steps.recover_model import recover_model
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    task = RecoverTask.parse(event)
    look = recover_model(
        task,
        region=world.env.aws_region,
        peer=world.env.peer_region,
        catalog=world.catalog,
        workflows=world.workflows,
        clock=world.clock,
    )
    logger.info("failover followed", model=str(task.model), failover_id=task.failover_id, ended=look.ended)
    return look.model_dump(mode="json")
