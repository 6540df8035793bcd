"""Door: state machine *failover* -> lay a recovery point out by name, where it shares copies with older ones."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.failover import MaterialiseTask
from mldr.steps.materialise_serving import materialise_serving
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    layout = materialise_serving(
        MaterialiseTask.parse(event),
        bucket=world.env.vault_bucket,
        catalog=world.catalog,
        vault=world.vault,
        copier=world.copier,
        captures=world.serving_captures,
        remaining=context.get_remaining_time_in_millis,
    )
    logger.info("laid out", copied=layout.copied, more=layout.more)
    return {**layout.model_dump(mode="json"), "at": world.clock.now().isoformat()}
