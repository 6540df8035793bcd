"""Door: Step Functions -> plan the recovery of every model of a region."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.evacuation import EvacuationTask
from mldr.steps.plan_evacuation import plan_evacuation
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    planned = plan_evacuation(
        EvacuationTask.parse(event),
        region=world.env.aws_region,
        peer=world.env.peer_region,
        facts=world.region_facts,
        catalog=world.catalog,
        policies=world.policies,
        vault=world.vault,
        clock=world.clock,
        side_by_side=world.env.failovers_side_by_side,
    )
    logger.info("evacuation planned", models=planned.models, rest=planned.rest, plan=planned.models_key)
    return planned.model_dump(mode="json")
