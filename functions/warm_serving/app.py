"""Door: state machine *failover* -> one round of warming: the captured capacity, golden requests, and the gateway."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.failover import WarmTask
from mldr.steps.warm_gateway import warm_gateway
from mldr.steps.warm_serving import warm_serving
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    done = warm_serving(
        WarmTask.parse(event),
        catalog=world.catalog,
        vault=world.vault,
        serving=world.serving,
        late=world.late_answers,
        captures=world.serving_captures,
        clock=world.clock,
    )
    ready = warm_gateway(
        WarmTask.parse(event),
        region=world.env.aws_region,
        catalog=world.catalog,
        vault=world.vault,
        outside=world.outside,
        tokens=world.tokens,
        environments=world.env.gateway_environments,
    )
    logger.info(done.warmth.reason, warm=done.warmth.warm, requests=done.requests, gateway=ready.model_dump())
    return {
        "more": done.warmth.more,
        "warning": done.warmth.warning,
        "reason": done.warmth.reason,
        "began": done.began.isoformat(),
        "at": world.clock.now().isoformat(),
    }
