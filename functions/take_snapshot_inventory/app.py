"""Door: state machine *snapshot* -> find what a dataset held at the instant of its snapshot."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.snapshots import SnapshotTask
from mldr.steps.take_snapshot_inventory import take_snapshot_inventory
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    inventory = take_snapshot_inventory(
        SnapshotTask.parse(event),
        region=world.env.aws_region,
        datasets=world.datasets,
        catalog=world.catalog,
        sources=world.sources,
        vault=world.vault,
        copier=world.copier,
        clock=world.clock,
        remaining=context.get_remaining_time_in_millis,
    )
    if inventory.unreadable:
        logger.error("the snapshot before is lost in part", unreadable=inventory.unreadable)
    logger.info("inventory taken", sealed=inventory.sealed, more=inventory.more, shards=inventory.shards)
    return inventory.model_dump(mode="json")
