"""Door: state machine *protect* -> register the sealed version in this region."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.protection import ProtectTask
from mldr.steps.sync_registry import sync_registry
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    arn = sync_registry(
        ProtectTask.parse(event),
        region=world.env.aws_region,
        catalog=world.catalog,
        vault=world.vault,
        registry=world.registry,
        pager=world.pager,
    )
    logger.info("registered in the standby region", arn=arn)
    return {"arn": arn}
