"""Door: a state machine that copies -> copy, verify, lock and seal one shard of a manifest."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.transfers import ShardTask
from mldr.steps.copy_objects import copy_objects
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    task = ShardTask.parse(event)
    shard = copy_objects(
        task,
        catalog=world.catalog,
        vault=world.vault,
        copier=world.copier,
        clock=world.clock,
        job_over=world.env.digest_job_bytes,
    )
    if shard is None:
        logger.info("shard waits for digests", owner=task.transfer.owner, item=task.item)
        return {"item": task.item, "objects": 0}
    logger.info("shard sealed", owner=task.transfer.owner, item=task.item, objects=shard.objects, bytes=shard.bytes)
    return {"item": task.item, "objects": shard.objects}
