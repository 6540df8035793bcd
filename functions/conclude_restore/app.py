"""Door: state machine *restore_dataset* -> record how a restore ended, and say so."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.snapshots import RestoreConclusion
from mldr.steps.conclude_restore import conclude_restore
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    record = conclude_restore(
        RestoreConclusion.parse(event),
        datasets=world.datasets,
        catalog=world.catalog,
        vault=world.vault,
        bus=world.bus,
        clock=world.clock,
    )
    logger.info("restore concluded", phase=record.phase, reason=record.reason, objects=record.objects)
    return {"phase": record.phase, "reason": record.reason}
