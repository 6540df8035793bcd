"""Door: state machine *scrub* -> check the bytes that one shard names, and repair what is bad."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.scrub import ScrubTask
from mldr.steps.scrub_shard import scrub_shard
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    checked = scrub_shard(
        ScrubTask.parse(event),
        vault=world.vault,
        reader=world.vault_bytes,
        copier=world.copier,
        clock=world.clock,
        remaining=context.get_remaining_time_in_millis,
    )
    for finding in checked.findings:
        logger.error(finding.reason, problem=finding.problem, key=finding.key, version=finding.version_id)
    logger.info("shard checked", item=checked.item, objects=checked.objects, bytes=checked.bytes, done=checked.done)
    return {"item": checked.item, "more": not checked.done}
