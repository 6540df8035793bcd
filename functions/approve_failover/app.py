"""Door: SQS -> request the failover that a person approved."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.health import FailoverApproved
from mldr.steps.approve_failover import approve_failover
from mldr.telemetry import logger

# Powertools' Logger is a logging.Logger in all but its type.
processor = BatchProcessor(event_type=EventType.SQS, logger=logger)  # type: ignore[arg-type]


def handle(record: SQSRecord) -> None:
    """One message, one answer; an error here fails this message only."""
    world = wiring.world()
    approved = FailoverApproved.parse(record.body)
    answered = approve_failover(approved, decisions=world.decisions, bus=world.bus, clock=world.clock)
    logger.info("approval", model=str(approved.detail.model), by=approved.detail.approved_by, **answered.model_dump())


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event, handle, processor, context)
