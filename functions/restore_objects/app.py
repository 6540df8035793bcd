"""Door: state machine *restore_dataset* -> bring one shard of a snapshot back."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.snapshots import RestoreShardTask
from mldr.steps.restore_objects import restore_objects
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    restored = restore_objects(
        RestoreShardTask.parse(event),
        datasets=world.datasets,
        catalog=world.catalog,
        vault=world.vault,
        restorer=world.restorer,
        clock=world.clock,
    )
    logger.info("shard restored", objects=restored)
    return {"objects": restored}
