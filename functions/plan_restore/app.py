"""Door: state machine *restore_dataset* -> choose the shards that hold what is to be brought back."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.snapshots import RestoreTask
from mldr.steps.plan_restore import plan_restore
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    plan = plan_restore(
        RestoreTask.parse(event),
        datasets=world.datasets,
        catalog=world.catalog,
        vault=world.vault,
        clock=world.clock,
    )
    logger.info("restore planned", shards=plan.shards)
    return plan.model_dump(mode="json")
