"""Door: SQS -> remember what S3 says of a dataset's objects."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.snapshots import StorageEvent
from mldr.steps.log_changes import log_changes
from mldr.telemetry import logger

# Powertools' Logger is a logging.Logger in all but its type.
processor = BatchProcessor(event_type=EventType.SQS, logger=logger)  # type: ignore[arg-type]


def handle(record: SQSRecord) -> None:
    """One message, one change; an error here fails this message only."""
    world = wiring.world()
    log_changes(StorageEvent.parse(record.body), datasets=world.datasets, policies=world.policies, clock=world.clock)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event, handle, processor, context)
