"""Door: SQS -> start a check of the vault's bytes."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.scrub import VerificationRequested
from mldr.steps.start_scrub import start_scrub
from mldr.telemetry import logger

# Powertools' Logger is a logging.Logger in all but its type.
processor = BatchProcessor(event_type=EventType.SQS, logger=logger)  # type: ignore[arg-type]


def handle(record: SQSRecord) -> None:
    """One message, one execution; an error here fails this message only."""
    requested = VerificationRequested.parse(record.body)
    run = start_scrub(requested, workflows=wiring.world().workflows)
    logger.info("check of the vault started", run=run, owner=requested.detail.owner, sample=requested.detail.sample)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event, handle, processor, context)
