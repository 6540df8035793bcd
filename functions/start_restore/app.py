"""Door: SQS -> start the restore of a dataset that was requested."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.snapshots import RestoreRequested
from mldr.steps.start_restore import start_restore
from mldr.telemetry import logger

# Powertools' Logger is a logging.Logger in all but its type.
processor = BatchProcessor(event_type=EventType.SQS, logger=logger)  # type: ignore[arg-type]


def handle(record: SQSRecord) -> None:
    """One message, one execution; an error here fails this message only."""
    world = wiring.world()
    requested = RestoreRequested.parse(record.body)
    restore = start_restore(
        requested,
        buckets=world.env.restore_buckets,
        datasets=world.datasets,
        workflows=world.workflows,
        clock=world.clock,
    )
    logger.info("restore started", restore=restore, dataset=requested.detail.dataset)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event, handle, processor, context)
