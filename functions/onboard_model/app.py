"""Door: state machine *protect* -> give a model its name and its health checks."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.domain.routing import CheckTimes
from mldr.events.protection import ProtectTask
from mldr.steps.onboard_model import onboard_model
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    route = onboard_model(
        ProtectTask.parse(event).model,
        region=world.env.aws_region,
        peer_region=world.env.peer_region,
        zone=world.env.zone_name,
        times=CheckTimes.model_validate(
            {
                "interval": world.env.health_check_interval,
                "threshold": world.env.failure_threshold,
                "ttl": world.env.record_ttl,
            }
        ),
        kind=world.env.takeover_switch,
        catalog=world.catalog,
        fronts=world.fronts,
        dns=world.dns,
        outside=world.outside,
        clock=world.clock,
    )
    name = route.name if route else ""
    logger.info("onboarded" if name else "this region is its home", route=name)
    return {"name": name}
