"""Door: state machine *protect* -> pin everything that belongs to a version."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.protection import ProtectTask
from mldr.steps.take_inventory import take_inventory
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    inventory = take_inventory(
        ProtectTask.parse(event),
        region=world.env.aws_region,
        key_arn=world.env.vault_key_arn,
        catalog=world.catalog,
        sources=world.sources,
        images=world.images,
        vault=world.vault,
        copier=world.copier,
        clock=world.clock,
        remaining=context.get_remaining_time_in_millis,
    )
    logger.info("inventory taken", sealed=inventory.sealed, more=inventory.more, shards=inventory.shards)
    return inventory.model_dump(mode="json")
