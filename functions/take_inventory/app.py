"""Door: state machine *protect* -> pin everything that belongs to a version."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events import ProtectTask
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
        clock=world.clock,
    )
    logger.info("inventory taken", batches=inventory.batches, sealed=inventory.sealed)
    return inventory.model_dump(mode="json")
