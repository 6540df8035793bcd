"""Door: state machine *failover* -> find out whether an endpoint is there that serves the claimed version."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.failover import ClaimedTask
from mldr.steps.find_endpoint import find_endpoint
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    claim = find_endpoint(
        ClaimedTask.parse(event),
        catalog=world.catalog,
        vault=world.vault,
        registry=lambda: world.registry,
        endpoints=world.own_endpoints,
        captures=world.serving_captures,
        serving=world.serving,
        clock=world.clock,
    )
    logger.info("endpoint", endpoint=claim.endpoint, reuse=claim.reuse, stands=claim.stands)
    return claim.model_dump(mode="json")
