"""Door: a state machine whose shards wait for checksums -> have S3 compute them, and say what to do next."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.transfers import DigestTask
from mldr.steps.compute_digests import compute_digests
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    computing = compute_digests(
        DigestTask.parse(event),
        vault=world.vault,
        jobs=world.digest_jobs,
        poll_seconds=world.env.digest_poll_seconds,
        remaining=context.get_remaining_time_in_millis,
    )
    logger.info("digests computed", digests=computing.digests, shards=computing.shards)
    return {**event, **computing.model_dump(mode="json")}
