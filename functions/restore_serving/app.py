"""Door: state machine *failover* -> create the endpoint of a recovery point."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.failover import RestoreTask
from mldr.steps.restore_serving import restore_serving
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    restored = restore_serving(
        RestoreTask.parse(event),
        region=world.env.aws_region,
        roles=world.env.execution_roles,
        catalog=world.catalog,
        vault=world.vault,
        serving=world.serving,
        captures=world.serving_captures,
        clock=world.clock,
    )
    for warning in (*restored.foreseen, *restored.warnings):
        logger.warning(warning)
    logger.info("endpoint", status=restored.status, captured_at=str(restored.captured_at))
    return {**restored.model_dump(mode="json"), "at": world.clock.now().isoformat()}
