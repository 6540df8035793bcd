"""Door: state machine *failover* -> prove that the endpoint answers as recorded."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.failover import VerifyTask
from mldr.steps.prove_answers import verify_serving
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    verified = verify_serving(
        VerifyTask.parse(event),
        catalog=world.catalog,
        vault=world.vault,
        serving=world.serving,
        late=world.late_answers,
        clock=world.clock,
        remaining=context.get_remaining_time_in_millis,
    )
    logger.info(verified.reason, more=verified.more)
    return {**verified.model_dump(mode="json"), "at": world.clock.now().isoformat()}
