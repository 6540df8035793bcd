"""Door: state machine *scrub* -> choose what is checked."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.scrub import ScrubRun
from mldr.steps.choose_shards import choose_shards
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    chosen = choose_shards(
        ScrubRun.parse(event),
        catalog=world.catalog,
        datasets=world.datasets,
        vault=world.vault,
        clock=world.clock,
        patience=world.env.scrub_patience_hours,
    )
    logger.info("shards chosen", shards=chosen.shards, reading=chosen.reading)
    return chosen.model_dump(mode="json")
