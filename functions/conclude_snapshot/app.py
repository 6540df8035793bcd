"""Door: state machine *snapshot* -> record how a snapshot ended, and say so."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.snapshots import SnapshotConclusion
from mldr.steps.conclude_snapshot import conclude_snapshot
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    record = conclude_snapshot(
        SnapshotConclusion.parse(event),
        datasets=world.datasets,
        vault=world.vault,
        bus=world.bus,
        remaining=context.get_remaining_time_in_millis,
    )
    missed = record.difference.missed if record.difference else 0
    logger.info("snapshot concluded", phase=record.phase, reason=record.reason, how=record.how, missed=missed)
    return {"phase": record.phase, "reason": record.reason}
