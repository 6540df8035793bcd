"""Door: state machine *failover* -> send the golden requests once, to warm the endpoint."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events import ClaimedTask
from mldr.steps.prove_answers import warm_serving
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    sent = warm_serving(ClaimedTask.parse(event), catalog=world.catalog, vault=world.vault, serving=world.serving)
    return {"requests": sent, "at": world.clock.now().isoformat()}
