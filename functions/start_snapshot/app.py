"""Door: SQS -> start the snapshots that are wished for."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.snapshots import SnapshotWish
from mldr.steps.start_snapshot import start_snapshot
from mldr.telemetry import logger

# Powertools' Logger is a logging.Logger in all but its type.
processor = BatchProcessor(event_type=EventType.SQS, logger=logger)  # type: ignore[arg-type]


def handle(record: SQSRecord) -> None:
    """One message, one wish; an error here fails this message only."""
    world = wiring.world()
    outcomes = start_snapshot(
        SnapshotWish.parse(record.body),
        peer_region=world.env.peer_region,
        settle_seconds=world.env.event_settle_seconds,
        datasets=world.datasets,
        policies=world.policies,
        workflows=world.workflows,
        clock=world.clock,
    )
    for outcome in outcomes:
        logger.info(outcome.reason, dataset=outcome.dataset, snapshot=outcome.snapshot, action=outcome.action)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event, handle, processor, context)
