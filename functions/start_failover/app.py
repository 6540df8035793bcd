"""Door: SQS -> start the failover that was requested."""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from mldr import wiring
from mldr.events.evacuation import parse_takeover
from mldr.steps.start_failover import start_failover
from mldr.telemetry import logger

# Powertools' Logger is a logging.Logger in all but its type.
processor = BatchProcessor(event_type=EventType.SQS, logger=logger)  # type: ignore[arg-type]


def handle(record: SQSRecord) -> None:
    """One message, one execution; an error here fails this message only."""
    world = wiring.world()
    requested = parse_takeover(record.body)
    failover_id = start_failover(
        requested,
        workflows=world.workflows,
        evacuations=world.evacuations,
        poll_seconds=world.env.endpoint_poll_seconds,
        clock=world.clock,
    )
    logger.info("failover started", failover_id=failover_id, asked=requested.detail.model_dump(mode="json"))


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event, handle, processor, context)
