"""Door: state machine *snapshot* -> write the manifest of a verified snapshot."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.snapshots import SnapshotTask
from mldr.steps.seal_snapshot import seal_snapshot
from mldr.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    world = wiring.world()
    record = seal_snapshot(
        SnapshotTask.parse(event),
        region=world.env.aws_region,
        datasets=world.datasets,
        catalog=world.catalog,
        vault=world.vault,
        clock=world.clock,
    )
    logger.info("sealed", snapshot=record.snapshot, objects=record.objects, bytes=record.bytes, copied=record.copied)
    return {"snapshot": record.snapshot, "objects": record.objects, "bytes": record.bytes}
