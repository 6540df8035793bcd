"""Door: state machine *protect* -> write the manifest of a verified recovery point."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.protection import SealTask
from mldr.steps.seal_recovery_point import seal_recovery_point
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    record = seal_recovery_point(
        SealTask.parse(event),
        region=world.env.aws_region,
        catalog=world.catalog,
        datasets=world.datasets,
        vault=world.vault,
        clock=world.clock,
    )
    logger.info("sealed", recovery_point=record.recovery_point, objects=record.objects, bytes=record.bytes)
    return record.model_dump(mode="json")
